//! What the log gets of a server that dies: what it did, where it was, and for whom.
//!
//! All of it is the process's to make up, and is only printed. Its memory is read by the copies that
//! survive a fault, and no more of it than the bounds here say. A line with an address in a component
//! ends in ` in NAME`: whoever has the component's symbols can say which function that is.

use core::fmt::{self, Display, Formatter};
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Protection;
use kiln_object::call::{CallWord, FIRST_UNIVERSAL_METHOD, Operation};
use kiln_object::dispatcher::{TrapFrame, fault_cause};
use kiln_object::layout::{CALL_SLOT_NOTE, SYSTEM_END, SYSTEM_START};

use crate::call::activation::Activation;
use crate::call::local::current_activation;
use crate::call::{current_dispatcher, set_current};
use crate::interrupt::InterruptFrame;
use crate::memory::user_copy;
use crate::process::Process;
use crate::processor::PerCpu;
use crate::{panic, trace};

/// Most addresses of code that are shown.
const MOST_FRAMES: usize = 16;
/// Most words of a stack that are looked at for want of frames.
const MOST_WORDS: u64 = 256;
/// Most events that are shown.
const MOST_EVENTS: usize = 16;
/// The processor's own exceptions have smaller numbers.
const EXCEPTIONS: u64 = 32;

/// The running process dies of an exception: `address` and `cause` are those of a page fault.
pub fn exception(frame: &InterruptFrame, address: u64, cause: u64) {
    let Some(process) = running() else { return };
    let (name, what, error) = (process.name(), panic::name(frame.vector), frame.error);
    if cause == fault_cause::NONE {
        crate::error!(
            "{name}: {what} (exception {}, error {error:#x})",
            frame.vector
        );
    } else {
        let access = match error {
            error if error & 0x10 != 0 => "executing",
            error if error & 2 != 0 => "writing",
            _ => "reading",
        };
        let why = match cause {
            fault_cause::UNMAPPED => "nothing is mapped there",
            fault_cause::PROTECTION => "that is not allowed there",
            fault_cause::BEYOND_END => "beyond the end of the file",
            _ => "out of memory",
        };
        crate::error!("{name}: {what} {access} {address:#x} (error {error:#x}): {why}");
    }
    stopped(frame, address);
}

/// The running process dies where `frame` has it: registers, callers, calls, and events.
pub fn stopped(frame: &InterruptFrame, address: u64) {
    let Some(process) = running() else { return };
    panic::registers(frame, address);
    place(process, frame.rip);
    if !frames(process, frame.rbp) {
        scan(process, frame.rsp);
    }
    context(process);
}

/// The running process dies while it waits at `instruction` with that stack.
pub fn waiting(instruction: u64, stack: u64) {
    let Some(process) = running() else { return };
    place(process, instruction);
    scan(process, stack);
    context(process);
}

/// The running process ends itself: because of an exception that its trap entry was told, or for
/// reasons of its own. Of a program that does so nothing is said.
pub fn exit(status: u32) {
    let Some(dispatcher) = current_dispatcher() else {
        return;
    };
    let process = dispatcher.process();
    let trap = &dispatcher.page().trap;
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    if process.is_program() && load(&trap.active) == 0 {
        return;
    }
    let frame = interrupted(trap);
    let concerns = !process.is_program() || is_system(frame.rip);
    if load(&trap.active) != 0 && frame.vector < EXCEPTIONS && concerns {
        exception(&frame, load(&trap.address), load(&trap.cause));
    } else if !process.is_program() {
        crate::error!("{} ends itself with status {status}", process.name());
        scan(process, PerCpu::here().user_rsp.get());
        context(process);
    }
}

/// The running process dies in a system call that was made before `instruction`, with the frame
/// pointer `frame`.
pub fn system_call(instruction: u64, frame: u64) {
    let Some(process) = running() else { return };
    crate::error!("{}: foreign system call", process.name());
    place(process, instruction.wrapping_sub(1));
    frames(process, frame);
    context(process);
}

fn running() -> Option<&'static Process> {
    Some(current_dispatcher()?.process())
}

/// Who waits for the running process, and the last events.
fn context(process: &Process) {
    if let Some(activation) = current_activation() {
        for depth in (0..activation.depth()).rev() {
            let called = Called(called(activation, depth));
            if let Some((caller, instruction)) = activation.call_site(depth) {
                let name = caller.process().name();
                crate::error!(
                    "  in a call of {name}{called}, made at {:#x} in {name}",
                    instruction.wrapping_sub(1)
                );
            }
        }
        let remote = activation.remote_call();
        if let Some((caller, word, object)) = remote.and_then(|call| call.question()) {
            crate::error!(
                "  in a call of {} on processor {}{}",
                caller.process().name(),
                caller.cpu(),
                Called(Some((word, object)))
            );
        }
    }
    trace::print_last(process, MOST_EVENTS);
}

/// What is called in a call, and of which object; nothing if that is not known.
struct Called(Option<(CallWord, u64)>);

impl Display for Called {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((word, object)) if word.method() < FIRST_UNIVERSAL_METHOD => {
                write!(
                    formatter,
                    ": method {} of object {object:#x}",
                    word.method()
                )
            }
            Some((word, object)) => write!(
                formatter,
                ": universal method {:#x} of object {object:#x}",
                word.method()
            ),
            None => Ok(()),
        }
    }
}

