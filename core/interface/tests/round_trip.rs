//! Stubs and dispatches against each other, and dispatches against hostile words.

use std::sync::Mutex;

use kiln_interface::interface;
use kiln_object::call::{CALL_WORDS, MESSAGE_BYTES};
use kiln_object::{
    Bytes, Caller, Dispatch, Error, Failure, Incoming, Interface, Loopback, ObjectName, ProcessId,
    RawReference, Reference, Reply, Rights, Transport,
};

/// Has one method of each shape.
#[interface(name = "test.shapes")]
trait Shapes {
    /// Nothing in, nothing out.
    #[method(1, right = READ)]
    fn null(&self) -> Result<(), Error>;

    /// Words of several types.
    #[method(2, right = READ)]
    fn words(&self, a: u8, b: i32, c: bool, d: Reference<dyn Shapes>) -> Result<(u64, u64), Error>;

    /// Several byte strings between words.
    #[method(3, right = WRITE)]
    fn strings(&self, a: &[u8], number: u32, b: &[u8], c: &[u8]) -> Result<u64, Error>;

    /// Answers how much of the buffer is filled.
    #[method(4, right = READ)]
    fn fill(&self, count: usize, bytes: &mut [u8]) -> Result<usize, Error>;

    /// The same, with a second number.
    #[method(5, right = READ)]
    fn fill_pair(&self, count: u64, bytes: &mut [u8]) -> Result<(u64, u64), Error>;

    /// May lead elsewhere.
    #[method(6, right = LOOKUP)]
    fn walk(&self, path: &[u8], elsewhere: &mut [u8]) -> Result<u32, Error>;

    /// Wants to know who calls.
    #[method(7, right = READ)]
    fn who(&self, caller: Caller, number: u64) -> Result<ProcessId, Error>;

    /// Is done for a process.
    #[method(8, right = READ, delegate = owner)]
    fn act_for(&self, owner: ProcessId) -> Result<(), Error>;
}

#[derive(Default)]
struct Server {
    seen: Mutex<Vec<String>>,
}

impl Server {
    fn saw(&self, what: String) {
        self.seen.lock().expect("no test panicked").push(what);
    }

    fn fill_with_count(count: usize, bytes: &mut [u8]) {
        let length = bytes.len();
        bytes[..count.min(length)].fill(7);
    }
}

impl Shapes for Server {
    fn null(&self) -> Result<(), Error> {
        self.saw("null".into());
        Ok(())
    }

    fn words(&self, a: u8, b: i32, c: bool, d: Reference<dyn Shapes>) -> Result<(u64, u64), Error> {
        self.saw(format!("{a} {b} {c} {d:?}"));
        Ok((u64::MAX, u64::from(a)))
    }

    fn strings(&self, a: &[u8], number: u32, b: &[u8], c: &[u8]) -> Result<u64, Error> {
        self.saw(format!("{a:?} {number} {b:?} {}", c.len()));
        Ok((a.len() + b.len() + c.len()) as u64)
    }

    fn fill(&self, count: usize, bytes: &mut [u8]) -> Result<usize, Error> {
        Self::fill_with_count(count, bytes);
        Ok(count)
    }

    fn fill_pair(&self, count: u64, bytes: &mut [u8]) -> Result<(u64, u64), Error> {
        Self::fill_with_count(count as usize, bytes);
        Ok((count, 99))
    }

    fn walk(&self, path: &[u8], elsewhere: &mut [u8]) -> Result<u32, Error> {
        match path {
            b"link" => {
                elsewhere[..9].copy_from_slice(b"/target\0x");
                Err(Error::Elsewhere)
            }
            b"silent" => Err(Error::Elsewhere),
            b"missing" => {
                elsewhere.fill(1);
                Err(Error::NotFound)
            }
            _ => {
                elsewhere.fill(1);
                Ok(path.len() as u32)
            }
        }
    }

    fn who(&self, caller: Caller, number: u64) -> Result<ProcessId, Error> {
        self.saw(format!("{number}"));
        Ok(caller.0)
    }

    fn act_for(&self, owner: ProcessId) -> Result<(), Error> {
        self.saw(format!("{owner:?}"));
        Ok(())
    }
}

const CLIENT: ProcessId = ProcessId::new(3, 9);

