extern crate std;

use alloc::string::String;
use alloc::vec::Vec;

use kiln_example_counter_interface::{Counter, CounterDispatch, CounterStub};
use kiln_object::{
    Caller, Error, Loopback, ObjectName, ProcessId, RawReference, Reference, Rights,
};

use alloc::format;

use crate::CounterServer;

const CLIENT: Caller = Caller(ProcessId::new(7, 1));

/// A client that calls `server` as the kernel would let it, with `rights`.
fn client(
    server: &CounterDispatch<CounterServer>,
    rights: Rights,
) -> CounterStub<Loopback<&CounterDispatch<CounterServer>>> {
    let reference = Reference::new(RawReference {
        process: ProcessId::new(2, 1),
        object: ObjectName::new(1, 1),
    });
    let transport = Loopback {
        dispatch: server,
        caller: CLIENT,
        rights,
    };
    CounterStub::new(reference, transport)
}

#[test]
fn clients_share_the_number() {
    let server = CounterDispatch(CounterServer::default());
    let (one, other) = (client(&server, Rights::ALL), client(&server, Rights::ALL));
    assert_eq!(one.add(40), Ok(40));
    assert_eq!(other.add(2), Ok(42));
    assert_eq!(one.add(u64::MAX), Err(Error::TooLarge));
    let mut answer = [0; 64];
    let length = one.describe(CLIENT, "Hello", &mut answer).unwrap();
    assert_eq!(&answer[..length], b"Hello, process 7.1: it is 42");
    let wordy = "Good evening, dear";
    assert_eq!(
        one.describe(CLIENT, wordy, &mut answer),
        Err(Error::TooLarge)
    );
    assert_eq!(
        one.describe(CLIENT, "Hello", &mut [0; 4]),
        Err(Error::TooLarge)
    );
}

#[test]
fn who_may_only_count_cannot_reset() {
    let server = CounterDispatch(CounterServer::default());
    let counting = client(&server, Rights::READ | Rights::WRITE);
    assert_eq!(counting.add(1), Ok(1));
    assert_eq!(counting.reset(), Err(Error::Denied));
    assert_eq!(counting.add(1), Ok(2));
    assert_eq!(client(&server, Rights::CONTROL).reset(), Ok(()));
    assert_eq!(counting.add(1), Ok(1));
}

/// Lines of code, without what only people read.
fn code(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_tutorial_shows_the_code_that_there_is() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let sources: Vec<String> = [
        "examples/counter/interface/src/lib.rs",
        "examples/counter/server/src/lib.rs",
        "examples/counter/client/src/lib.rs",
        "examples/counter/client/src/tests.rs",
        "image/catalogue.rs",
    ]
    .iter()
    .map(|path| code(&read(path)))
    .collect();
    let tutorial = read("docs/writing-a-server.md");
    let blocks: Vec<&str> = tutorial
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        let shown = code(block);
        assert!(
            sources.iter().any(|source| source.contains(&shown)),
            "not in the example:\n{block}"
        );
    }
    let server = code(&read("examples/counter/server/src/lib.rs"));
    assert!(server.lines().count() <= 50, "a server in fifty lines");
}
