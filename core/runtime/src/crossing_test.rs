//! Both ends of a call against each other, with a jump where the kernel would be.
//!
//! The stand-in does with the registers what the table in `kiln_object::call` says: the callee gets
//! the caller's words on a stack of its own, the caller gets the status and four words, and every
//! other register comes back as garbage.

use alloc::sync::Arc;
use core::arch::naked_asm;

use kiln_interface::{FourWords, interface};
use kiln_object::call::{CALL_WORDS, Operation, universal};
use kiln_object::{Caller, Error, ProcessId, Reference, Rights, Transport as _};

use crate::call_entry::call_entry;
use crate::{Far, SpinMutex, objects};

const CLIENT: ProcessId = ProcessId::new(7, 3);

/// Has methods that use every register of the convention.
#[interface(name = "test.crossing")]
trait Crossing {
    /// Nothing at all.
    #[method(1, right = READ)]
    fn null(&self) -> Result<(), Error>;

    /// All words of a call and of a return.
    #[method(2, right = READ)]
    fn words(
        &self,
        first: (u64, u64),
        second: (u64, u64),
        third: (u64, u64),
    ) -> Result<FourWords, Error>;

    /// Bytes in both directions.
    #[method(3, right = READ)]
    fn reverse(&self, input: &[u8], output: &mut [u8]) -> Result<usize, Error>;

    /// Who calls, says the kernel.
    #[method(4, right = READ)]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error>;

    /// Fails.
    #[method(5, right = WRITE)]
    fn write(&self) -> Result<(), Error>;
}

struct Server;

impl Crossing for Server {
    fn null(&self) -> Result<(), Error> {
        Ok(())
    }

    fn words(
        &self,
        first: (u64, u64),
        second: (u64, u64),
        third: (u64, u64),
    ) -> Result<FourWords, Error> {
        Ok(((first.0 ^ third.0, first.1 ^ third.1), (second.0, second.1)))
    }

    fn reverse(&self, input: &[u8], output: &mut [u8]) -> Result<usize, Error> {
        let count = input.len().min(output.len());
        for (to, from) in output.iter_mut().zip(input.iter().rev()) {
            *to = *from;
        }
        Ok(count)
    }

    fn who(&self, caller: Caller) -> Result<ProcessId, Error> {
        Ok(caller.0)
    }

    fn write(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Where the callee runs, and the caller's stack pointer meanwhile. Used under [`TURN`].
#[repr(C, align(16))]
struct Slot {
    stack: [u8; 256 << 10],
    caller_stack: u64,
    padding: u64,
}

static SLOT: SpinMutex<Slot> = SpinMutex::new(Slot {
    stack: [0; 256 << 10],
    caller_stack: 0,
    padding: 0,
});

/// The address of the top of the stack in [`SLOT`], set before the first call.
static TOP: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// What the `syscall` of a call does.
#[unsafe(naked)]
pub extern "sysv64" fn call() {
    naked_asm!(
        "mov rcx, [rip + {top}]",
        "mov [rcx], rsp",
        "mov rsp, rcx",
        "mov rdi, {client}",
        "mov rbx, -1",
        "mov rbp, -1",
        "mov rcx, -1",
        "mov r11, -1",
        "jmp {entry}",
        top = sym TOP,
        client = const CLIENT.raw(),
        entry = sym call_entry,
    )
}

/// What the `syscall` of a return does.
#[unsafe(naked)]
pub extern "sysv64" fn come_back() {
    naked_asm!(
        "mov rcx, rax",
        "shr rcx, 48",
        "cmp rcx, {tag}",
        "je 2f",
        "ud2",
        "2: shl rax, 16",
        "shr rax, 16",
        "mov rcx, [rip + {top}]",
        "mov rsp, [rcx]",
        "mov rbx, -1",
        "mov rbp, -1",
        "mov rcx, -1",
        "mov rdi, -1",
        "mov rsi, -1",
        "mov r11, -1",
        "mov r12, -1",
        "mov r13, -1",
        "mov r14, -1",
        "mov r15, -1",
        "pcmpeqd xmm0, xmm0",
        "pcmpeqd xmm6, xmm6",
        "pcmpeqd xmm15, xmm15",
        "ret",
        top = sym TOP,
        tag = const Operation::Return as u64,
    )
}

#[test]
fn a_call_goes_there_and_back() {
    // Nothing else uses the slot while this is held.
    let slot = SLOT.lock();
    let top = core::ptr::from_ref(&slot.caller_stack).expose_provenance() as u64;
    TOP.store(top, core::sync::atomic::Ordering::Relaxed);
    let raw = objects::export(Arc::new(CrossingDispatch(Server)), CLIENT, Rights::READ)
        .expect("there is room");
    let stub = CrossingStub::new(Reference::new(raw), Far);
    // Values that must survive in registers over the calls.
    let (float, integer) = (core::hint::black_box(1.5f64), core::hint::black_box(99u64));
    assert_eq!(stub.null(), Ok(()));
    assert_eq!(
        stub.words((1, 2), (3, u64::MAX), (4, 5)),
        Ok(((5, 7), (3, u64::MAX)))
    );
    let mut output = [0xee; 8];
    assert_eq!(stub.reverse(b"abc", &mut output), Ok(3));
    assert_eq!(&output, b"cba\xee\xee\xee\xee\xee");
    assert_eq!(stub.who(Caller(ProcessId::NONE)), Ok(CLIENT));
    assert_eq!(stub.write(), Err(Error::Denied));
    // As `release` does it for a reference of another process.
    let released = Far.call(raw, universal::RELEASE, [0; CALL_WORDS], &[], &mut []);
    assert_eq!(released.map(|_| ()), Ok(()));
    assert_eq!(stub.null(), Err(Error::BadReference));
    assert_eq!((float * 2.0, integer + 1), (3.0, 100));
}
