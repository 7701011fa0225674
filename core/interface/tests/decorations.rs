//! Text, plain values, slices, buffers in both directions, bounds, messages, small types.

use std::sync::Mutex;

use kiln_interface::{Plain, Wire, interface};
use kiln_object::call::CALL_WORDS;
use kiln_object::interface::is_idempotent;
use kiln_object::{
    Bytes, Caller, Error, Failure, Incoming, Interface, Loopback, ProcessId, Processor,
    RawReference, Reference, Reply, Rights, Transport,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What to do with a colour.
#[derive(Clone, Copy, Debug, PartialEq, Wire)]
enum Mode {
    Add = 1,
    Take = 5,
}

#[derive(Clone, Debug, PartialEq, Wire)]
enum Shape {
    Point,
    Circle(u32),
    Box { width: u16, height: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Wire)]
struct Area(u32, Option<bool>);

#[derive(
    Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain,
)]
#[repr(C)]
struct Colour {
    red: u32,
    green: u32,
    name: [u8; 8],
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Flags: u16 {
        const FIRST = 1;
        const LAST = 4;
    }
}
kiln_object::wire_flags!(Flags);

const MOST: usize = 4;

#[interface(name = "test.decorations")]
trait Paint {
    #[method(1, right = READ, idempotent)]
    fn mix(&self, mode: Mode, shape: Shape, flags: Flags) -> Result<Area, Error>;

