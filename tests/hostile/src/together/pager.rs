//! Files whose pages this process brings to others: well, late, in part, or not at all.
//!
//! What is done about a page that somebody waits for follows from the file's key and the page, so that who
//! touches it decides it. Attackers bring each page in the end, or say that it will not come; the victim
//! may leave it, of which it dies.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use alloc::vec::Vec;
use kiln_interface::kernel::{AddressSpace, PagedFile, Pager};
use kiln_object::call::{CallWord, ReturnWord, universal};
use kiln_object::layout::{PAGE_BYTES, message_ring};
use kiln_object::message_ring::MessageRing;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ObjectName, ProcessId, RawReference};
use kiln_runtime::{SpinMutex, dispatcher, startup, time};

use super::known;
use super::tally::{self, Row};
use crate::random::Random;
use crate::registers::Registers;

/// Files of a dispatcher that may have a pager at a time, and of a process.
pub const SLOTS: usize = 8;
const FILES: usize = 64 * SLOTS;

/// The message with which the program ends the victim.
pub const END: u16 = 0x0e0d;

/// What pages hold that were brought.
const BROUGHT: [u64; 512] = [0x0b0b_7a6e_0b0b_7a6e; 512];

/// How much later a page comes that comes late, in ns.
const LATE_NS: u64 = 3_000_000;

/// The names of the files, by the low part of their keys.
static NAMES: [AtomicU64; FILES] = [const { AtomicU64::new(0) }; FILES];

/// Pages that come later: file, offset, and when (monotonic ns).
static LATER: SpinMutex<Vec<(u64, u64, u64)>> = SpinMutex::new(Vec::new());
static IS_LATER: AtomicBool = AtomicBool::new(false);

/// Whether messages of a processor's dispatcher are being read.
static READING: [AtomicBool; 64] = [const { AtomicBool::new(false) }; 64];

/// What is done about a page that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum How {
    /// It is brought.
    Whole,
    /// A few bytes of it are.
    Part,
    /// It comes after a while.
    Late,
    /// It will not come.
    Fail,
    /// The file ends before it.
    Cut,
    /// The file is given back.
    Leave,
    /// Another page is brought first.
    Neighbour,
    /// Nothing, which only the victim does.
    Never,
    /// The process ends, as only the victim does.
    Exit,
}

impl How {
    /// What attackers do.
    const HARMLESS: [Self; 8] = [
        Self::Whole,
        Self::Whole,
        Self::Part,
        Self::Late,
        Self::Fail,
        Self::Cut,
        Self::Leave,
        Self::Neighbour,
    ];
    /// What the victim does.
    const ALL: [Self; 9] = [
        Self::Whole,
        Self::Part,
        Self::Late,
        Self::Fail,
        Self::Cut,
        Self::Leave,
        Self::Neighbour,
        Self::Never,
        Self::Exit,
    ];

    /// By the high part of a key, or by chance.
    fn of(key: u64, offset: u64) -> Self {
        match (key >> 32).checked_sub(1) {
            Some(how) => Self::ALL[how as usize % Self::ALL.len()],
            None => Random::new(key << 32 ^ offset).choose(&Self::HARMLESS),
        }
    }
}

/// Has the kernel make the ring of this dispatcher, so that it can be read.
pub fn prepare() {
    if send(startup().process, 0) != 0 {
        crate::report::failed(format_args!("no message to itself"));
    }
}

/// Sends a message without words; answers the status.
pub fn send(to: ProcessId, method: u16) -> u16 {
    let word = CallWord::one_way(method);
    let mut registers = Registers::call(to, ObjectName::BOOTSTRAP, word, 0);
    registers.cross();
    registers.answer().status()
}

/// Keeps a place of a dispatcher for a file with a pager; who had it is given back. Answers the key.
pub fn reserve(cpu: u32, place: u64) -> u64 {
    let key = u64::from(cpu) * SLOTS as u64 + place % SLOTS as u64;
    leave(key as usize);
    key
}

/// Notes the file whose key `reserve` has answered.
pub fn note(key: u64, name: u64) {
    if let Some(place) = NAMES.get(key as u32 as usize) {
        place.store(name, Ordering::SeqCst);
    }
}

/// Gives all files of a dispatcher back.
pub fn leave_all(cpu: u32) {
    let first = cpu as usize * SLOTS;
    (first..first + SLOTS).for_each(leave);
}

fn leave(place: usize) {
    if let Some(name) = NAMES.get(place)
        && let name @ 1.. = name.swap(0, Ordering::SeqCst)
    {
        // It may be gone already.
        let _ = ask(name, universal::RELEASE, [0; 2], 0);
    }
}

/// Makes a file for the caller that the victim brings in the way of that number; answers its name for him.
///
/// # Errors
/// The kernel's.
pub fn make_for(caller: u64, how: u64, length: u64) -> Result<u64, Error> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let space = startup().object(InitialObject::AddressSpace);
    let place = reserve(0, MADE.fetch_add(1, Ordering::Relaxed));
    let key = (1 + how % How::ALL.len() as u64) << 32 | place;
    let method = known::method::<dyn AddressSpace>("create_file");
    let words = [length, ObjectName::BOOTSTRAP.raw(), key];
    let [_, name, ..] = kernel(space.object.raw(), method, words, 0)?;
    note(key, name);
    let rights =
        (kiln_object::Rights::READ | kiln_object::Rights::MAP | kiln_object::Rights::WRITE).bits();
    let share = known::method::<dyn PagedFile>("share");
    let [_, shared, ..] = kernel(name, share, [caller, u64::from(rights), 0], 0)?;
    Ok(shared)
}

