//! Throws a call at the dispatch of an interface, with a double behind it, and looks that nothing
//! got through that must not.

mod shapes;

use kiln_example_counter_interface as counter;
use kiln_interface::{file, kernel, name_space};
use kiln_object::call::{CALL_WORDS, MESSAGE_BYTES, RETURN_WORDS};
use kiln_object::describe::{Description, Travel};
use kiln_object::recorder::Otherwise;
use kiln_object::{
    Bytes, Caller, Dispatch, Error, Incoming, Interface, ProcessId, Processor, Rights,
};

/// A call that nobody but an attacker makes.
#[derive(Clone, Debug)]
pub struct Thrown {
    /// Which method.
    pub method: u16,
    /// Its words.
    pub words: [u64; CALL_WORDS],
    /// Its bytes in.
    pub input: Vec<u8>,
    /// Its room for bytes out.
    pub output: usize,
    /// The rights of the reference.
    pub rights: u32,
    /// What the method answers if it is asked.
    pub answer: [u64; RETURN_WORDS],
}

/// What a page looks like to a callee.
#[repr(align(4096))]
struct Page([u8; MESSAGE_BYTES]);

const CLIENT: ProcessId = ProcessId::new(3, 1);
/// What the room for bytes out holds before: another client's secrets.
const STALE: u8 = 0xa5;

/// How many interfaces there are to throw at.
pub const INTERFACES: usize = 15;

/// Throws at the interface of that number; answers whether the method was asked.
pub fn throw(interface: usize, thrown: &Thrown) -> bool {
    macro_rules! at {
        ($module:ident::$name:ident, $recorder:ident, $dispatch:ident) => {{
            let double = $module::$recorder::default();
            double.otherwise(Otherwise::Words(thrown.answer));
            let served = $module::$dispatch(double);
            let description = <dyn $module::$name as Interface>::DESCRIPTION;
            check(description, &served, thrown, || served.0.calls().len())
        }};
    }
    match interface % INTERFACES {
        0 => at!(name_space::NameSpace, NameSpaceRecorder, NameSpaceDispatch),
        1 => at!(file::FileTree, FileTreeRecorder, FileTreeDispatch),
        2 => at!(file::File, FileRecorder, FileDispatch),
        3 => at!(
            kernel::AddressSpace,
            AddressSpaceRecorder,
            AddressSpaceDispatch
        ),
        4 => at!(kernel::FileCache, FileCacheRecorder, FileCacheDispatch),
        5 => at!(kernel::Process, ProcessRecorder, ProcessDispatch),
        6 => at!(kernel::Console, ConsoleRecorder, ConsoleDispatch),
        7 => at!(kernel::Log, LogRecorder, LogDispatch),
        8 => at!(kernel::Clock, ClockRecorder, ClockDispatch),
        9 => at!(kernel::Random, RandomRecorder, RandomDispatch),
        10 => at!(kernel::Machine, MachineRecorder, MachineDispatch),
        11 => at!(kernel::PagedFile, PagedFileRecorder, PagedFileDispatch),
        12 => at!(kernel::Pager, PagerRecorder, PagerDispatch),
        13 => at!(counter::Counter, CounterRecorder, CounterDispatch),
        _ => at!(shapes::Shapes, ShapesRecorder, ShapesDispatch),
    }
}

/// Throws at `dispatch`; `calls` tells how often what is behind it was asked since it was last told.
pub fn check(
    description: &Description,
    dispatch: &dyn Dispatch,
    thrown: &Thrown,
    calls: impl Fn() -> usize,
) -> bool {
    let (mut input, mut output) = (Page([0; MESSAGE_BYTES]), Page([STALE; MESSAGE_BYTES]));
    let length = thrown.input.len().min(MESSAGE_BYTES);
    input.0[..length].copy_from_slice(&thrown.input[..length]);
    let room = thrown.output.min(MESSAGE_BYTES);
    let rights = Rights::from_bits_retain(thrown.rights);
    let answer = Incoming {
        words: thrown.words,
        caller: Caller(CLIENT),
        method: thrown.method,
        processor: Processor::new(thrown.method.into()),
        rights,
        bytes: Some(&mut Bytes {
            input: &input.0[..length],
            output: &mut output.0[..room],
        }),
    }
    .ask(dispatch);
    let asked = calls();
    assert!(asked <= 1, "one call asks once");
    let travelling = match answer {
        Ok(reply) => reply.output,
        Err(failure) => failure.output,
    };
    assert!(travelling <= room, "no more travels than there is room for");

    let methods = description.methods.iter();
    let Some(method) = methods
        .clone()
        .find(|method| method.number == thrown.method)
    else {
        assert_eq!(asked, 0);
        assert_eq!(
            answer.map_err(|failure| failure.error),
            Err(Error::BadMethod)
        );
        return false;
    };
    if !rights.contains(method.right) {
        assert_eq!(asked, 0, "the right is checked first");
        assert_eq!(answer.map_err(|failure| failure.error), Err(Error::Denied));
    }
    if let (Some(owner), false) = (method.delegate, rights.contains(Rights::DELEGATE)) {
        // The words before it are of one word each in all of these interfaces.
        let words = method
            .arguments
            .iter()
            .filter(|one| one.travel == Travel::Words);
        let place = words.map(|one| one.name).position(|name| name == owner);
        let other = thrown.words[place.expect("it is among the words")] != CLIENT.raw();
        assert!(
            !(other && asked > 0),
            "nobody asks for another without the right to"
        );
    }
    let has_input = method
        .arguments
        .iter()
        .any(|one| matches!(one.travel, Travel::In | Travel::InOut));
    if length > 0 && !has_input {
        assert_eq!(asked, 0, "bytes that nobody asked for");
    }
    let has_output = method
        .arguments
        .iter()
        .any(|one| matches!(one.travel, Travel::Out | Travel::InOut));
    if !has_output {
        assert_eq!(travelling, 0, "a method without a buffer answers no bytes");
    }
    if asked == 0 {
        assert!(answer.is_err());
        assert_eq!(travelling, 0, "what was not asked answers nothing");
    }
    asked > 0
}
