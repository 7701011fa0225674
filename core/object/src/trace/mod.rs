//! Trace events: what kernel and processes note, and what a reader outside finds in memory.
//!
//! An event is four words in a ring that one processor writes for one process; nobody is asked and
//! nobody waits. Whoever reads a ring reads what somebody else is writing, or has spoiled: every
//! word is only what it is found to be.

pub mod directory;
pub mod ring;

use crate::{ProcessId, primitives};

bitflags::bitflags! {
    /// Events that are asked for together, by name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Groups: u32 {
        /// Calls between processes, and their answers.
        const CALLS = 1 << 0;
        /// Calls to the kernel's own objects.
        const KERNEL_CALLS = 1 << 1;
        /// Which activation runs, waits, and idle processors.
        const SWITCHES = 1 << 2;
        /// Exceptions, page faults above all.
        const FAULTS = 1 << 3;
        /// Interrupts of devices, timers and other processors.
        const INTERRUPTS = 1 << 4;
        /// Soft interrupts and one-way messages.
        const MESSAGES = 1 << 5;
        /// Starts and ends of processes.
        const PROCESSES = 1 << 6;
        /// What processes note themselves.
        const USER = 1 << 7;
        /// The interfaces of objects, for the names of calls to them.
        const OBJECTS = 1 << 8;
    }
}

/// The groups and their names, as on the command line.
pub const GROUP_NAMES: [(&str, Groups); 9] = [
    ("calls", Groups::CALLS),
    ("kernel-calls", Groups::KERNEL_CALLS),
    ("switches", Groups::SWITCHES),
    ("faults", Groups::FAULTS),
    ("interrupts", Groups::INTERRUPTS),
    ("messages", Groups::MESSAGES),
    ("processes", Groups::PROCESSES),
    ("user", Groups::USER),
    ("objects", Groups::OBJECTS),
];

impl Groups {
    /// The groups of a list of names between commas; `all` and `none` are names, too.
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let mut groups = Self::empty();
        for name in list.split(',') {
            groups |= match GROUP_NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, group)) => *group,
                None if name == "all" => Self::all(),
                None if name == "none" => Self::empty(),
                None => return Err(name),
            };
        }
        Ok(groups)
    }
}

/// Word of the kernel's command line that asks for events: `trace` or `trace=` and a list.
pub const COMMAND_WORD: &str = "trace";

/// Word of the kernel's command line with the bytes of each ring of the kernel, decimal.
pub const RING_WORD: &str = "trace-ring";

/// Bytes of one ring of the kernel if nobody says.
pub const DEFAULT_RING_BYTES: u64 = 256 << 10;

/// Most bytes of one ring.
pub const MOST_RING_BYTES: u64 = 64 << 20;

/// Bytes of one ring in a process.
pub const USER_RING_BYTES: u64 = 64 << 10;

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $number:literal in $group:ident,)*) => {
        /// What an event says. `small`, `a` and `b` are the event's three values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$meta])* $name = $number,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind of that number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The group that it belongs to.
            #[must_use]
            pub const fn group(self) -> Groups {
                match self {
                    $(Self::$name => Groups::$group,)*
                }
            }
        }
    };
}

kinds! {
    /// A call leaves. `small`: method, and from bit 16 how many calls the activation is in already;
    /// `a`: the target; `b`: the object.
    Call = 1 in CALLS,
    /// A call has come back, or could not be made. `small`: status, and the same depth; `a`: who
    /// answered, if the kernel knows.
    Return = 2 in CALLS,
    /// A call to an object of the kernel. `small`: method; `b`: the object.
    KernelCall = 3 in KERNEL_CALLS,
    /// It is answered. `small`: status.
    KernelReturn = 4 in KERNEL_CALLS,
    /// An activation runs from now on. `a`: the process in which it started; `b`: the process that it
    /// is in now; `small`: from bit 16 how many calls it is in, below [`serving`] of the call of another
    /// processor that it serves, or 0.
    Switch = 5 in SWITCHES,
    /// The processor has nothing to run. `a`: until when at most (ns, `u64::MAX` for ever).
    Idle = 6 in SWITCHES,
    /// The activation waits. `small`: a [`Reason`], which says what `a` is.
    Wait = 7 in SWITCHES,
    /// An exception. `small`: its number, and the error code's low byte from bit 16; `a`: the
    /// address of a page fault; `b`: the instruction.
    Fault = 8 in FAULTS,
    /// The kernel is done with it. `small`: 0 if it is resolved, 1 if the process is told, 2 if the
    /// process is ended.
    FaultDone = 9 in FAULTS,
    /// An interrupt. `small`: its vector; `a`: the instruction before which it came.
    Interrupt = 10 in INTERRUPTS,
    /// The kernel is done with it.
    InterruptDone = 11 in INTERRUPTS,
    /// Soft interrupts are raised. `a`: for which process; `b`: the bits.
    Raise = 12 in MESSAGES,
    /// The process is told of soft interrupts at its trap entry. `a`: the process; `b`: the bits.
    SoftInterrupt = 13 in MESSAGES,
    /// A one-way message leaves. `small`: method; `a`: the target; `b`: the object.
    Send = 14 in MESSAGES,
    /// A process is made. `a`: which.
    ProcessStart = 15 in PROCESSES,
    /// A process has ended. `a`: which; `small`: its status.
    ProcessEnd = 16 in PROCESSES,
    /// An object is handed out. `a`: its name; `b`: its interface's hash; `small`: 0 if the process
    /// serves it itself, [`holder`] of the process that holds it if the kernel does.
    Object = 17 in OBJECTS,
    /// A span of the process's own begins. `small`: bytes of its name, and its thread from bit 8;
    /// `a`: the name's address; `b`: a value.
    Begin = 18 in USER,
    /// It ends. The values are those of the beginning.
    End = 19 in USER,
    /// A point in time. The values are those of a beginning.
    Mark = 20 in USER,
    /// A thread is to wait, whose runtime lets others run meanwhile. The values are those of a wait.
    Park = 21 in SWITCHES,
    /// A call leaves for another processor. `small`: method, and its place among this processor's from
    /// bit 16; `a`: the target; `b`: the object.
    Post = 22 in CALLS,
    /// Its answer has come to the caller. `small`: status, and its place from bit 16; `a`: the processor
    /// whose place that is.
    Collect = 23 in CALLS,
    /// A call of another processor enters its target. `small`: method, and its place from bit 16; `a`: the
    /// caller; `b`: the caller's processor.
    Serve = 24 in CALLS,
    /// It is answered. `small`: status, and its place from bit 16; `a`: the target; `b`: the caller's
    /// processor.
    Answer = 25 in CALLS,
    /// An object of the servers in the kernel is handed out. `a`: its name; `b`: its interface's hash;
    /// `small`: [`holder`] of their process.
    HomeObject = 26 in OBJECTS,
}

