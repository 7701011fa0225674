//! The component as a server that does what its client says, to see what its end does to others.
//!
//! Its entry takes calls from anybody and writes first of all every register that it was entered
//! with to the page for the bytes out. When it returns, all registers that carry no answer hold its
//! own marks: none may reach the caller.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_object::call::{CALL_WORDS, CallWord, Operation, ReturnWord, universal};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ObjectName, ProcessId};
use kiln_runtime::{dispatcher, process, startup, time};

use crate::registers::Registers;
use crate::{memory, storm};

/// What a client can ask for, as method numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Command {
    /// Nothing but the registers, as bytes out.
    Show = 1,
    /// End the process.
    Exit = 2,
    /// Make an exception.
    Trap = 3,
    /// Wait for as many nanoseconds as word 0 says.
    Wait = 4,
    /// Call the process in word 0, its object in word 1, with the method in word 2 and the following
    /// words; answers the status and three result words.
    Call = 5,
    /// Claim that a soft interrupt is pending, and end.
    EndPending = 6,
    /// Give the caller (word 0) the objects of this process; answers address space and process.
    Give = 7,
    /// Have the process's own activation end it at the time in word 0.
    EndLater = 8,
    /// Make as many unfiltered random calls as word 1 says, with the seed in word 0.
    Storm = 9,
    /// Overflow the stack.
    Overflow = 10,
    /// Unmap the code that runs.
    Unmap = 11,
    /// Write nonsense over the page shared with the kernel.
    Spoil = 12,
    /// Answer more bytes than there are.
    Boast = 13,
    /// Call this process again and again; answers how often that went well.
    Nest = 14,
    /// Answer as if twice, the second time in the place of the caller.
    ReturnTwice = 15,
    /// Fill words 0 and 1 (address, bytes) of its memory, without end if they do not fit.
    Fill = 16,
    /// Attack together with others: batch number in word 0, calls of each dispatcher in word 1.
    Begin = 17,
    /// How the batch in word 0 goes: answers whether it is over, the calls so far, those that
    /// succeeded, and what the dispatcher on the processor in word 1 does.
    Progress = 18,
    /// How many references this process pays for, at each server and in the kernel.
    Held = 19,
    /// Counts of the answers in the row in word 0, from the column in word 1 (see `together::tally`).
    Tally = 20,
    /// A name that this process was given, in word 0: perhaps of a file (see `together::offered`).
    Offer = 21,
    /// Make a file of the bytes in word 1 for the caller, whose pages come as word 0 says (see
    /// `together::pager`); answers his name for it.
    File = 22,
    /// Compute without end.
    Spin = 23,
}

/// Word of a register mark of this server; its clients use others.
const MARK: u64 = 0x5e5e_0000_5e5e_005e;

/// What the entry saves.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Shown {
    /// The registers at the entry.
    pub registers: Registers,
    padding: [u64; 32],
    /// FXSAVE's area.
    pub legacy: [u8; 512],
    /// FS base, GS base and the protection keys' rights.
    pub bases: [u64; 3],
    rest: [u64; 61],
    /// The answer.
    words: [u64; 4],
}

const _: () = assert!(core::mem::offset_of!(Shown, legacy) == 1024);
const _: () = assert!(core::mem::offset_of!(Shown, bases) == 1536);
const _: () = assert!(core::mem::offset_of!(Shown, words) == 2048);

/// When the process's own activation ends it; 0 for never.
static END_AT: AtomicU64 = AtomicU64::new(0);

/// The life of such a server.
pub fn main() {
    serve_calls();
    // The runtime's loop would serve; this one also ends when it was told to.
    loop {
        let end = END_AT.load(Ordering::Acquire);
        if end != 0 && time::monotonic_ns() >= end {
            kiln_runtime::entry::exit(3);
        }
        let deadline = if crate::together::is_wanted() && crate::together::pager::bring() {
            time::monotonic_ns() + 1_000_000
        } else if end == 0 {
            u64::MAX
        } else {
            end
        };
        let _ = process().wait(deadline);
        dispatcher::page().pending.store(0, Ordering::Relaxed);
    }
}

/// Makes the entry the process's entry for calls.
pub fn serve_calls() {
    let _ = process().set_entries(entry_address(), 0, crate::caught::entry_address());
}

/// Runs a command; answers the word for the return.
///
/// # Safety
/// `shown` is the page for the bytes out.
#[cfg_attr(not(kiln_freestanding), allow(dead_code))]
unsafe extern "sysv64" fn serve(shown: *mut Shown) -> u64 {
    // SAFETY: by the contract; nothing else uses the page meanwhile.
    let shown = unsafe { &mut *shown };
    let registers = shown.registers;
    let word = CallWord(registers.rax);
    let words = [
        registers.rdx,
        registers.r8,
        registers.r9,
        registers.r10,
        registers.r12,
        registers.r13,
    ];
    shown.words = [0; 4];
    let is_program = !startup().object(InitialObject::Machine).is_none();
    match run(word, registers.rdi, words, is_program) {
        Ok((answer, bytes)) => {
            shown.words = answer;
            ReturnWord::new(0, bytes.max(word.output() as u16)).0
        }
        Err(error) => ReturnWord::new(error.code(), 0).0,
    }
}

