//! A fault of the program becomes a signal, or its end.

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::{TrapFrame, fault_cause};
use linux_raw_sys::general as abi;

use super::frame::{self, Context};
use super::{Information, bit, program_name, terminate};
use crate::LINUX;
use crate::entry::{TRACING, VectorSave};
use crate::strace::{self, signal_name};

/// Handles a trap whose registers are the program's: starts the program's handler in them, or ends
/// the process with a line on the log.
pub fn fault(trap: &TrapFrame, vectors: &mut VectorSave) {
    let information = information(trap);
    let signal = information.signal();
    if TRACING.load(Relaxed) {
        strace::write_signal(&information);
    }
    let signals = &LINUX.signal;
    let action = signals.action(signal);
    let blocked = signals.blocked.load(Relaxed) & bit(signal) != 0;
    // A fault cannot wait: one that is blocked or ignored ends the process.
    if action.has_handler() && !blocked {
        let mut context = Context::of_trap(trap);
        if frame::push(&mut context, vectors, &information, &action).is_ok() {
            context.store_to_trap(trap);
            return;
        }
    }
    report(trap, signal);
    terminate(signal)
}

/// Signal, code and address of a trap, as Linux gives them.
fn information(trap: &TrapFrame) -> Information {
    const FPE_INTDIV: i32 = 1;
    const FPE_FLTINV: i32 = 7;
    const ILL_ILLOPN: i32 = 2;
    const TRAP_TRACE: i32 = 2;
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    const BUS_ADRALN: i32 = 1;
    const BUS_ADRERR: i32 = 2;

    let rip = trap.registers.rip.load(Relaxed);
    let address = trap.address.load(Relaxed);
    match trap.vector.load(Relaxed) {
        0 => Information::fault(abi::SIGFPE, FPE_INTDIV, rip),
        16 | 19 => Information::fault(abi::SIGFPE, FPE_FLTINV, rip),
        1 => Information::fault(abi::SIGTRAP, TRAP_TRACE, rip),
        3 => Information::kernel(abi::SIGTRAP),
        6 => Information::fault(abi::SIGILL, ILL_ILLOPN, rip),
        14 => match trap.cause.load(Relaxed) {
            fault_cause::BEYOND_END | fault_cause::NO_MEMORY | fault_cause::NOT_BROUGHT => {
                Information::fault(abi::SIGBUS, BUS_ADRERR, address)
            }
            fault_cause::PROTECTION => Information::fault(abi::SIGSEGV, SEGV_ACCERR, address),
            _ => Information::fault(abi::SIGSEGV, SEGV_MAPERR, address),
        },
        17 => Information::fault(abi::SIGBUS, BUS_ADRALN, 0),
        _ => Information::kernel(abi::SIGSEGV),
    }
}

fn report(trap: &TrapFrame, signal: u32) {
    let load = |register: &core::sync::atomic::AtomicU64| register.load(Relaxed);
    let registers = &trap.registers;
    let rip = load(&registers.rip);
    let name = signal_name(signal).unwrap_or("a signal");
    let program = program_name();
    if load(&trap.vector) == 14 {
        let address = load(&trap.address);
        let why = match load(&trap.cause) {
            _ if is_below_stack(address) => "its stack has overflowed",
            fault_cause::PROTECTION => "the mapping does not allow the access",
            fault_cause::BEYOND_END => "the mapped file ends before it",
            fault_cause::NO_MEMORY => "the machine has no memory left",
            fault_cause::NOT_BROUGHT => "the file's server did not bring the page",
            _ => "nothing is mapped there",
        };
        kiln_runtime::log_line!(
            "{program} ended by {name}: access to {address:#x} at rip {rip:#x}: {why}"
        );
    } else {
        kiln_runtime::log_line!(
            "{program} ended by {name}: exception {} (error {:#x}) at rip {rip:#x}",
            load(&trap.vector),
            load(&trap.error),
        );
    }
    kiln_runtime::trap::log_registers(registers);
}

/// Whether the address is in the gap that is kept below the program's stack.
fn is_below_stack(address: u64) -> bool {
    let bottom = LINUX.memory.stack_bottom.load(Relaxed);
    bottom != 0 && address < bottom && bottom - address <= crate::load::STACK_GAP
}
