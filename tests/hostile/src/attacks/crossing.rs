//! What a server sees of its caller's registers, and the caller of the server's: only what the
//! convention names.

use kiln_object::call::{CallWord, MESSAGE_BYTES, Operation};
use kiln_object::layout::{
    CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_TOP, USER_END, call_slot, dispatcher_page,
};
use kiln_object::startup::InitialObject;
use kiln_object::{Error, RawReference};
use kiln_runtime::{dispatcher, startup};

use super::{MARK, call, command, itself, own, server};
use crate::hidden::{self, Legacy};
use crate::registers::{Registers, has_upper_halves};
use crate::report::{attack, ensure, expect, failed};
use crate::server::{Command, Shown};

pub fn all() {
    seen_by_the_callee();
    seen_by_the_caller();
    with_everything_forbidden();
    nested();
    answers();
    resumed();
}

/// A server's view of a call with every register marked.
fn show(words: [u64; 6]) -> Shown {
    let mut shown = [0u64; MESSAGE_BYTES / 8];
    let address = shown.as_mut_ptr() as u64;
    let answer = call(
        server(0),
        Command::Show as u16,
        words,
        (0, 0),
        (address, MESSAGE_BYTES as u16),
    );
    expect(answer.answer().status(), 0);
    expect(answer.answer().output(), MESSAGE_BYTES);
    // SAFETY: the bytes are as many, and any bytes are such a value; alignment is not relied on.
    unsafe { shown.as_ptr().cast::<Shown>().read_unaligned() }
}

fn seen_by_the_callee() {
    attack("the caller's registers in the callee");
    let words = [11, 12, 13, 14, 15, 16];
    // The second time after the server has spoiled all that it can.
    for _ in 0..3 {
        hidden::spoil();
        let shown = show(words);
        hidden_defaults();
        let seen = shown.registers;
        let base = (0..16)
            .map(|slot| call_slot(0, slot))
            .find(|base| seen.rsp == base + CALL_SLOT_STACK_TOP);
        let Some(base) = base else {
            failed(format_args!("the stack is no call slot's: {:#x}", seen.rsp));
        };
        let word = CallWord::new(Command::Show as u16, 0, MESSAGE_BYTES as u16);
        let caller = startup().process.raw();
        for (name, found, wanted) in [
            ("rax", seen.rax, word.0),
            ("rbx", seen.rbx, 0),
            ("rsi", seen.rsi, server(0).object.raw()),
            ("rdi", seen.rdi, caller),
            ("rbp", seen.rbp, 0),
            ("rdx", seen.rdx, words[0]),
            ("r8", seen.r8, words[1]),
            ("r9", seen.r9, words[2]),
            ("r10", seen.r10, words[3]),
            ("r11", seen.r11, 0x202),
            ("r12", seen.r12, words[4]),
            ("r13", seen.r13, words[5]),
            ("r14", seen.r14, base + CALL_SLOT_INPUT),
            ("r15", seen.r15, base + CALL_SLOT_OUTPUT),
            ("flags", seen.flags, 0x202),
        ] {
            if found != wanted {
                failed(format_args!("{name} is {found:#x}, not {wanted:#x}"));
            }
        }
        ensure(
            seen.vectors == [[0; 4]; 16],
            "the caller's vector registers are seen",
        );
        let legacy = Legacy(shown.legacy);
        expect(legacy.controls(), (0x037f, 0, 0x1f80));
        ensure(
            legacy.registers().iter().all(|byte| *byte == 0),
            "the caller's x87 registers are seen",
        );
        let [fs, gs, rights] = shown.bases;
        expect((fs, rights), (0, 0));
        if hidden::has_base_instructions() {
            expect(gs, dispatcher_page(0));
        }
    }
}