/// What a command answers: words, and bytes out.
pub type Answer = Result<([u64; 4], u16), Error>;

fn run(word: CallWord, caller: u64, words: [u64; CALL_WORDS], is_program: bool) -> Answer {
    let none = Ok(([0; 4], 0));
    let method = word.method();
    // The program is a server only to itself, and must not end.
    let (harmless, is_careful) = if crate::together::is_attacker() {
        (
            [
                Command::Show,
                Command::Nest,
                Command::Boast,
                Command::Begin,
                Command::Progress,
                Command::Held,
                Command::Tally,
                Command::Offer,
            ]
            .as_slice(),
            true,
        )
    } else {
        (
            [Command::Show, Command::Nest, Command::Call, Command::Boast].as_slice(),
            is_program,
        )
    };
    if is_careful && !harmless.iter().any(|command| *command as u16 == method) {
        return Err(Error::BadMethod);
    }
    match method {
        _ if method == Command::Show as u16 => none,
        _ if method == Command::Exit as u16 => kiln_runtime::entry::exit(7),
        _ if method == Command::Trap as u16 => trap(),
        _ if method == Command::Wait as u16 => {
            process().wait(time::monotonic_ns().saturating_add(words[0]))?;
            none
        }
        _ if method == Command::Call as u16 => {
            let [process, object, method, rest @ ..] = words;
            let mut registers = Registers::call(
                ProcessId::from_raw(process),
                ObjectName::from_raw(object),
                CallWord::new(method as u16, 0, 0),
                MARK,
            );
            registers.set_words([rest[0], rest[1], rest[2], 0, 0, 0]);
            registers.cross();
            let [first, second, third, _] = registers.results();
            let status = u64::from(registers.answer().status());
            Ok(([status, first, second, third], 0))
        }
        _ if method == Command::EndPending as u16 => {
            dispatcher::page().pending.store(!0, Ordering::Relaxed);
            kiln_runtime::entry::exit(7)
        }
        _ if method == Command::Give as u16 => {
            let give = |object| {
                let reference = startup().object(object);
                let mut registers = Registers::call(
                    ProcessId::KERNEL,
                    reference.object,
                    CallWord::new(universal::GRANT, 0, 0),
                    MARK,
                );
                registers.set_words([words[0], u64::from(u32::MAX), 0, 0, 0, 0]);
                registers.cross();
                registers.results()[0]
            };
            let (memory, itself) = (
                give(InitialObject::AddressSpace),
                give(InitialObject::Process),
            );
            Ok(([memory, itself, caller, 0], 0))
        }
        _ if method == Command::EndLater as u16 => {
            END_AT.store(words[0], Ordering::Release);
            dispatcher::page().pending.store(1, Ordering::Release);
            none
        }
        _ if method == Command::Storm as u16 => {
            storm::unfiltered(words[0], words[1]);
            none
        }
        _ if method == Command::Overflow as u16 => Ok(([overflow(0), 0, 0, 0], 0)),
        _ if method == Command::Unmap as u16 => {
            if let Some((start, end)) = memory::region(memory::text()) {
                let _ = memory::unmap(start, end - start);
            }
            none
        }
        _ if method == Command::Spoil as u16 => {
            spoil();
            none
        }
        _ if method == Command::Boast as u16 => Ok(([0; 4], u16::MAX)),
        _ if method == Command::Nest as u16 => Ok(([nest(), 0, 0, 0], 0)),
        _ if method == Command::ReturnTwice as u16 => {
            return_now(ReturnWord::new(0, 0));
            none
        }
        _ if method == Command::Begin as u16 => crate::together::begin(caller, words[0], words[1]),
        _ if method == Command::Progress as u16 => crate::together::progress(words[0], words[1]),
        _ if method == Command::Held as u16 => crate::together::held_by_this(caller),
        _ if method == Command::Tally as u16 => {
            Ok((crate::together::tally::words(words[0], words[1]), 0))
        }
        _ if method == Command::Offer as u16 => {
            crate::together::offered(words[0]);
            none
        }
        _ if method == Command::File as u16 => {
            let name = crate::together::pager::make_for(caller, words[0], words[1])?;
            Ok(([name, 0, 0, 0], 0))
        }
        _ if method == Command::Spin as u16 => loop {
            core::hint::spin_loop();
        },
        _ if method == Command::Fill as u16 => {
            fill(words[0], words[1]);
            none
        }
        _ => Err(Error::BadMethod),
    }
}

fn nest() -> u64 {
    let mut registers = Registers::call(
        startup().process,
        ObjectName::BOOTSTRAP,
        CallWord::new(Command::Nest as u16, 0, 0),
        MARK,
    );
    registers.cross();
    if registers.answer().status() == 0 {
        registers.results()[0] + 1
    } else if registers.answer().status() == Error::TooDeep.code() {
        0
    } else {
        // Another answer is a count that no test expects.
        1 << 32
    }
}