    #[method(2, right = WRITE)]
    fn name(&self, #[bound(5)] name: &str, alias: &str) -> Result<u64, Error>;

    #[method(3, right = WRITE)]
    fn set(
        &self,
        name: &str,
        #[bound(MOST)] numbers: &[u64],
        colour: &Colour,
        raw: &[u8],
    ) -> Result<u64, Error>;

    #[method(4, right = READ)]
    fn get(&self, number: u32, colour: &mut Colour) -> Result<bool, Error>;

    #[method(5, right = READ)]
    fn list(&self, count: usize, #[bound(MOST)] numbers: &mut [u32]) -> Result<usize, Error>;

    #[method(6, right = READ)]
    fn reverse(
        &self,
        #[in_out]
        #[bound(16)]
        bytes: &mut [u8],
    ) -> Result<(), Error>;

    #[method(7, right = READ)]
    fn shift(
        &self,
        by: &[u8],
        #[in_out]
        #[bound(MOST)]
        numbers: &mut [u64],
    ) -> Result<usize, Error>;

    #[method(8, right = READ)]
    fn invert(&self, #[in_out] colour: &mut Colour) -> Result<(), Error>;

    #[method(9, right = READ)]
    fn short(&self, #[bound(8)] answer: &mut [u8]) -> Result<usize, Error>;

    #[method(10, right = CONTROL, oneway)]
    fn tell(&self, caller: Caller, words: u64, bytes: bool) -> Result<(), Error>;
}

#[derive(Default)]
struct Painter {
    seen: Mutex<Vec<String>>,
}

impl Painter {
    fn saw(&self, what: String) {
        self.seen.lock().expect("no test panicked").push(what);
    }
}

impl Paint for Painter {
    fn mix(&self, mode: Mode, shape: Shape, flags: Flags) -> Result<Area, Error> {
        self.saw(format!("{mode:?} {shape:?} {}", flags.bits()));
        Ok(Area(7, Some(true)))
    }
    fn name(&self, name: &str, alias: &str) -> Result<u64, Error> {
        self.saw(format!("{name} {alias}"));
        Ok(name.len() as u64)
    }
    fn set(&self, name: &str, numbers: &[u64], colour: &Colour, raw: &[u8]) -> Result<u64, Error> {
        self.saw(format!("{name} {numbers:?} {} {raw:?}", colour.green));
        Ok(numbers.iter().sum())
    }
    fn get(&self, number: u32, colour: &mut Colour) -> Result<bool, Error> {
        assert_eq!(*colour, Colour::default(), "nothing of earlier calls");
        colour.red = number;
        Ok(true)
    }
    fn list(&self, count: usize, numbers: &mut [u32]) -> Result<usize, Error> {
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = 10 + index as u32;
        }
        self.saw(format!("room for {}", numbers.len()));
        Ok(count)
    }
    fn reverse(&self, bytes: &mut [u8]) -> Result<(), Error> {
        bytes.reverse();
        Ok(())
    }
    fn shift(&self, by: &[u8], numbers: &mut [u64]) -> Result<usize, Error> {
        numbers.iter_mut().for_each(|number| *number <<= by.len());
        Ok(numbers.len() - 1)
    }
    fn invert(&self, colour: &mut Colour) -> Result<(), Error> {
        std::mem::swap(&mut colour.red, &mut colour.green);
        Ok(())
    }
    fn short(&self, answer: &mut [u8]) -> Result<usize, Error> {
        answer.fill(1);
        Ok(answer.len() + usize::from(answer.len() == 7))
    }
    fn tell(&self, caller: Caller, words: u64, bytes: bool) -> Result<(), Error> {
        self.saw(format!("{:?} {words} {bytes}", caller.0));
        Ok(())
    }
}

const CLIENT: ProcessId = ProcessId::new(3, 9);

fn server() -> PaintDispatch<Painter> {
    PaintDispatch(Painter::default())
}

fn stub(
    dispatch: &PaintDispatch<Painter>,
    rights: Rights,
) -> PaintStub<Loopback<&PaintDispatch<Painter>>> {
    let transport = Loopback {
        dispatch,
        caller: Caller(CLIENT),
        rights,
    };
    PaintStub::new(Reference::new(RawReference::NONE), transport)
}

fn seen(dispatch: &PaintDispatch<Painter>) -> Vec<String> {
    std::mem::take(&mut dispatch.0.seen.lock().expect("no test panicked"))
}

fn raw_call(
    server: &PaintDispatch<Painter>,
    method: u16,
    words: [u64; CALL_WORDS],
    input: &[u8],
    output: &mut [u8],
) -> Result<Reply, Failure> {
    #[repr(align(8))]
    struct Aligned([u8; 256]);
    let mut page = Aligned([0; 256]);
    page.0[..input.len()].copy_from_slice(input);
    Incoming {
        words,
        caller: Caller(CLIENT),
        method,
        processor: Processor::new(1),
        rights: Rights::ALL,
        bytes: Some(&mut Bytes {
            input: &page.0[..input.len()],
            output,
        }),
    }
    .ask(server)
}

fn refused<T>(error: Error) -> Result<T, Failure> {
    Err(Failure { error, output: 0 })
}

#[test]
fn small_types_arrive_and_words_that_are_none_do_not() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    for shape in [
        Shape::Point,
        Shape::Circle(9),
        Shape::Box {
            width: 1,
            height: -2,
        },
    ] {
        assert_eq!(
            stub.mix(Mode::Take, shape.clone(), Flags::LAST),
            Ok(Area(7, Some(true)))
        );
        assert_eq!(seen(&server), [format!("Take {shape:?} 4")]);
    }
    for words in [
        [2, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [1, 3, 0, 0, 0, 0],
        [1, 1, 1 << 32, 0, 0, 0],
        [1, 2, 1 << 16, 0, 0, 0],
        [1, 0, 0, 0, 2, 0],
    ] {
        let answer = raw_call(&server, paint_methods::MIX, words, &[], &mut []);
        assert_eq!(answer, refused(Error::BadArgument), "{words:?}");
    }
    assert!(seen(&server).is_empty());
}

#[test]
fn text_is_text_and_no_longer_than_declared() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    assert_eq!(stub.name("größ", "x"), Err(Error::TooLarge));
    assert_eq!(stub.name("groß", "x"), Ok(5));
    assert_eq!(seen(&server), ["groß x"]);
    let name = paint_methods::NAME;
    let long = raw_call(&server, name, [6, 0, 0, 0, 0, 0], b"abcdef", &mut []);
    assert_eq!(long, refused(Error::TooLarge));
    // A character cut in two, in either string.
    for (at, bytes) in [(1, "ß".as_bytes()), (0, b"\xff")] {
        let answer = raw_call(&server, name, [at, 0, 0, 0, 0, 0], bytes, &mut []);
        assert_eq!(answer, refused(Error::BadArgument));
    }
    assert!(seen(&server).is_empty());
}

#[test]
fn plain_values_and_slices_travel_among_other_bytes() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    let colour = Colour {
        red: 1,
        green: 2,
        name: *b"greenish",
    };
    assert_eq!(stub.set("odd", &[1, 2, 3], &colour, b"xy"), Ok(6));
    assert_eq!(stub.set("", &[], &colour, b""), Ok(0));
    assert_eq!(seen(&server), ["odd [1, 2, 3] 2 [120, 121]", " [] 2 []"]);
    assert_eq!(stub.set("", &[0; 5], &colour, b""), Err(Error::TooLarge));
    let set = paint_methods::SET;
    for (numbers, text, bytes) in [
        (40, 0, 56),           // more than declared
        (12, 0, 56),           // half a number
        (16, 0, 31),           // half a colour
        (16, 1, 32),           // a name that is not there
        (u64::MAX, 0, 56),     // past the end
        (16, u64::MAX, 56),    // past the end
        (u64::MAX - 6, 0, 56), // past the end, when aligned
    ] {
        let answer = raw_call(
            &server,
            set,
            [numbers, text, 0, 0, 0, 0],
            &[0; 256][..bytes],
            &mut [],
        );
        let error = if numbers == 40 {
            Error::TooLarge
        } else {
            Error::BadArgument
        };
        assert_eq!(answer, refused(error), "{numbers} {text} {bytes}");
    }
    assert!(seen(&server).is_empty());
}

#[test]
fn plain_values_and_slices_come_back() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    let mut colour = Colour {
        name: [9; 8],
        ..Colour::default()
    };
    assert_eq!(stub.get(4, &mut colour), Ok(true));
    assert_eq!(
        colour,
        Colour {
            red: 4,
            ..Colour::default()
        }
    );
    let mut numbers = [0; 6];
    assert_eq!(stub.list(2, &mut numbers), Ok(2));
    assert_eq!(numbers, [10, 11, 0, 0, 0, 0]);
    assert_eq!(stub.list(4, &mut numbers), Ok(4));
    assert_eq!(stub.list(5, &mut numbers), Err(Error::BadAnswer));
    assert_eq!(stub.list(0, &mut numbers[..3]), Ok(0));
    assert_eq!(
        seen(&server),
        ["room for 4", "room for 4", "room for 4", "room for 3"]
    );
    let little = raw_call(&server, paint_methods::GET, [0; 6], &[], &mut [0; 15]);
    assert_eq!(little, refused(Error::TooLarge));
    let mut answer = [0; 20];
    assert_eq!(stub.short(&mut answer), Ok(8));
    assert_eq!(answer[7..9], [1, 0]);
    assert_eq!(stub.short(&mut answer[..7]), Err(Error::BadAnswer));
}

