//! The registers of a native call, as caller, kernel and callee agree on them.
//!
//! A native call is the `syscall` instruction with bit 63 of `rax` set; anything else is a foreign
//! system call and is reflected to the process's own entry. Registers at the instruction:
//!
//! | register | call | as the callee is entered | return | as the caller resumes |
//! | --- | --- | --- | --- | --- |
//! | `rax` | [`CallWord`] | the same, lengths checked | [`ReturnWord`] | [`ReturnWord`] |
//! | `rdi` | target process | caller's identity | | |
//! | `rsi` | object name | object name | | |
//! | `rdx r8 r9 r10 r12 r13` | words 0-5 | words 0-5 | words 0-3 in `rdx r8 r9 r10` | words 0-3 |
//! | `r14` | address of the bytes in | address of the copy | | |
//! | `r15` | address for the bytes out | address to write them to | | |
//!
//! Everything else is clobbered: the kernel hands no register of one address space to another.

/// Longest byte string that one call carries in each direction.
pub const MESSAGE_BYTES: usize = 4096;

/// Status of a call that another processor serves: the first result word is the ticket with which to
/// collect the answer, and `r15` is as it was. Nobody above the runtime sees it.
pub const PENDING: u16 = 0xfffe;

/// Tag of a word with which the kernel says that the call is not over: it is pending ([`PENDING`]), or
/// there was no room for it where it went (`Busy`). No callee can answer with a tag.
///
/// In the second case the caller's dispatcher is noted there, and
/// [`RETRY`](crate::dispatcher::soft_interrupt::RETRY) will be raised when there may be room; all
/// registers but `rax` are as they came, so that the call can be made again: see [`ReturnWord::call`].
/// For how long that makes sense is in [`DispatcherPage::room_limit`](crate::dispatcher::DispatcherPage::room_limit).
pub const UNFINISHED: u16 = 0xcb06;

/// Tag of a word with which the kernel says that the call did not begin, as the process that was to be
/// called had ended before: so it can be made elsewhere. An error that comes without it says nothing of
/// how far the callee got.
pub const NOT_BEGUN: u16 = 0xcb07;

/// How many words a call carries in registers.
pub const CALL_WORDS: usize = 6;

/// How many words a return carries in registers.
pub const RETURN_WORDS: usize = 4;

/// Methods from here on mean the same for every object; see [`universal`].
pub const FIRST_UNIVERSAL_METHOD: u16 = 0xff00;

/// Methods that every object understands; the object table answers them.
pub mod universal {
    /// On a [bootstrap object](crate::ObjectName::bootstrap): word 0 is the hash of the wanted
    /// interface; answers the object name of a reference for the caller in word 0.
    pub const BIND: u16 = 0xff00;
    /// Word 0: the process to give to, word 1: rights to keep; answers the object name of the new
    /// reference in word 0. Needs the right `GRANT`.
    pub const GRANT: u16 = 0xff01;
    /// Gives the reference back.
    pub const RELEASE: u16 = 0xff02;
    /// Word 0: a process, word 1: the object name that a `GRANT` by this caller answered for that
    /// process. Takes the reference from it. The reference that it is asked of need not be to the
    /// same object.
    pub const TAKE_BACK: u16 = 0xff03;
    /// Word 0: who is said to have given the caller this reference, word 1: the hash of the interface
    /// that it is said to be of. Answers the reference's rights in word 0, or `Denied` if it came to
    /// the caller in another way.
    pub const ACCEPT: u16 = 0xff04;
    /// Writes what was counted of each method of the object's interface, in the process that serves
    /// it, as [`MethodCount`](crate::count::MethodCount). Needs the right `CONTROL`.
    pub const COUNTS: u16 = 0xff05;
    /// Answers in word 0 how many references the caller pays for in the process that serves the object:
    /// those that it has and those that it gave to others.
    pub const HELD: u16 = 0xff06;

    /// The name of a universal method, for people.
    #[must_use]
    pub const fn name(method: u16) -> Option<&'static str> {
        match method {
            BIND => Some("bind"),
            GRANT => Some("grant"),
            RELEASE => Some("release"),
            TAKE_BACK => Some("take_back"),
            ACCEPT => Some("accept"),
            COUNTS => Some("counts"),
            HELD => Some("held"),
            _ => None,
        }
    }
}

/// What the tag of `rax` asks the kernel to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// Call a method of an object.
    Call = 0xcb01,
    /// Return from the call being served.
    Return = 0xcb02,
    /// Go on with the context saved in the dispatcher page's trap frame.
    Resume = 0xcb03,
    /// Send a one-way message: registers as for a call without bytes.
    Send = 0xcb04,
    /// Collect the answer of a call that was pending: `rdi` is the ticket, which names this call only, and `r15`
    /// the address for the bytes out. Answers as the call would have, or that it is pending.
    Collect = 0xcb05,
}

/// In a [`CallWord`]: whoever makes the call while it serves another does not wait for room, but is
/// answered with `Busy` at once. No callee sees it.
const AT_ONCE: u64 = 1 << 47;

/// `rax` of a call: tag, lengths of both byte strings, method number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallWord(pub u64);

impl CallWord {
    /// The word for `method` with `input` bytes in and room for `output` bytes out.
    ///
    /// Lengths above [`MESSAGE_BYTES`] are the caller's error; the kernel refuses them.
    #[must_use]
    pub const fn new(method: u16, input: u16, output: u16) -> Self {
        Self(
            (Operation::Call as u64) << 48
                | (input as u64) << 32
                | (output as u64) << 16
                | method as u64,
        )
    }