/// The kernel's interrupt vectors, as [`Kind::Interrupt`] has them.
pub mod vector {
    /// The first that is given to a device; the next device gets the next one.
    pub const FIRST_DEVICE: u32 = 0x30;
    /// The last that is given to a device.
    pub const LAST_DEVICE: u32 = 0xef;
    /// The processor's own timer.
    pub const TIMER: u32 = 0xf0;
    /// Another processor asks for something.
    pub const WAKE: u32 = 0xf1;
    /// Nobody's.
    pub const SPURIOUS: u32 = 0xff;
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// For a soft interrupt. `a`: until when at most (ns, `u64::MAX` for ever).
    SoftInterrupt = 0,
    /// For the process `a`, which is called and starts or ends.
    Start = 1,
    /// For room in the process `a`.
    Room = 2,
    /// For the answer of the process `a`, which runs on another processor.
    Answer = 3,
    /// For the page at the address `a`, which a server brings.
    Page = 4,
}

impl Reason {
    /// The reason of that number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::SoftInterrupt),
            1 => Some(Self::Start),
            2 => Some(Self::Room),
            3 => Some(Self::Answer),
            4 => Some(Self::Page),
            _ => None,
        }
    }
}

/// Places for calls to other processors that are told apart on one processor, for [`serving`]: those of
/// 125 processes.
pub const MOST_PLACES: u32 = 1000;

/// A call of processor `cpu` in one of its places, as 16 bits that are not zero.
#[must_use]
pub const fn serving(cpu: u32, place: u32) -> u32 {
    cpu.wrapping_mul(MOST_PLACES)
        .wrapping_add(place)
        .wrapping_add(1)
        & 0xffff
}

/// An event as a reader found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time stamp counter.
    pub stamp: u64,
    /// Number of the event in its ring, from 1, modulo 2³².
    pub sequence: u32,
    /// What it says, by number: see [`Kind::from_number`].
    pub kind: u8,
    /// The first value: 24 bits.
    pub small: u32,
    /// The second.
    pub a: u64,
    /// The third.
    pub b: u64,
}

/// Bytes of an event in a ring.
pub const EVENT_BYTES: usize = 32;

/// A process in 24 bits, which are not zero: its place, and the lower part of its incarnation.
#[must_use]
pub const fn holder(process: ProcessId) -> u32 {
    1 << 23 | (process.incarnation() & 0xfff) << 11 | process.index() & 0x7ff
}

/// The kind and the first value in one word, which lacks the sequence number.
#[inline(always)]
#[must_use]
pub const fn head(kind: Kind, small: u32) -> u64 {
    // What does not fit is shifted out.
    (small as u64) << 40 | (kind as u64) << 32
}

impl Event {
    /// Takes the four words of an event apart.
    #[must_use]
    pub const fn from_words([stamp, head, a, b]: [u64; 4]) -> Self {
        Self {
            stamp,
            sequence: head as u32,
            kind: (head >> 32) as u8,
            small: (head >> 40) as u32,
            a,
            b,
        }
    }

    /// Reads an event out of memory.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; EVENT_BYTES]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self::from_words(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_asked_for_by_name() {
        assert_eq!(Groups::parse("all"), Ok(Groups::all()));
        assert_eq!(Groups::parse("none"), Ok(Groups::empty()));
        let two = Groups::CALLS | Groups::FAULTS;
        assert_eq!(Groups::parse("faults,calls"), Ok(two));
        assert_eq!(Groups::parse("calls,faulst"), Err("faulst"));
        assert_eq!(Groups::parse(""), Err(""));
        let named = GROUP_NAMES
            .iter()
            .fold(Groups::empty(), |all, (_, group)| all | *group);
        assert_eq!(named, Groups::all());
    }

    #[test]
    fn kinds_are_their_numbers() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(*kind as u8), Some(*kind));
            assert!(!kind.group().is_empty());
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_number(255), None);
    }

    #[test]
    fn an_event_is_read_as_it_was_packed() {
        let head = head(Kind::Return, 0xff_1234) | 77;
        let mut bytes = [0; EVENT_BYTES];
        for (to, word) in bytes
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip([5, head, 6, u64::MAX])
        {
            *to = word.to_le_bytes();
        }
        let expected = Event {
            stamp: 5,
            sequence: 77,
            kind: Kind::Return as u8,
            small: 0xff_1234,
            a: 6,
            b: u64::MAX,
        };
        assert_eq!(Event::from_bytes(&bytes), expected);
    }
}