#[test]
fn buffers_travel_in_both_directions() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    let mut bytes = *b"abc";
    assert_eq!(stub.reverse(&mut bytes), Ok(()));
    assert_eq!(&bytes, b"cba");
    assert_eq!(stub.reverse(&mut []), Ok(()));
    assert_eq!(stub.reverse(&mut [0; 17]), Err(Error::TooLarge));
    let mut numbers = [1, 2, 3];
    assert_eq!(stub.shift(b"oo", &mut numbers), Ok(2));
    assert_eq!(numbers, [4, 8, 3], "the last was not counted");
    let mut colour = Colour {
        red: 1,
        green: 2,
        name: [3; 8],
    };
    assert_eq!(stub.invert(&mut colour), Ok(()));
    assert_eq!((colour.red, colour.green), (2, 1));
    // Room for the answer that is not as long as what came in.
    let reverse = paint_methods::REVERSE;
    for room in [0, 2, 4] {
        let answer = raw_call(&server, reverse, [0; 6], b"abc", &mut [0; 4][..room]);
        assert_eq!(answer, refused(Error::BadArgument));
    }
}

#[test]
fn messages_are_sent_and_nothing_is_waited_for() {
    struct Queue(Mutex<Vec<(u16, [u64; CALL_WORDS])>>);
    impl Transport for Queue {
        fn call(
            &self,
            _: RawReference,
            _: u16,
            _: [u64; CALL_WORDS],
            _: &[u8],
            _: &mut [u8],
        ) -> Result<Reply, Error> {
            panic!("a message is not a call")
        }
        fn send(
            &self,
            _: RawReference,
            method: u16,
            words: [u64; CALL_WORDS],
        ) -> Result<(), Error> {
            let mut queue = self.0.lock().expect("no test panicked");
            if queue.len() == 1 {
                return Err(Error::Busy);
            }
            queue.push((method, words));
            Ok(())
        }
    }
    let queue = Queue(Mutex::default());
    let stub = PaintStub::new(Reference::new(RawReference::NONE), &queue);
    assert_eq!(stub.tell(Caller(ProcessId::NONE), 5, true), Ok(()));
    assert_eq!(
        stub.tell(Caller(ProcessId::NONE), 6, true),
        Err(Error::Busy)
    );
    let (method, words) = queue.0.lock().expect("no test panicked")[0];
    // As the receiver's runtime hands it on: rights and words are checked like a call's.
    let server = server();
    let deliver = |rights| {
        let call = Incoming {
            words,
            caller: Caller(CLIENT),
            method,
            processor: Processor::new(70),
            rights,
            bytes: None,
        };
        call.ask(&server).map(|reply| reply.output)
    };
    assert_eq!(deliver(Rights::READ), refused(Error::Denied));
    assert_eq!(deliver(Rights::CONTROL), Ok(0));
    assert_eq!(seen(&server), ["process 3.9 5 true"]);
}

