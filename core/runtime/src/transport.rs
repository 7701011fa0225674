//! Protected procedure calls: the `syscall` that crosses to another address space.
//!
//! The register table is in `kiln_object::call`. What comes back is checked before it is used: a
//! length longer than the buffer it was for is no answer.

#[cfg(not(kiln_kernel))]
use core::ptr::{null, null_mut};

#[cfg(not(kiln_kernel))]
use kiln_interface::kernel::Process as _;
#[cfg(not(kiln_kernel))]
use kiln_object::call::{CALL_WORDS, CallWord, MESSAGE_BYTES, PENDING, RETURN_WORDS, ReturnWord};
#[cfg(not(kiln_kernel))]
use kiln_object::dispatcher::soft_interrupt::CALL_DONE;
#[cfg(not(kiln_kernel))]
use kiln_object::{Error, ObjectName, ProcessId, RawReference, Reply, Transport};

/// Calls whatever process a reference names, through the kernel. For servers that live in the kernel
/// itself, `kernel_home` has the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Far;

#[cfg(not(kiln_kernel))]
impl Transport for Far {
    #[inline(always)]
    fn call(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Reply, Error> {
        if input.len() > MESSAGE_BYTES || output.len() > MESSAGE_BYTES {
            return Err(Error::TooLarge);
        }
        let word = CallWord::new(method, input.len() as u16, output.len() as u16);
        let (answer, words) = cross(word, reference, words, input.as_ptr(), output.as_mut_ptr());
        if answer.status() != 0 {
            return unusual(answer, words, output);
        }
        reply(answer, words, output)
    }

    #[inline(always)]
    fn send(
        &self,
        reference: RawReference,
        method: u16,
        words: [u64; CALL_WORDS],
    ) -> Result<(), Error> {
        let word = CallWord::one_way(method);
        let (answer, _) = cross(word, reference, words, null(), null_mut());
        match answer.status() {
            0 => Ok(()),
            _ => Err(failed(answer)),
        }
    }
}

#[cfg(not(kiln_kernel))]
#[inline(always)]
fn reply(answer: ReturnWord, words: [u64; RETURN_WORDS], output: &[u8]) -> Result<Reply, Error> {
    if answer.output() > output.len() {
        return Err(Error::BadAnswer);
    }
    Ok(Reply {
        words,
        output: answer.output(),
    })
}

/// What an answer that is not good means: an error, or that another processor is at it.
#[cfg(not(kiln_kernel))]
#[cold]
#[inline(never)]
fn unusual(
    answer: ReturnWord,
    words: [u64; RETURN_WORDS],
    output: &mut [u8],
) -> Result<Reply, Error> {
    if answer.status() != PENDING {
        return Err(failed(answer));
    }
    let ticket = RawReference {
        process: ProcessId::from_raw(words[0]),
        object: ObjectName::BOOTSTRAP,
    };
    let word = CallWord::collect(output.len() as u16);
    let mut collect = || {
        let found = cross(word, ticket, [0; CALL_WORDS], null(), output.as_mut_ptr());
        (found.0.status() != PENDING).then_some(found)
    };
    // A call that is served has no thread to park: it waits as a whole.
    let found = crate::thread::park_until(CALL_DONE, &mut collect);
    let (answer, words) = found.unwrap_or_else(|| {
        loop {
            if let Some(found) = collect() {
                return found;
            }
            let _ = crate::process().wait(u64::MAX);
        }
    });
    match answer.status() {
        0 => reply(answer, words, output),
        _ => Err(failed(answer)),
    }
}

#[cfg(not(kiln_kernel))]
#[cold]
#[inline(never)]
fn failed(answer: ReturnWord) -> Error {
    Error::from_code(answer.status()).unwrap_or(Error::BadAnswer)
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
        ) -> (ReturnWord, [u64; RETURN_WORDS]) {
            let answer: u64;
            let [mut first, mut second, mut third, mut fourth, fifth, sixth] = words;
            // SAFETY: the kernel reads and writes only the two buffers, whose lengths are in `word`,
            // and every register that it may change is declared or, for the two that cannot be,
            // saved here. The red zone is not in use, since the statement does not claim `nostack`.
            unsafe {
                core::arch::asm!(
                    "push rbx",
                    "push rbp",
                    $instruction,
                    "pop rbp",
                    "pop rbx",
                    $($operand = $kind $value,)?
                    inout("rax") word.0 => answer,
                    inout("rdi") reference.process.raw() => _,
                    inout("rsi") reference.object.raw() => _,
                    inout("rdx") first,
                    inout("r8") second,
                    inout("r9") third,
                    inout("r10") fourth,
                    inout("r12") fifth => _,
                    inout("r13") sixth => _,
                    inout("r14") input => _,
                    inout("r15") output => _,
                    clobber_abi("sysv64"),
                );
            }
            (ReturnWord(answer), [first, second, third, fourth])
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
fn cross(
    _word: CallWord,
    _reference: RawReference,
    _words: [u64; CALL_WORDS],
    _input: *const u8,
    _output: *mut u8,
) -> (ReturnWord, [u64; RETURN_WORDS]) {
    (
        ReturnWord(ReturnWord::answer(Error::Unsupported.code(), 0)),
        [0; RETURN_WORDS],
    )
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