fn reference() -> Reference<dyn Shapes> {
    Reference::new(RawReference {
        process: ProcessId::new(4, 1),
        object: ObjectName::new(5, 6),
    })
}

fn with_rights(
    dispatch: &ShapesDispatch<Server>,
    rights: Rights,
) -> ShapesStub<Loopback<&ShapesDispatch<Server>>> {
    let transport = Loopback {
        dispatch,
        caller: Caller(CLIENT),
        rights,
    };
    ShapesStub::new(reference(), transport)
}

fn stub(dispatch: &ShapesDispatch<Server>) -> ShapesStub<Loopback<&ShapesDispatch<Server>>> {
    with_rights(dispatch, Rights::ALL)
}

fn server() -> ShapesDispatch<Server> {
    ShapesDispatch(Server::default())
}

fn seen(dispatch: &ShapesDispatch<Server>) -> Vec<String> {
    std::mem::take(&mut dispatch.0.seen.lock().expect("no test panicked"))
}

#[test]
fn arguments_and_results_arrive() {
    let server = server();
    let stub = stub(&server);
    assert_eq!(stub.null(), Ok(()));
    assert_eq!(stub.words(255, -5, true, reference()), Ok((u64::MAX, 255)));
    assert_eq!(stub.strings(b"ab", 7, b"", b"xyz"), Ok(5));
    assert_eq!(
        seen(&server),
        [
            "null",
            "255 -5 true object 5.6 in process 4.1",
            "[97, 98] 7 [] 3"
        ]
    );
}

#[test]
fn strings_of_a_message_in_all_fit_and_one_byte_more_is_not_sent() {
    let server = server();
    let stub = stub(&server);
    let long = vec![1; MESSAGE_BYTES];
    assert_eq!(
        stub.strings(&long[..96], 0, &long[..1000], &long[..3000]),
        Ok(4096)
    );
    assert_eq!(
        stub.strings(&long[..200], 0, &long[..28], &long[..28]),
        Ok(256)
    );
    assert_eq!(
        stub.strings(&long[..200], 0, &long[..28], &long[..29]),
        Ok(257)
    );
    assert_eq!(seen(&server).len(), 3);
    assert_eq!(stub.strings(&long, 0, b"a", b""), Err(Error::TooLarge));
    assert_eq!(
        stub.walk(&[0; MESSAGE_BYTES + 1], &mut []),
        Err(Error::TooLarge)
    );
    assert!(seen(&server).is_empty());
}

#[test]
fn exactly_the_bytes_that_were_counted_travel() {
    let server = server();
    let stub = stub(&server);
    let mut bytes = [0xee; 64];
    assert_eq!(stub.fill(3, &mut bytes), Ok(3));
    assert_eq!(bytes[..5], [7, 7, 7, 0xee, 0xee]);
    let mut bytes = [0xee; 64];
    assert_eq!(stub.fill_pair(2, &mut bytes), Ok((2, 99)));
    assert_eq!(bytes[..3], [7, 7, 0xee]);
    assert_eq!(stub.fill(64, &mut bytes), Ok(64));
    assert_eq!(stub.fill(65, &mut bytes), Err(Error::BadAnswer));
    assert_eq!(stub.fill(1, &mut []), Err(Error::BadAnswer));
    let mut large = vec![0; 3 * MESSAGE_BYTES];
    assert_eq!(stub.fill(MESSAGE_BYTES, &mut large), Ok(MESSAGE_BYTES));
    assert_eq!(
        stub.fill(MESSAGE_BYTES + 1, &mut large),
        Err(Error::BadAnswer)
    );
}

#[test]
fn the_path_to_go_on_with_travels_and_nothing_else_does() {
    let server = server();
    let stub = stub(&server);
    let walk = |path: &[u8]| {
        let mut elsewhere = [0xee; 32];
        (stub.walk(path, &mut elsewhere), elsewhere)
    };
    let (answer, bytes) = walk(b"link");
    assert_eq!(answer, Err(Error::Elsewhere));
    assert_eq!(&bytes[..9], b"/target\0\xee");
    let (answer, bytes) = walk(b"silent");
    assert_eq!(
        (answer, bytes[0], bytes[1]),
        (Err(Error::Elsewhere), 0, 0xee)
    );
    assert_eq!(walk(b"missing"), (Err(Error::NotFound), [0xee; 32]));
    assert_eq!(walk(b"plain"), (Ok(5), [0xee; 32]));
}