#[expect(unconditional_recursion, reason = "the overflow is what is wanted")]
fn overflow(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + room[9]
}

/// Fills the page that the kernel and this process share, but for what our own code needs.
fn spoil() {
    let page = dispatcher::page();
    for word in [
        &page.reflected_rip,
        &page.reflected_flags,
        &page.faults_done,
        &page.reflected_calls,
        &page.trap.vector,
        &page.trap.registers.rip,
        &page.trap.registers.rsp,
        &page.trap.registers.rflags,
    ] {
        word.store(0xdead_dead_dead_dead, Ordering::Relaxed);
    }
    page.disabled.store(u32::MAX, Ordering::Relaxed);
    page.cpu.store(u32::MAX, Ordering::Relaxed);
}

fn fill(address: u64, bytes: u64) {
    let mut at = address;
    while at - address < bytes {
        // SAFETY: none: where it is not mapped the process ends, which is what is wanted.
        unsafe { (at as *mut u64).write_volatile(at) };
        at += PAGE_BYTES;
    }
}

fn trap() -> ! {
    #[cfg(kiln_freestanding)]
    // SAFETY: the exception is what is wanted.
    unsafe {
        core::arch::asm!("ud2", options(noreturn));
    }
    #[cfg(not(kiln_freestanding))]
    unreachable!("only in an image");
}

/// Makes a return in the middle of a served call: the rest runs when the kernel lets it, never.
fn return_now(word: ReturnWord) {
    let mut registers = Registers::marked(MARK);
    registers.rax = word.0;
    registers.cross();
}

/// The word of a return, for those who are in no call.
pub const RETURN: u64 = (Operation::Return as u64) << 48;

#[cfg(not(kiln_freestanding))]
fn entry_address() -> u64 {
    0
}

#[cfg(kiln_freestanding)]
fn entry_address() -> u64 {
    entry as *const () as u64
}

/// Where calls enter: everything is written down, the command run, and every register marked.
#[cfg(kiln_freestanding)]
#[unsafe(naked)]
extern "sysv64" fn entry() -> ! {
    use crate::registers::HAS_UPPER_HALVES;
    core::arch::naked_asm!(
        "mov [r15], rax",
        "mov [r15 + 8], rbx",
        "mov [r15 + 16], rcx",
        "mov [r15 + 24], rdx",
        "mov [r15 + 32], rsi",
        "mov [r15 + 40], rdi",
        "mov [r15 + 48], rbp",
        "mov [r15 + 56], rsp",
        "mov [r15 + 64], r8",
        "mov [r15 + 72], r9",
        "mov [r15 + 80], r10",
        "mov [r15 + 88], r11",
        "mov [r15 + 96], r12",
        "mov [r15 + 104], r13",
        "mov [r15 + 112], r14",
        "mov [r15 + 120], r15",
        "pushfq",
        "pop qword ptr [r15 + 128]",
        "cmp byte ptr [rip + {upper}], 0",
        "je 2f",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovups [r15 + 256 + 32 * \\n], ymm\\n",
        ".endr",
        "jmp 3f",
        "2:",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movups [r15 + 256 + 32 * \\n], xmm\\n",
        ".endr",
        "3:",
        "fxsave64 [r15 + 1024]",
        "mov rdi, r15",
        "xor ebp, ebp",
        "call {bases}",
        "mov rdi, r15",
        "call {serve}",
        // Dirt for the caller to find: nothing of it may arrive.
        "mov r14, rax",
        "call {dirty}",
        "cmp byte ptr [rip + {upper}], 0",
        "je 4f",
        "vpcmpeqd xmm0, xmm0, xmm0",
        "vinsertf128 ymm0, ymm0, xmm0, 1",
        ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovaps ymm\\n, ymm0",
        ".endr",
        "jmp 5f",
        "4:",
        "pcmpeqd xmm0, xmm0",
        ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movaps xmm\\n, xmm0",
        ".endr",
        "5:",
        "mov rax, r14",
        "mov rdx, [r15 + 2048]",
        "mov r8, [r15 + 2056]",
        "mov r9, [r15 + 2064]",
        "mov r10, [r15 + 2072]",
        "movabs rbx, {mark}",
        "mov rbp, rbx",
        "mov rsi, rbx",
        "mov rdi, rbx",
        "mov r12, rbx",
        "mov r13, rbx",
        "mov r14, rbx",
        "mov r15, rbx",
        "std",
        "syscall",
        "ud2",
        upper = sym HAS_UPPER_HALVES,
        bases = sym bases,
        serve = sym serve,
        dirty = sym dirty,
        mark = const MARK,
    )
}

/// Writes down what lies in no register that an instruction can store.
#[cfg(kiln_freestanding)]
unsafe extern "sysv64" fn bases(shown: *mut Shown) {
    // SAFETY: the entry passes the page for the bytes out.
    unsafe { (*shown).bases = crate::hidden::look() };
}

/// Leaves marks in all that an address space must not show another.
#[cfg(kiln_freestanding)]
extern "sysv64" fn dirty() {
    crate::hidden::spoil();
}