/// Takes back what `hidden::spoil` did to this process, and checks that it was kept meanwhile.
fn hidden_defaults() {
    let legacy = hidden::save_legacy();
    expect(legacy.controls().2, 0x7f80);
    let [fs, _, rights] = hidden::look();
    if hidden::has_base_instructions() {
        expect(fs, 0x5e5e_5e5e_5e5e);
    }
    if hidden::has_key_rights() {
        expect(rights, 0b1100);
        hidden::set_key_rights(0);
    }
    #[cfg(kiln_freestanding)]
    // SAFETY: puts MXCSR and the x87 unit in the state in which programs start.
    unsafe {
        let usual = 0x1f80u32;
        core::arch::asm!("ldmxcsr [{}]", "fninit", in(reg) &raw const usual, options(nostack));
    }
}

fn seen_by_the_caller() {
    attack("the callee's registers in the caller");
    // `call` checks the registers after each call; the servers leave marks everywhere.
    let before = hidden::save_legacy();
    let words = [1, 2, 3, 4, 5, 6];
    for _ in 0..100 {
        expect(command(server(0), Command::Show, words), Ok([0; 4]));
    }
    let after = hidden::save_legacy();
    expect(after.controls(), before.controls());
    ensure(
        after.registers() == before.registers(),
        "the callee's x87 registers are seen",
    );
    let [fs, gs, rights] = hidden::look();
    if hidden::has_base_instructions() {
        expect(gs, dispatcher_page(0));
    }
    expect(rights, 0);
    ensure(fs != MARK, "the thread pointer is a mark");
    // Upper halves are kept although the callee used them; those that were empty come back empty.
    if has_upper_halves() {
        for mark in [MARK, 0] {
            let word = CallWord::new(Command::Show as u16, 0, 0);
            let mut registers = Registers::call(server(0).process, server(0).object, word, MARK);
            for vector in &mut registers.vectors {
                *vector = [mark; 4];
            }
            let before = registers;
            registers.cross();
            expect(registers.unexpected(&before), None);
        }
    }
}

/// Key rights that forbid all memory are the caller's own trouble.
fn with_everything_forbidden() {
    attack("calls under key rights that forbid all memory");
    if !hidden::has_key_rights() {
        return;
    }
    for target in [server(0), own(InitialObject::Process)] {
        // `Show`, and `processor_time`.
        let method = if target.process == server(0).process {
            1
        } else {
            6
        };
        let word = CallWord::new(method, 0, 0);
        let answer = call_forbidden(target, word);
        expect(answer, 0);
    }
    // A copy from or to memory that the rights forbid fails, and nobody else notices.
    let word = CallWord::new(Command::Show as u16, 8, 0);
    expect(
        call_forbidden(server(0), word),
        u64::from(Error::BadBuffer.code()),
    );
    super::still_well();
}

#[cfg(not(kiln_freestanding))]
fn call_forbidden(_target: RawReference, _word: CallWord) -> u64 {
    0
}

/// Makes a call between two changes of the key rights, without touching memory in between.
#[cfg(kiln_freestanding)]
fn call_forbidden(target: RawReference, word: CallWord) -> u64 {
    let (answer, rights): (u64, u64);
    // SAFETY: nothing between the two changes touches memory, and the registers that the kernel may
    // change are named or kept in ones that it does not: none is, so rbx and rbp are saved before.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "mov rbx, rax",
            "mov eax, 3",
            "xor ecx, ecx",
            "xor edx, edx",
            "wrpkru",
            "mov rax, rbx",
            "mov r14, rsp",
            "syscall",
            "mov rsi, rax",
            "xor ecx, ecx",
            "rdpkru",
            "mov rdi, rax",
            "xor eax, eax",
            "wrpkru",
            "pop rbp",
            "pop rbx",
            inout("rax") word.0 => _,
            inout("rdi") target.process.raw() => rights,
            inout("rsi") target.object.raw() => answer,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("rcx") _,
            clobber_abi("sysv64"),
        );
    }
    expect(rights, 3);
    answer
}

fn nested() {
    attack("calls to itself");
    let itself = itself();
    // A process's calls nest as deep as the transport carries, and each level comes back.
    let depth = command(itself, Command::Nest, [0; 6]).map(|answer| answer[0]);
    expect(depth, Ok(7));
    expect(
        command(server(0), Command::Nest, [0; 6]).map(|answer| answer[0]),
        Ok(7),
    );
    for _ in 0..1000 {
        expect(command(itself, Command::Show, [0; 6]), Ok([0; 4]));
    }
}