/// What whoever serves the call of that depth has noted of it.
fn called(activation: &Activation, depth: usize) -> Option<(CallWord, u64)> {
    let running = current_dispatcher()?;
    let server = activation.server(depth, Some(running))?;
    let note = server.slot_address(activation.slot(depth)?) + CALL_SLOT_NOTE;
    // Its memory stays at least until this processor leaves the kernel.
    set_current(server);
    let (object, word_in) = (word(note), word(note + 8));
    set_current(running);
    let noted = CallWord(word_in?);
    (noted.tag() == Operation::Call as u16).then_some((noted, object?))
}

/// Prints the callers by the chain of frame pointers; false if there is none.
fn frames(process: &Process, mut frame: u64) -> bool {
    let mut above = 0;
    for _ in 1..MOST_FRAMES {
        if !frame.is_multiple_of(8) || frame <= above {
            break;
        }
        let (Some(next), Some(caller)) = (word(frame), word(frame.wrapping_add(8))) else {
            break;
        };
        if !is_code(process, caller) {
            break;
        }
        place(process, caller - 1);
        (above, frame) = (frame, next);
    }
    above != 0
}

/// Prints what may be return addresses on the stack from `stack` on.
fn scan(process: &Process, stack: u64) {
    crate::error!("  perhaps called from (found on its stack):");
    let mut left = MOST_FRAMES;
    for index in 0..MOST_WORDS {
        let Some(word) = word(stack.wrapping_add(index * 8)) else {
            break;
        };
        if is_code(process, word) && follows_call(word) {
            place(process, word - 1);
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
}

fn place(process: &Process, address: u64) {
    if is_code(process, address) {
        crate::error!("  at {address:#x} in {}", process.name());
    } else {
        crate::error!("  at {address:#x}");
    }
}

fn word(address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    user_copy::copy_in(&mut bytes, address).ok()?;
    Some(u64::from_le_bytes(bytes))
}

fn is_system(address: u64) -> bool {
    (SYSTEM_START..SYSTEM_END).contains(&address)
}

/// Whether it is an address of the component's code.
fn is_code(process: &Process, address: u64) -> bool {
    is_system(address)
        && process.change(|space| {
            let region = space.regions().find(address);
            region.is_some_and(|(_, region)| region.protection.contains(Protection::EXECUTE))
        })
}

/// Whether the instruction before `address` can be a call: `call rel32`, or `call` with a register or
/// memory operand.
fn follows_call(address: u64) -> bool {
    let mut before = [0; 7];
    if user_copy::copy_in(&mut before, address.wrapping_sub(7)).is_err() {
        return false;
    }
    is_call(before)
}

fn is_call(before: [u8; 7]) -> bool {
    let indirect = |pair: &[u8]| matches!(pair, [0xff, operand] if operand >> 3 & 7 == 2);
    before[2] == 0xe8 || before.windows(2).any(indirect)
}

/// What the trap entry was told, as an interrupt's frame.
fn interrupted(trap: &TrapFrame) -> InterruptFrame {
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let saved = &trap.registers;
    let mut frame = InterruptFrame {
        r15: load(&saved.r15),
        r14: load(&saved.r14),
        r13: load(&saved.r13),
        r12: load(&saved.r12),
        r11: load(&saved.r11),
        r10: load(&saved.r10),
        r9: load(&saved.r9),
        r8: load(&saved.r8),
        rbp: load(&saved.rbp),
        rdi: load(&saved.rdi),
        rsi: load(&saved.rsi),
        rdx: load(&saved.rdx),
        rcx: load(&saved.rcx),
        rbx: load(&saved.rbx),
        rax: load(&saved.rax),
        vector: load(&trap.vector),
        error: load(&trap.error),
        rip: load(&saved.rip),
        rsp: load(&saved.rsp),
        ..InterruptFrame::default()
    };
    frame.set_user_mode();
    frame.rflags = load(&saved.rflags);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_other_instructions() {
        assert!(is_call([0, 0, 0xe8, 1, 2, 3, 4]));
        // call rax; call [rbx + 8]; call [rip + 0x100].
        assert!(is_call([0, 0, 0, 0, 0, 0xff, 0xd0]));
        assert!(is_call([0, 0, 0, 0, 0xff, 0x53, 8]));
        assert!(is_call([0, 0xff, 0x15, 0, 1, 0, 0]));
        // inc eax; jmp rax.
        assert!(!is_call([0, 0, 0, 0, 0, 0xff, 0xc0]));
        assert!(!is_call([0, 0, 0, 0, 0, 0xff, 0xe0]));
        assert!(!is_call([0; 7]));
    }

    #[test]
    fn what_the_trap_entry_was_told_is_kept() {
        let trap = TrapFrame::default();
        trap.vector.store(14, Ordering::Relaxed);
        trap.registers.rip.store(0x1234, Ordering::Relaxed);
        trap.registers.rflags.store(0x246, Ordering::Relaxed);
        let frame = interrupted(&trap);
        assert_eq!((frame.vector, frame.rip, frame.rflags), (14, 0x1234, 0x246));
        assert!(frame.from_user());
    }
}
