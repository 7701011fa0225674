//! Which random calls are made: those after which the one who made them is still there.

use kiln_interface::kernel::MapFlags;
use kiln_object::call::{FIRST_UNIVERSAL_METHOD, Operation, universal};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{ProcessId, RawReference};
use kiln_runtime::{configuration, startup, time};

use crate::memory;
use crate::registers::Registers;
use crate::server::Command;

/// Whether the program may make the call: it comes back from it, and to code that is still there.
/// Some of what it may not is changed to what it may.
pub fn is_harmless(
    operation: u16,
    object: RawReference,
    method: u16,
    registers: &mut Registers,
) -> bool {
    if operation == Operation::Resume as u16 {
        return false;
    }
    if object.process == startup().process && method == Command::Call as u16 {
        // It would make any call that the words name, without asking here.
        return false;
    }
    let own = |wanted| startup().object(wanted) == object;
    if method >= FIRST_UNIVERSAL_METHOD {
        // What is given to others they do not give back, and it stays for good.
        if method == universal::GRANT {
            registers.rdx = startup().process.raw();
        }
        // What the rest needs is not given back, nor taken back: this process pays for it itself.
        let name = match method {
            universal::RELEASE => registers.rsi,
            universal::TAKE_BACK => registers.r8,
            _ => return true,
        };
        let mut needed = startup().objects.iter();
        return !needed.any(|needed| needed.object.raw() == name);
    }
    if own(InitialObject::Machine) {
        return method > 2;
    }
    if own(InitialObject::Process) {
        if method == 3 {
            let now = time::monotonic_ns();
            registers.rdx = now.wrapping_add(registers.rdx % 2000).wrapping_sub(1000);
        }
        return method != 1 && method != 2;
    }
    if own(InitialObject::Console) || own(InitialObject::Log) {
        // A little of it is enough; nothing comes from the console.
        return own(InitialObject::Console) && method == 2 || registers.r12 % 4096 == 1;
    }
    if own(InitialObject::AddressSpace) {
        return memory_is_harmless(method, registers);
    }
    true
}

/// Populates no large mapping.
pub fn take_little(method: u16, registers: &mut Registers) {
    const POPULATE: u64 = MapFlags::POPULATE.bits() as u64;
    const MUCH: u64 = 1 << 20;
    if method == 1 && registers.r8 > MUCH {
        registers.r10 &= !POPULATE;
    }
    if method == 2 && registers.r12 > MUCH {
        registers.r13 &= !(POPULATE << 32);
    }
}

fn memory_is_harmless(method: u16, registers: &mut Registers) -> bool {
    const FIXED: u64 = (MapFlags::REPLACE.bits() | MapFlags::EXACT.bits()) as u64;
    take_little(method, registers);
    let vital = |start: u64, length: u64| {
        let start = start & !(PAGE_BYTES - 1);
        let end = start.saturating_add(length).saturating_add(PAGE_BYTES);
        memory::is_vital(start, end)
    };
    match method {
        1 => registers.r10 & FIXED == 0 || !vital(registers.rdx, registers.r8),
        // Words: reference (2), offset, address, length, protection and flags.
        2 => registers.r13 >> 32 & FIXED == 0 || !vital(registers.r10, registers.r12),
        3 | 4 | 6 => !vital(registers.rdx, registers.r8),
        5 => !vital(registers.rdx, registers.r8) && !vital(registers.r9, registers.r10),
        7 => !vital(registers.rdx, 16),
        _ => true,
    }
}

/// Whether a reckless server may make the call: it may end by it, but neither wait, nor leave at
/// once, nor take all memory: servers come before the program, which is to see the end.
pub fn comes_back(
    operation: u16,
    target: RawReference,
    method: u16,
    registers: &mut Registers,
) -> bool {
    if operation == Operation::Return as u16 || operation == Operation::Resume as u16 {
        return false;
    }
    let process = startup().object(InitialObject::Process);
    if target == process && (method == 1 || method == 3) {
        return false;
    }
    if target == startup().object(InitialObject::AddressSpace) {
        take_little(method, registers);
    }
    // Others like itself would do as they are told, and wait.
    target.process == ProcessId::KERNEL || target.process.index() <= well_behaved_servers()
}

/// How many servers there are that are not this component; they come first.
fn well_behaved_servers() -> u32 {
    configuration()
        .values("server")
        .filter(|name| *name != b"hostile_server")
        .count() as u32
}