fn answers() {
    attack("answers that claim too much");
    let mut bytes = [0u8; 64];
    let address = bytes.as_mut_ptr() as u64;
    for length in [0, 1, 32] {
        let answer = call(
            server(0),
            Command::Boast as u16,
            [0; 6],
            (0, 0),
            (address, length),
        );
        expect(answer.answer().output(), usize::from(length));
        expect(answer.answer().status(), 0);
    }
    ensure(bytes[32..] == [0; 32], "more was written than asked for");
    // The first return is the one that counts; the rest of the call never runs.
    ensure(
        command(server(0), Command::ReturnTwice, [0; 6]).is_ok(),
        "a return in the middle of a call is none",
    );
    expect(command(server(0), Command::Show, [0; 6]), Ok([0; 4]));
    // Spoiling the shared page hurts only the one who does it.
    expect(command(server(1), Command::Spoil, [0; 6]), Ok([0; 4]));
    expect(command(server(1), Command::Show, [0; 6]), Ok([0; 4]));
    super::still_well();
}

/// The resume operation takes any context; what is no user context it refuses or makes one.
fn resumed() {
    attack("resumed contexts");
    let trap = &dispatcher::page().trap.registers;
    use core::sync::atomic::Ordering::Relaxed;
    for rip in [
        USER_END,
        1 << 47,
        0xffff_ffff_8020_0000,
        u64::MAX,
        0x8000_0000_0000_0000,
    ] {
        trap.rip.store(rip, Relaxed);
        let mut registers = Registers::marked(MARK);
        registers.rax = (Operation::Resume as u64) << 48;
        registers.cross();
        expect(registers.answer().status(), Error::BadArgument.code());
    }
    for stack in [
        0,
        1,
        1 << 47,
        0x8000_0000_0000_0001,
        u64::MAX,
        0xffff_8000_0000_0000,
    ] {
        for flags in [0, u64::MAX, 0x3000, 1 << 14, 1 << 17, 1 << 18 | 1 << 10] {
            let seen = resume(flags, stack);
            // Neither I/O privilege, nor nested task, nor virtual 8086 mode, and interrupts on.
            expect(seen.0 & (0x3000 | 1 << 14 | 0b111 << 16 & !(1 << 18)), 0);
            expect(seen.0 & (1 << 9), 1 << 9);
            expect(seen.1, stack);
        }
    }
}

#[cfg(not(kiln_freestanding))]
fn resume(_flags: u64, stack: u64) -> (u64, u64) {
    (1 << 9, stack)
}

/// Resumes a context with those flags and that stack pointer; answers both as they then are.
#[cfg(kiln_freestanding)]
fn resume(flags: u64, stack: u64) -> (u64, u64) {
    use core::sync::atomic::Ordering::Relaxed;
    let trap = &dispatcher::page().trap;
    trap.registers.rflags.store(flags, Relaxed);
    trap.registers.rsp.store(stack, Relaxed);
    let (seen_flags, seen_stack): (u64, u64);
    // SAFETY: the context is that after the call, with the stack pointer in R15: the flags are saved
    // once that is back.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "mov rax, rsp",
            "mov gs:[{r15}], rax",
            "lea rax, [rip + 2f]",
            "mov gs:[{rip}], rax",
            "mov rax, {resume}",
            "syscall",
            "ud2",
            "2:",
            "mov rsi, rsp",
            "mov rsp, r15",
            "pushfq",
            "pop rdi",
            "push 2",
            "popfq",
            "cld",
            "pop rbp",
            "pop rbx",
            r15 = const core::mem::offset_of!(kiln_object::dispatcher::DispatcherPage, trap),
            rip = const core::mem::offset_of!(kiln_object::dispatcher::DispatcherPage, trap) + 15 * 8,
            resume = const (Operation::Resume as u64) << 48,
            out("rdi") seen_flags,
            out("rsi") seen_stack,
            out("rax") _, out("rcx") _, out("rdx") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    (seen_flags, seen_stack)
}