#[test]
fn the_caller_is_whoever_the_kernel_says() {
    let server = server();
    let stub = stub(&server);
    assert_eq!(stub.who(Caller(ProcessId::KERNEL), 12), Ok(CLIENT));
    assert_eq!(seen(&server), ["12"]);
}

#[test]
fn rights_are_checked_before_the_method_runs() {
    let server = server();
    let reader = with_rights(&server, Rights::READ);
    assert_eq!(reader.strings(b"", 0, b"", b""), Err(Error::Denied));
    assert_eq!(reader.walk(b"", &mut []), Err(Error::Denied));
    assert!(seen(&server).is_empty());
    assert_eq!(reader.null(), Ok(()));
    assert_eq!(reader.act_for(CLIENT), Ok(()));
    assert_eq!(reader.act_for(ProcessId::KERNEL), Err(Error::Denied));
    let delegate = with_rights(&server, Rights::READ | Rights::DELEGATE);
    assert_eq!(delegate.act_for(ProcessId::KERNEL), Ok(()));
}

#[test]
fn hostile_words_are_refused_before_the_method_runs() {
    let server = server();
    let call = |method, words: [u64; CALL_WORDS], input: &[u8]| {
        Incoming {
            words,
            caller: Caller(CLIENT),
            method,
            processor: kiln_object::Processor::default(),
            rights: Rights::ALL,
            bytes: Some(&mut Bytes {
                input,
                output: &mut [],
            }),
        }
        .ask(&server)
    };
    let refused = |error| Err(Failure { error, output: 0 });
    use shapes_methods::{NULL, STRINGS, WORDS};
    assert_eq!(call(0, [0; 6], &[]), refused(Error::BadMethod));
    assert_eq!(call(9, [0; 6], &[]), refused(Error::BadMethod));
    assert_eq!(call(NULL, [0; 6], b"x"), refused(Error::BadArgument));
    assert_eq!(
        call(WORDS, [256, 0, 0, 0, 0, 0], &[]),
        refused(Error::BadArgument)
    );
    assert_eq!(
        call(WORDS, [0, 1 << 31, 0, 0, 0, 0], &[]),
        refused(Error::BadArgument)
    );
    assert_eq!(
        call(WORDS, [0, 0, 2, 0, 0, 0], &[]),
        refused(Error::BadArgument)
    );
    for lengths in [[4, 0], [0, 4], [2, 2], [u64::MAX, 0], [2, u64::MAX]] {
        let words = [0, lengths[0], lengths[1], 0, 0, 0];
        assert_eq!(call(STRINGS, words, b"abc"), refused(Error::BadArgument));
    }
    assert!(seen(&server).is_empty());
    assert_eq!(
        call(STRINGS, [0, 1, 2, 0, 0, 0], b"abc").map(|reply| reply.words[0]),
        Ok(3)
    );
}

#[test]
fn answers_that_cannot_be_right_are_refused_by_the_stub() {
    struct Liar(Reply);
    impl Transport for Liar {
        fn call(
            &self,
            _: RawReference,
            _: u16,
            _: [u64; CALL_WORDS],
            _: &[u8],
            _: &mut [u8],
        ) -> Result<Reply, Error> {
            Ok(self.0)
        }
    }
    let says = |word, output| {
        let words = [word, 0, 0, 0];
        ShapesStub::new(reference(), Liar(Reply { words, output }))
    };
    let mut bytes = [0; 8];
    assert_eq!(says(9, 8).fill(0, &mut bytes), Err(Error::BadAnswer));
    assert_eq!(says(8, 7).fill(0, &mut bytes), Err(Error::BadAnswer));
    assert_eq!(says(8, 7).fill_pair(0, &mut bytes), Err(Error::BadAnswer));
    assert_eq!(says(8, 8).fill(0, &mut bytes), Ok(8));
    assert_eq!(
        says(1 << 32, 0).walk(b"", &mut bytes),
        Err(Error::BadAnswer)
    );
}

#[test]
fn the_hash_is_the_same_through_all_doors_and_not_another_interfaces() {
    let hash = <dyn Shapes as Interface>::HASH;
    assert_eq!(server().interface_hash(), hash);
    assert_eq!(<dyn Shapes as Interface>::NAME, "test.shapes");
    assert_ne!(hash, <dyn kiln_interface::file::File as Interface>::HASH);
}
