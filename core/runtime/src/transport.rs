//! Protected procedure calls: the `syscall` that crosses to another address space.
//!
//! The register table is in `kiln_object::call`. What comes back is checked before it is used: a
//! length longer than the buffer it was for is no answer.

#[cfg(not(kiln_kernel))]
use core::ops::ControlFlow::{Break, Continue};
#[cfg(not(kiln_kernel))]
use core::ptr::{null, null_mut};
#[cfg(not(kiln_kernel))]
use core::sync::atomic::Ordering::Relaxed;

use kiln_object::Error;
use kiln_object::call::ReturnWord;
#[cfg(not(kiln_kernel))]
use kiln_object::call::{CALL_WORDS, CallWord, MESSAGE_BYTES, RETURN_WORDS};
#[cfg(not(kiln_kernel))]
use kiln_object::dispatcher::soft_interrupt::{CALL_DONE, RETRY};
#[cfg(not(kiln_kernel))]
use kiln_object::{ObjectName, ProcessId, RawReference, Reply, Transport};

#[cfg(not(kiln_kernel))]
use crate::time::monotonic_ns;

/// Calls whatever process a reference names, through the kernel. A call or a message that finds no
/// room where it goes (see [`TryFar`]) waits until there is some: the thread parks, and others run. It
/// waits no longer than the process there may take for an answer; then it gets `TimedOut`.
///
/// For servers that live in the kernel itself, `kernel_home` has the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Far;

/// As [`Far`], but a call or a message that finds no room is answered with `Busy` at once: if all
/// call slots of a server are taken, or a ring of messages is full, or as many calls are under way to
/// other processors as can be.
#[cfg(not(kiln_kernel))]
#[derive(Clone, Copy, Debug, Default)]
pub struct TryFar;

/// Why there is no good answer: an error, and whether anybody has seen anything of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its status is the code of an error.
    word: ReturnWord,
}

impl From<Error> for Failure {
    #[inline(always)]
    fn from(error: Error) -> Self {
        Self {
            word: ReturnWord(ReturnWord::answer(error.code(), 0)),
        }
    }
}

impl From<Failure> for Error {
    #[inline(always)]
    fn from(failure: Failure) -> Self {
        // SAFETY: that of a failure is the code of an error.
        unsafe { core::mem::transmute::<u16, Error>(failure.word.status()) }
    }
}

impl Failure {
    /// The call did not begin, since its process had ended before.
    #[cfg(test)]
    pub(crate) fn not_begun() -> Self {
        Self {
            word: ReturnWord(ReturnWord::not_begun(Error::ServerDied)),
        }
    }

    /// Whether nobody has seen anything of the call.
    pub(crate) fn is_not_begun(self) -> bool {
        self.word.is_not_begun()
    }
}