/// The processor of the victim's own activation: its page says something else once it was spoiled.
static VICTIMS: AtomicU32 = AtomicU32::new(u32::MAX);

/// Has the victim go on to bring pages here.
pub fn stay_here() {
    VICTIMS.store(
        dispatcher::page().cpu.load(Ordering::Relaxed),
        Ordering::Relaxed,
    );
}

/// Does what there is to do about pages for which others wait; whether some come later.
pub fn bring() -> bool {
    let cpu = match VICTIMS.load(Ordering::Relaxed) {
        u32::MAX => dispatcher::page().cpu.load(Ordering::Relaxed),
        victims => victims,
    };
    let Some(reading) = READING.get(cpu as usize) else {
        return false;
    };
    // Another process's activation may be here as well.
    if reading.swap(true, Ordering::Acquire) {
        return false;
    }
    // SAFETY: `prepare` has had it made; all of it is atomics.
    let ring = unsafe { &*(message_ring(cpu) as *const MessageRing) };
    let fill = known::method::<dyn Pager>("fill");
    while let Some(message) = ring.receive() {
        if message.caller == ProcessId::KERNEL.raw() && message.method == fill {
            let [key, offset, ..] = message.words;
            one(key, offset);
        } else if message.method == END
            && !super::is_attacker()
            && message.caller == super::program().raw()
        {
            kiln_runtime::entry::exit(9);
        }
    }
    if ring.take_want() {
        let process = startup().object(InitialObject::Process);
        let made_room = known::method::<dyn kiln_interface::kernel::Process>("made_room");
        let _ = kernel(process.object.raw(), made_room, [u64::from(cpu), 0, 0], 0);
    }
    reading.store(false, Ordering::Release);
    if IS_LATER.load(Ordering::Relaxed) {
        bring_later();
    }
    IS_LATER.load(Ordering::Relaxed)
}

fn one(key: u64, offset: u64) {
    let name = NAMES.get(key as u32 as usize);
    let name = name.map_or(0, |name| name.load(Ordering::SeqCst));
    let done = match How::of(key, offset) {
        How::Whole => supply(name, offset, PAGE_BYTES),
        How::Part => supply(name, offset, 1 + offset / PAGE_BYTES * 7 % 100),
        How::Late => {
            put_off(name, offset, time::monotonic_ns() + LATE_NS);
            Ok(())
        }
        How::Fail => fail(name, offset),
        How::Cut => {
            let cut = known::method::<dyn PagedFile>("set_length");
            ask(name, cut, [offset, 0], 0)
        }
        How::Leave => ask(name, universal::RELEASE, [0; 2], 0),
        How::Neighbour => {
            let _ = supply(name, offset ^ PAGE_BYTES, PAGE_BYTES);
            supply(name, offset, PAGE_BYTES)
        }
        How::Never => Ok(()),
        How::Exit => kiln_runtime::entry::exit(9),
    };
    tally::count(Row::PAGE_BROUGHT, Some(done.err().map_or(0, Error::code)));
    // Whoever waits goes on only when something has become of it.
    if matches!(done, Err(Error::Exhausted | Error::Busy)) {
        put_off(name, offset, time::monotonic_ns());
    }
}

fn put_off(name: u64, offset: u64, until: u64) {
    LATER.lock().push((name, offset, until));
    IS_LATER.store(true, Ordering::Relaxed);
}

fn bring_later() {
    let now = time::monotonic_ns();
    let due: Vec<_> = {
        let mut later = LATER.lock();
        let due = later
            .extract_if(.., |(_, _, until)| *until <= now)
            .collect();
        IS_LATER.store(!later.is_empty(), Ordering::Relaxed);
        due
    };
    for (name, offset, _) in due {
        // What cannot be brought will not come: there may be no memory for it.
        let done = supply(name, offset, PAGE_BYTES).or_else(|_| fail(name, offset));
        tally::count(Row::PAGE_BROUGHT, Some(done.err().map_or(0, Error::code)));
    }
}

fn supply(name: u64, offset: u64, bytes: u64) -> Result<(), Error> {
    let method = known::method::<dyn PagedFile>("supply");
    ask(name, method, [offset, 0], bytes as u16)
}

fn fail(name: u64, offset: u64) -> Result<(), Error> {
    ask(name, known::method::<dyn PagedFile>("fail"), [offset, 0], 0)
}

fn ask(name: u64, method: u16, [first, second]: [u64; 2], bytes: u16) -> Result<(), Error> {
    kernel(name, method, [first, second, 0], bytes).map(|_| ())
}

/// A call of an object of the kernel, which answers at once.
fn kernel(name: u64, method: u16, words: [u64; 3], bytes: u16) -> Result<[u64; 4], Error> {
    let object = RawReference {
        process: ProcessId::KERNEL,
        object: ObjectName::from_raw(name),
    };
    let word = CallWord::new(method, bytes, 0);
    let mut registers = Registers::call(object.process, object.object, word, 0);
    registers.set_words([words[0], words[1], words[2], 0, 0, 0]);
    registers.r14 = BROUGHT.as_ptr() as u64;
    registers.cross();
    match Error::from_code(ReturnWord(registers.rax).status()) {
        None => Ok(registers.results()),
        Some(error) => Err(error),
    }
}
