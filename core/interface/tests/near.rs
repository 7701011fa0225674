//! One object called near and far: no answer tells which.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::interface;
use kiln_object::call::{CALL_WORDS, MESSAGE_BYTES};
use kiln_object::near::{Found, Life};
use kiln_object::{
    Binder, Caller, Dispatch, Error, Incoming, Interface, Loopback, Object, ObjectName, ProcessId,
    RawReference, Reference, Reply, Rights, Transport,
};

#[interface(name = "test.near")]
trait Things {
    #[method(1, right = READ)]
    fn null(&self) -> Result<(), Error>;

    #[method(2, right = WRITE)]
    fn add(&self, a: u64, b: u64) -> Result<u64, Error>;

    #[method(3, right = READ)]
    fn fill(&self, count: usize, bytes: &mut [u8]) -> Result<usize, Error>;

    #[method(4, right = READ)]
    fn length(&self, a: &[u8], b: &[u8]) -> Result<u64, Error>;

    #[method(5, right = READ)]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error>;

    #[method(6, right = READ, delegate = owner)]
    fn act_for(&self, owner: ProcessId) -> Result<(), Error>;

    #[method(7, right = READ)]
    fn elsewhere(&self, path: &[u8], elsewhere: &mut [u8]) -> Result<(), Error>;

    #[method(8, right = READ)]
    fn room(&self, #[bound(4)] numbers: &mut [u32]) -> Result<usize, Error>;

    #[method(9, right = READ)]
    fn named(&self, #[bound(5)] name: &str) -> Result<u64, Error>;
}

#[interface(name = "test.others")]
trait Others {
    #[method(1, right = READ)]
    fn null(&self) -> Result<(), Error>;
}

struct Server;

impl Things for Server {
    fn null(&self) -> Result<(), Error> {
        Ok(())
    }

    fn add(&self, a: u64, b: u64) -> Result<u64, Error> {
        a.checked_add(b).ok_or(Error::TooLarge)
    }

    fn fill(&self, count: usize, bytes: &mut [u8]) -> Result<usize, Error> {
        let length = bytes.len();
        bytes.fill(7);
        // More than there is room for is a fault of the server.
        Ok(if count == usize::MAX {
            length + 1
        } else {
            length
        })
    }

    fn length(&self, a: &[u8], b: &[u8]) -> Result<u64, Error> {
        Ok((a.len() + b.len()) as u64)
    }

    fn who(&self, caller: Caller) -> Result<ProcessId, Error> {
        Ok(caller.0)
    }

    fn act_for(&self, _owner: ProcessId) -> Result<(), Error> {
        Ok(())
    }

    fn elsewhere(&self, path: &[u8], elsewhere: &mut [u8]) -> Result<(), Error> {
        if let Some(to) = elsewhere.get_mut(..path.len()) {
            to.copy_from_slice(path);
        }
        Err(Error::Elsewhere)
    }

    fn room(&self, numbers: &mut [u32]) -> Result<usize, Error> {
        numbers.fill(9);
        Ok(numbers.len())
    }

    fn named(&self, name: &str) -> Result<u64, Error> {
        Ok(name.len() as u64)
    }
}

const CLIENT: ProcessId = ProcessId::new(3, 1);
const STRANGER: ProcessId = ProcessId::new(4, 1);
const REFERENCE: RawReference = RawReference {
    process: CLIENT,
    object: ObjectName::new(5, 1),
};

/// Reaches one object, which is near or not.
#[derive(Clone)]
struct Surroundings {
    object: Arc<dyn Dispatch>,
    rights: Rights,
    near: bool,
    /// Holds [`ALIVE`] as long as the reference is good.
    word: &'static AtomicU64,
}

const ALIVE: u64 = 7;

/// What no test takes back.
static UNTOUCHED: AtomicU64 = AtomicU64::new(ALIVE);

impl Transport for Surroundings {
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        assert!(!self.near, "a call through the kernel");
        if input.len() > MESSAGE_BYTES || output.len() > MESSAGE_BYTES {
            return Err(Error::TooLarge);
        }
        let loopback = Loopback {
            dispatch: &*self.object,
            caller: Caller(CLIENT),
            rights: self.rights,
        };
        loopback.call(reference, method, words, input, output)
    }
}

impl Binder for Surroundings {
    fn this_process(&self) -> ProcessId {
        CLIENT
    }

    fn near(&self, reference: RawReference) -> Option<Found> {
        let found = self.near && reference == REFERENCE;
        found.then(|| Found {
            object: Arc::clone(&self.object),
            rights: self.rights,
            life: Life::new(self.word, ALIVE),
        })
    }

    fn server(&self, _name: &str) -> Result<RawReference, Error> {
        Ok(REFERENCE)
    }

