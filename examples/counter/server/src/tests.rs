use kiln_example_counter_interface::{Counter, CounterDispatch, CounterStub};
use kiln_object::{
    Caller, Error, Loopback, ObjectName, ProcessId, RawReference, Reference, Rights,
};

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
    let length = one.describe(CLIENT, &mut answer).unwrap();
    assert_eq!(&answer[..length], b"process 7.1 sees 42");
    assert_eq!(one.describe(CLIENT, &mut [0; 4]), Err(Error::TooLarge));
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