    /// The word for a one-way message: no bytes travel.
    #[must_use]
    pub const fn one_way(method: u16) -> Self {
        Self((Operation::Send as u64) << 48 | method as u64)
    }

    /// The word that collects the answer of a pending call, with room for `output` bytes.
    #[must_use]
    pub const fn collect(output: u16) -> Self {
        Self((Operation::Collect as u64) << 48 | (output as u64) << 16)
    }

    /// The same for a caller that does not want to wait for room where it has no thread to park: while it
    /// serves a call.
    #[must_use]
    pub const fn at_once(self) -> Self {
        Self(self.0 | AT_ONCE)
    }

    /// Whether it is such a one.
    #[must_use]
    pub const fn is_at_once(self) -> bool {
        self.0 & AT_ONCE != 0
    }

    /// The same as the callee sees it.
    #[must_use]
    pub const fn plain(self) -> Self {
        Self(self.0 & !AT_ONCE)
    }

    /// The tag, to be compared with [`Operation`].
    #[must_use]
    pub const fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Bytes that go in.
    #[must_use]
    pub const fn input(self) -> usize {
        (self.0 >> 32) as u16 as usize
    }

    /// Bytes that may come out.
    #[must_use]
    pub const fn output(self) -> usize {
        (self.0 >> 16) as u16 as usize
    }

    /// Which method.
    #[must_use]
    pub const fn method(self) -> u16 {
        self.0 as u16
    }
}

/// `rax` of a return: tag, status, bytes out. As the caller sees it, the tag is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReturnWord(pub u64);

impl ReturnWord {
    /// The word for an answer of `status` (0 or an [`Error`](crate::Error) code) and `output` bytes.
    #[must_use]
    pub const fn new(status: u16, output: u16) -> Self {
        Self((Operation::Return as u64) << 48 | (output as u64) << 16 | status as u64)
    }

    /// The same without the tag, as it is handed to the caller.
    #[must_use]
    pub const fn answer(status: u16, output: u16) -> u64 {
        (output as u64) << 16 | status as u64
    }

    /// The word of the kernel for a call that is pending, with room for `output` bytes.
    #[must_use]
    pub const fn pending(output: u16) -> u64 {
        (UNFINISHED as u64) << 48 | Self::answer(PENDING, output)
    }

    /// The word of the kernel for a call or a message that found no room.
    #[must_use]
    pub const fn no_room(call: CallWord) -> u64 {
        let call = call.plain();
        let one_way = (call.tag() == Operation::Send as u16) as u64;
        (UNFINISHED as u64) << 48
            | one_way << 47
            | (call.input() as u64) << 32
            | Self::answer(crate::Error::Busy.code(), call.method())
    }

    /// The word of the kernel for a call that did not begin because of `error`.
    #[must_use]
    pub const fn not_begun(error: crate::Error) -> u64 {
        (NOT_BEGUN as u64) << 48 | Self::answer(error.code(), 0)
    }

    /// Whether nobody has seen anything of the call.
    #[must_use]
    pub const fn is_not_begun(self) -> bool {
        self.0 >> 48 == NOT_BEGUN as u64
    }

    /// Whether the call is not over.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        self.0 >> 48 == UNFINISHED as u64
    }

    /// The word with which to try again what found no room, with room for `output` bytes.
    #[must_use]
    pub const fn call(self, output: u16) -> CallWord {
        let method = (self.0 >> 16) as u16;
        if self.0 >> 47 & 1 != 0 {
            return CallWord::one_way(method);
        }
        CallWord::new(method, (self.0 >> 32) as u16, output)
    }

    /// Bytes that came out.
    #[must_use]
    pub const fn output(self) -> usize {
        (self.0 >> 16) as u16 as usize
    }

    /// Zero, or the code of an [`Error`](crate::Error).
    #[must_use]
    pub const fn status(self) -> u16 {
        self.0 as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_wait_makes_the_same_call() {
        for call in [CallWord::new(0xff05, 4096, 64), CallWord::one_way(7)] {
            let at_once = call.at_once();
            assert!(at_once.is_at_once() && !call.is_at_once());
            assert_eq!((at_once.tag(), at_once.plain()), (call.tag(), call));
            let answer = ReturnWord(ReturnWord::no_room(at_once));
            assert_eq!(answer.call(call.output() as u16), call);
        }
    }

    #[test]
    fn what_found_no_room_can_be_tried_again() {
        for call in [CallWord::new(0, 4096, 4096), CallWord::new(0xff05, 0, 64)] {
            let answer = ReturnWord(ReturnWord::no_room(call));
            assert!(answer.is_unfinished());
            assert_eq!(answer.status(), crate::Error::Busy.code());
            assert_eq!(answer.call(call.output() as u16), call);
        }
        let message = CallWord::one_way(7);
        let answer = ReturnWord(ReturnWord::no_room(message));
        assert_eq!(answer.call(0), message);
        assert!(!ReturnWord(ReturnWord::answer(0xffff, 0xffff)).is_unfinished());
        let not_begun = ReturnWord(ReturnWord::not_begun(crate::Error::ServerDied));
        assert!(not_begun.is_not_begun() && !not_begun.is_unfinished());
        assert_eq!(not_begun.status(), crate::Error::ServerDied.code());
        assert!(!ReturnWord(ReturnWord::answer(0xffff, 0xffff)).is_not_begun());
        assert!(ReturnWord(ReturnWord::pending(8)).is_unfinished());
    }
}