    fn bind(
        &self,
        bootstrap: RawReference,
        _hash: u64,
        _idempotent: &'static [u16],
    ) -> Result<RawReference, Error> {
        Ok(bootstrap)
    }
}

type Client = Object<dyn Things, Surroundings>;

fn client(near: bool, rights: Rights) -> Client {
    let object: Arc<dyn Dispatch> = Arc::new(ThingsDispatch(Server));
    let surroundings = Surroundings {
        object,
        rights,
        near,
        word: &UNTOUCHED,
    };
    let client = Client::new(Reference::new(REFERENCE), surroundings);
    assert_eq!(client.is_near(), near);
    assert_eq!(client.reference().raw(), REFERENCE);
    client
}

/// Everything a client can see, as text.
fn seen(client: &Client) -> Vec<String> {
    let mut seen = vec![
        format!("{:?}", client.null()),
        format!("{:?}", client.add(40, 2)),
        format!("{:?}", client.add(u64::MAX, 2)),
        format!("{:?}", client.who(Caller(STRANGER))),
        format!("{:?}", client.act_for(CLIENT)),
        format!("{:?}", client.act_for(STRANGER)),
        format!("{:?}", client.named("short")),
        format!("{:?}", client.named("longer")),
        // Through the trait object as well.
        format!("{:?}", (**client).add(1, 2)),
    ];
    for length in [0, 1, MESSAGE_BYTES, MESSAGE_BYTES + 1, 3 * MESSAGE_BYTES] {
        let mut bytes = vec![1; length];
        let filled = client.fill(0, &mut bytes);
        if filled.is_ok() {
            seen.push(format!(
                "{:?}",
                bytes.iter().filter(|byte| **byte == 7).count()
            ));
        }
        seen.push(format!("{filled:?}"));
        seen.push(format!("{:?}", client.fill(usize::MAX, &mut bytes)));
        seen.push(format!("{:?}", client.length(&bytes, b"")));
        seen.push(format!(
            "{:?}",
            client.length(&bytes[..length / 2], &bytes[length / 2..])
        ));
    }
    let mut path = [b'x'; 8];
    seen.push(format!("{:?}", client.elsewhere(b"to/here\0", &mut path)));
    seen.push(format!("{:?}", path.split(|byte| *byte == 0).next()));
    for length in [0, 3, 4, 9] {
        let mut numbers = vec![0u32; length];
        seen.push(format!("{:?} {numbers:?}", client.room(&mut numbers)));
    }
    seen
}

#[test]
fn no_answer_tells_near_from_far() {
    let some = [
        Rights::ALL,
        Rights::READ,
        Rights::WRITE,
        Rights::READ | Rights::DELEGATE,
        Rights::empty(),
    ];
    for rights in some {
        let (near, far) = (seen(&client(true, rights)), seen(&client(false, rights)));
        assert_eq!(near, far, "{rights:?}");
    }
    assert!(seen(&client(true, Rights::READ)).contains(&format!("{:?}", Ok::<_, Error>(CLIENT))));
}

#[test]
fn what_is_of_another_interface_is_called_as_if_it_were_far() {
    let surroundings = Surroundings {
        object: Arc::new(ThingsDispatch(Server)),
        rights: Rights::ALL,
        near: true,
        word: &UNTOUCHED,
    };
    let far = Surroundings {
        near: false,
        ..surroundings.clone()
    };
    let others: Object<dyn Others, _> = Object::new(Reference::new(REFERENCE), surroundings);
    assert!(!others.is_near());
    let others: Object<dyn Others, _> = Object::new(Reference::new(REFERENCE), far);
    assert_eq!(
        others.null(),
        Ok(()),
        "binding would have told the hashes apart"
    );
    // An object that answers by hand has no trait to be called by.
    struct ByHand;
    impl Dispatch for ByHand {
        fn interface_hash(&self) -> u64 {
            <dyn Things as Interface>::HASH
        }
        fn dispatch(&self, _call: &mut Incoming<'_>) -> kiln_object::Answer {
            kiln_object::Answer::done(0)
        }
    }
    let surroundings = Surroundings {
        object: Arc::new(ByHand),
        rights: Rights::ALL,
        near: true,
        word: &UNTOUCHED,
    };
    assert!(!Client::new(Reference::new(REFERENCE), surroundings).is_near());
}

#[test]
fn a_near_object_refuses_calls_once_its_reference_is_gone() {
    static WORD: AtomicU64 = AtomicU64::new(ALIVE);
    let surroundings = Surroundings {
        object: Arc::new(ThingsDispatch(Server)),
        rights: Rights::READ | Rights::DELEGATE,
        near: true,
        word: &WORD,
    };
    let client = Client::new(Reference::new(REFERENCE), surroundings);
    let answers = || {
        (
            client.null(),
            client.add(1, 2),
            client.act_for(STRANGER),
            client.named("short"),
        )
    };
    assert_eq!(
        answers(),
        (Ok(()), Err(Error::Denied), Ok(()), Ok(5)),
        "before"
    );
    for gone in [0, ALIVE + 1] {
        WORD.store(gone, Ordering::Release);
        let gone = Error::BadReference;
        assert_eq!(
            answers(),
            (Err(gone), Err(gone), Err(gone), Err(gone)),
            "whatever rights it had"
        );
    }
}

#[test]
fn a_near_object_outlives_its_reference() {
    let object: Arc<dyn Dispatch> = Arc::new(ThingsDispatch(Server));
    let surroundings = Surroundings {
        object: Arc::clone(&object),
        rights: Rights::ALL,
        near: true,
        word: &UNTOUCHED,
    };
    let client = Client::new(Reference::new(REFERENCE), surroundings.clone());
    drop(surroundings);
    let before = Arc::strong_count(&object);
    assert_eq!(client.null(), Ok(()));
    drop(client);
    assert!(Arc::strong_count(&object) < before);
}