#[test]
fn which_methods_may_be_tried_again_is_known() {
    assert!(is_idempotent::<dyn Paint>(paint_methods::MIX));
    assert!(!is_idempotent::<dyn Paint>(paint_methods::NAME));
    assert!(!is_idempotent::<dyn Paint>(99));
}

mod another {
    use super::*;

    #[derive(
        Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Plain,
    )]
    #[repr(C)]
    struct Colour {
        red: u32,
        blue: u32,
        name: [u8; 8],
    }
    #[derive(Clone, Copy, Debug, PartialEq, Wire)]
    enum Mode {
        Add = 1,
        Take = 6,
    }
    const MOST: usize = 5;

    macro_rules! variants {
        ($($module:ident { $($what:tt)* })*) => {$(
            mod $module {
                use super::*;
                #[interface(name = "v")]
                trait V {
                    #[method(1, right = READ)]
                    fn m(&self, mode: Mode, colour: &Colour, #[bound(MOST)] list: &[Colour])
                    -> Result<(), Error>;
                }
                #[expect(dead_code, reason = "the method is not never used")]
                fn called(object: &dyn V, mode: Mode, colour: &Colour) -> Result<(), Error> {
                    object.m(mode, colour, &[])
                }
                pub const HASH: (u64, u64) =
                    (<dyn V as Interface>::TEXT, <dyn V as Interface>::HASH);
                $($what)*
            }
        )*};
    }
    mod kept_in_bytes {
        use super::*;
        #[interface(name = "v", uses(Colour))]
        trait V {
            #[method(1, right = READ)]
            fn m(&self, colours: &[u8]) -> Result<(), Error>;
        }
        #[expect(dead_code, reason = "the method is not never used")]
        fn called(object: &dyn V) -> Result<(), Error> {
            object.m(&[])
        }
        pub const HASH: (u64, u64) = (<dyn V as Interface>::TEXT, <dyn V as Interface>::HASH);
    }

    mod other_kept_in_bytes {
        use super::*;
        use crate::Colour;
        #[interface(name = "v", uses(Colour))]
        trait V {
            #[method(1, right = READ)]
            fn m(&self, colours: &[u8]) -> Result<(), Error>;
        }
        #[expect(dead_code, reason = "the method is not never used")]
        fn called(object: &dyn V) -> Result<(), Error> {
            object.m(&[])
        }
        pub const HASH: (u64, u64) = (<dyn V as Interface>::TEXT, <dyn V as Interface>::HASH);
    }

    #[test]
    fn the_hash_covers_what_is_said_to_be_in_buffers() {
        assert_eq!(kept_in_bytes::HASH.0, other_kept_in_bytes::HASH.0);
        assert_ne!(kept_in_bytes::HASH.1, other_kept_in_bytes::HASH.1);
    }

    variants! {
        same { use crate::{Colour, MOST, Mode}; }
        again { use crate::{Colour, MOST, Mode}; }
        colour { use crate::{MOST, Mode}; }
        mode { use crate::{Colour, MOST}; }
        bound { use crate::{Colour, Mode}; }
    }

    #[test]
    fn the_hash_covers_the_insides_of_types_and_the_values_of_bounds() {
        assert_eq!(same::HASH, again::HASH);
        let others = [colour::HASH, mode::HASH, bound::HASH];
        for (index, (text, hash)) in others.iter().enumerate() {
            assert_eq!(*text, same::HASH.0);
            assert_ne!(*hash, same::HASH.1);
            assert!(!others[..index].iter().any(|other| other.1 == *hash));
        }
    }
}

#[test]
fn what_is_sent_runs_only_if_it_is_declared_one_way() {
    let server = server();
    let stub = stub(&server, Rights::ALL);
    let transport = Loopback {
        dispatch: &server,
        caller: Caller(CLIENT),
        rights: Rights::ALL,
    };
    let send = |method| Transport::send(&transport, RawReference::NONE, method, [1; CALL_WORDS]);
    for method in (0..=12).filter(|method| *method != paint_methods::TELL) {
        assert_eq!(send(method), Err(Error::BadMethod), "{method}");
    }
    assert!(seen(&server).is_empty());
    assert_eq!(send(paint_methods::TELL), Ok(()));
    assert_eq!(stub.tell(Caller(CLIENT), 1, true), Ok(()));
    // Who calls it knows afterwards that it was run.
    let called = raw_call(&server, paint_methods::TELL, [1; CALL_WORDS], &[], &mut []);
    assert!(called.is_ok());
    assert_eq!(seen(&server), vec![format!("{CLIENT:?} 1 true"); 3]);
}