#[cfg(not(kiln_kernel))]
macro_rules! transport {
    ($name:ident, $waits:literal) => {
        impl $name {
            /// [`Transport::call`], which also says whether a call that failed has begun.
            #[inline(always)]
            pub(crate) fn attempt(
                &self,
                reference: RawReference,
                method: u16,
                words: [u64; CALL_WORDS],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<Reply, Failure> {
                if input.len() > MESSAGE_BYTES || output.len() > MESSAGE_BYTES {
                    return Err(Error::TooLarge.into());
                }
                let word = CallWord::new(method, input.len() as u16, output.len() as u16);
                let word = if $waits { word } else { without_waiting(word) };
                let (input, room) = (input.as_ptr(), output.len());
                let crossed = cross(word, reference, words, input, output.as_mut_ptr());
                let crossed = crossed.answered($waits, room)?;
                if crossed.answer().output() > room {
                    return Err(Error::BadAnswer.into());
                }
                Ok(Reply {
                    words: crossed.words(),
                    output: crossed.answer().output(),
                })
            }
        }

        impl Transport for $name {
            #[inline(always)]
            fn call(
                &self,
                reference: RawReference,
                method: u16,
                words: [u64; CALL_WORDS],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<Reply, Error> {
                self.attempt(reference, method, words, input, output)
                    .map_err(Error::from)
            }

            #[inline(always)]
            fn call_words(
                &self,
                reference: RawReference,
                method: u16,
                words: [u64; CALL_WORDS],
            ) -> Result<[u64; RETURN_WORDS], Error> {
                let word = CallWord::new(method, 0, 0);
                let word = if $waits { word } else { without_waiting(word) };
                let crossed = cross_with_words(word, reference, words);
                Ok(crossed.answered($waits, 0)?.words())
            }

            #[inline(always)]
            fn send(
                &self,
                reference: RawReference,
                method: u16,
                words: [u64; CALL_WORDS],
            ) -> Result<(), Error> {
                let word = CallWord::one_way(method);
                let word = if $waits { word } else { word.at_once() };
                let crossed = cross_with_words(word, reference, words);
                crossed.answered($waits, 0)?;
                Ok(())
            }
        }
    };
}

/// The word for a call that is not to wait for room. A thread is never made to: only where there is none
/// must the kernel know, which such a word reaches on a longer way.
#[cfg(not(kiln_kernel))]
#[inline(always)]
fn without_waiting(word: CallWord) -> CallWord {
    if crate::thread::may_be_served_call() {
        word.at_once()
    } else {
        word
    }
}

#[cfg(not(kiln_kernel))]
transport!(Far, true);
#[cfg(not(kiln_kernel))]
transport!(TryFar, false);

/// The registers after a crossing, in the order in which [`settle_registers`] pushes them: of one that
/// is not over they are as they came, or say where to collect the answer.
#[cfg(not(kiln_kernel))]
#[derive(Clone, Copy)]
#[repr(C)]
struct Crossed {
    rax: u64,
    rdi: u64,
    rsi: u64,
    rdx: u64,
    r8: u64,
    r9: u64,
    r10: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
}

/// A statement with the registers of the convention as an expression says, which answers them as it
/// leaves them; without bytes (`out`) those for their addresses need not be set.
#[cfg(not(kiln_kernel))]
macro_rules! crossing {
    ([$($instruction:literal),*], $bytes:ident, $from:expr $(, $operand:ident = $kind:ident $value:path)?
     $(; $register:tt = $word:expr)*) => {{
        let mut crossed: Crossed = $from;
        // SAFETY: the kernel reads and writes only the two buffers, whose lengths are in the word,
        // and every register that may change is declared or, for the two that cannot be, saved here.
        // The red zone is not in use, since the statement does not claim `nostack`.
        unsafe {
            core::arch::asm!(
                $($instruction,)*
                $($operand = $kind $value,)?
                $(in($register) $word,)*
                inout("rax") crossed.rax,
                inout("rdi") crossed.rdi,
                inout("rsi") crossed.rsi,
                inout("rdx") crossed.rdx,
                inout("r8") crossed.r8,
                inout("r9") crossed.r9,
                inout("r10") crossed.r10,
                inout("r12") crossed.r12,
                inout("r13") crossed.r13,
                $bytes("r14") crossed.r14,
                $bytes("r15") crossed.r15,
                clobber_abi("sysv64"),
            );
        }
        crossed
    }};
}

#[cfg(not(kiln_kernel))]
impl Crossed {
    #[inline(always)]
    fn begin(
        word: CallWord,
        reference: RawReference,
        words: [u64; CALL_WORDS],
        input: *const u8,
        output: *mut u8,
    ) -> Self {
        let [rdx, r8, r9, r10, r12, r13] = words;
        Self {
            rax: word.0,
            rdi: reference.process.raw(),
            rsi: reference.object.raw(),
            rdx,
            r8,
            r9,
            r10,
            r12,
            r13,
            r14: input as u64,
            r15: output as u64,
        }
    }

    /// What an error leaves.
    fn failed(error: Error) -> Self {
        Self {
            rax: ReturnWord::answer(error.code(), 0),
            ..Self::begin(
                CallWord(0),
                RawReference::NONE,
                [0; CALL_WORDS],
                null(),
                null_mut(),
            )
        }
    }

    #[inline(always)]
    fn answer(&self) -> ReturnWord {
        ReturnWord(self.rax)
    }

    #[inline(always)]
    fn words(&self) -> [u64; RETURN_WORDS] {
        [self.rdx, self.r8, self.r9, self.r10]
    }

    /// The registers once the call is over, or what went wrong; `room` is that for bytes.
    #[inline(always)]
    fn answered(self, waits: bool, room: usize) -> Result<Self, Failure> {
        if self.answer().status() == 0 {
            return Ok(self);
        }
        let settled = self.settle(waits, room);
        if settled.answer().status() == 0 {
            Ok(settled)
        } else {
            // `settle` leaves a status that is zero or the code of an error.
            Err(Failure {
                word: settled.answer(),
            })
        }
    }

    /// Whether there was no room.
    fn found_no_room(&self) -> bool {
        self.answer().is_unfinished() && self.answer().status() == Error::Busy.code()
    }

    /// Crosses with these registers and that word.
    fn again(&self, word: CallWord) -> Self {
        let reference = RawReference {
            process: ProcessId::from_raw(self.rdi),
            object: ObjectName::from_raw(self.rsi),
        };
        let words = [self.rdx, self.r8, self.r9, self.r10, self.r12, self.r13];
        let (input, output) = (self.r14 as *const u8, self.r15 as *mut u8);
        cross(word, reference, words, input, output)
    }

    /// [`settle`], for what has no good answer.
    #[inline(always)]
    fn settle(self, waits: bool, output: usize) -> Self {
        crossing!(
            ["call {settle}"], inout, self, settle = sym settle_registers;
            "r11" = u64::from(waits); "rcx" = output as u64
        )
    }
}

/// [`settle`] of the registers as they are, with `waits` in `r11` and the room for bytes in `rcx`: so
/// it is one instruction wherever a call is made.
#[cfg(not(kiln_kernel))]
#[unsafe(naked)]
extern "sysv64" fn settle_registers() {
    core::arch::naked_asm!(
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r10",
        "push r9",
        "push r8",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rax",
        "mov rdi, rsp",
        "mov esi, r11d",
        "mov edx, ecx",
        "call {settle}",
        "pop rax",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r8",
        "pop r9",
        "pop r10",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "ret",
        settle = sym settle,
    )
}

/// Ends a crossing that has no good answer: what is not over is seen to, and a status that is no error's
/// replaced. There is room for `output` bytes.
#[cfg(not(kiln_kernel))]
extern "sysv64" fn settle(crossed: &mut Crossed, waits: u32, output: u32) {
    let output = output as u16;
    while crossed.answer().is_unfinished() {
        *crossed = if !crossed.found_no_room() {
            collect(crossed, output)
        } else if waits != 0 {
            try_until_there_is_room(crossed, output)
        } else {
            Crossed::failed(Error::Busy)
        };
    }
    let status = crossed.answer().status();
    if status != 0 && Error::from_code(status).is_none() {
        *crossed = Crossed::failed(Error::BadAnswer);
    }
}

/// Makes a call again whenever there may be room, for as long as the kernel says that it makes sense.
#[cfg(not(kiln_kernel))]
fn try_until_there_is_room(first: &Crossed, output: u16) -> Crossed {
    let mut until = u64::MAX;
    let attempt = || {
        let crossed = first.again(first.answer().call(output));
        if !crossed.found_no_room() {
            return Break(crossed);
        }
        // The thread stays on the dispatcher that was told, and no other runs there.
        match crate::dispatcher::page().room_limit.load(Relaxed) {
            // Who waits for a start meanwhile waits for another life: that has its own time.
            0 => until = u64::MAX,
            limit => {
                let now = monotonic_ns();
                until = until.min(now.saturating_add(limit));
                if until <= now {
                    return Break(Crossed::failed(Error::TimedOut));
                }
            }
        }
        Continue(until)
    };
    // The kernel notes for what, and where there is none.
    let _span = crate::trace_span!("waits for room", first.rdi);
    // The kernel itself stops a call that is served, which has no thread to park.
    crate::thread::park_and_try(RETRY, attempt).unwrap_or_else(|| Crossed::failed(Error::Busy))
}

/// Waits for the answer of a call that another processor serves.
#[cfg(not(kiln_kernel))]
fn collect(pending: &Crossed, output: u16) -> Crossed {
    let ticket = Crossed {
        rdi: pending.rdx,
        ..*pending
    };
    let attempt = || {
        let crossed = ticket.again(CallWord::collect(output));
        (!crossed.answer().is_unfinished()).then_some(crossed)
    };
    let _span = crate::trace_span!("waits for an answer", pending.rdx);
    // The kernel itself stops a call that is served, which has no thread to park.
    crate::thread::park_until(CALL_DONE, attempt).unwrap_or_else(|| Crossed::failed(Error::Busy))
}

/// The crossing itself, with the instruction that makes it.
#[cfg(all(any(kiln_freestanding, test), not(kiln_kernel)))]
macro_rules! cross_by {
    ($instruction:literal $(, $operand:ident = $kind:ident $value:path)?) => {
        /// The crossing. The lengths in `word` are those of the buffers.
        #[inline(always)]
        fn cross(
            word: CallWord,
            reference: RawReference,
            words: [u64; CALL_WORDS],
            input: *const u8,
            output: *mut u8,
        ) -> Crossed {
            crossing!(
                ["push rbx", "push rbp", $instruction, "pop rbp", "pop rbx"],
                inout,
                Crossed::begin(word, reference, words, input, output)
                $(, $operand = $kind $value)?
            )
        }

        /// The crossing without bytes: there are no lengths in `word`.
        #[inline(always)]
        fn cross_with_words(
            word: CallWord,
            reference: RawReference,
            words: [u64; CALL_WORDS],
        ) -> Crossed {
            crossing!(
                ["push rbx", "push rbp", $instruction, "pop rbp", "pop rbx"],
                out,
                Crossed::begin(word, reference, words, null(), null_mut())
                $(, $operand = $kind $value)?
            )
        }
    };
}

#[cfg(all(kiln_freestanding, not(kiln_kernel)))]
cross_by!("syscall");

#[cfg(all(test, not(kiln_freestanding)))]
cross_by!("call {kernel}", kernel = sym crate::crossing_test::call);

/// There is no kernel to cross to on the host.
#[cfg(not(any(kiln_freestanding, test)))]
#[inline(always)]
fn cross_with_words(word: CallWord, reference: RawReference, words: [u64; CALL_WORDS]) -> Crossed {
    cross(word, reference, words, null(), null_mut())
}

/// There is no kernel to cross to on the host.
#[cfg(not(any(kiln_freestanding, test)))]
#[inline(always)]
fn cross(
    word: CallWord,
    reference: RawReference,
    words: [u64; CALL_WORDS],
    input: *const u8,
    output: *mut u8,
) -> Crossed {
    Crossed {
        rax: ReturnWord::answer(Error::Unsupported.code(), 0),
        ..Crossed::begin(word, reference, words, input, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_do_not_fit_are_not_sent() {
        let long = [0u8; MESSAGE_BYTES + 1];
        let call = |input: &[u8], output: &mut [u8]| {
            Far.call(RawReference::NONE, 1, [0; CALL_WORDS], input, output)
        };
        assert_eq!(call(&long, &mut []), Err(Error::TooLarge));
        assert_eq!(call(&[], &mut long.clone()), Err(Error::TooLarge));
    }
}
