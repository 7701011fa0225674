//! What an attacker leaves alone, so that the others and the run itself go on.

use kiln_object::RawReference;
use kiln_object::call::{FIRST_UNIVERSAL_METHOD, Operation};
use kiln_object::layout::{
    CONFIGURATION_BASE, KERNEL_INFORMATION_BASE, PAGE_BYTES, ROOT_BASE, STARTUP_BASE, SYSTEM_END,
    SYSTEM_START,
};
use kiln_object::startup::InitialObject;
use kiln_runtime::startup;

use super::super::attackers;
use crate::memory;
use crate::random::Random;
use crate::registers::Registers;
use crate::server::Command;
use crate::storm::{choices, survival};

/// An address that is not this attacker's room: where nothing that the code needs can be written.
pub(super) fn outside(random: &mut Random) -> u64 {
    let read_only = [
        memory::text(),
        STARTUP_BASE,
        CONFIGURATION_BASE,
        KERNEL_INFORMATION_BASE,
        ROOT_BASE,
    ];
    if random.one_in(3) {
        return super::pages::window(random);
    }
    if random.one_in(8) {
        return random.choose(&read_only) + random.below(PAGE_BYTES / 2);
    }
    loop {
        let address = choices::address(random);
        let start = address.saturating_sub(PAGE_BYTES);
        let end = address.saturating_add(3 * PAGE_BYTES);
        let in_system = start < SYSTEM_END && SYSTEM_START < end;
        if !in_system && !memory::is_vital(start, end) {
            return address;
        }
    }
}

/// Whether the call leaves all attackers there; some are changed to such.
pub(super) fn is_harmless(
    operation: u16,
    target: RawReference,
    method: u16,
    registers: &mut Registers,
) -> bool {
    if operation == Operation::Resume as u16 {
        return false;
    }
    let to_attacker = attackers().any(|one| one == target.process);
    // Only the program begins batches, but the victim does all that it is told.
    if target.process.index() == victim_index() && operation == Operation::Call as u16 {
        let harmless = [Command::Show, Command::Boast, Command::Nest];
        let is_universal = method >= FIRST_UNIVERSAL_METHOD;
        if !is_universal && !harmless.iter().any(|one| *one as u16 == method) {
            return false;
        }
    }
    if to_attacker && method == Command::Begin as u16 {
        return false;
    }
    if target == startup().object(InitialObject::AddressSpace) && is_about_system(registers) {
        return false;
    }
    // A name that leads to an object of this process by another way is not ruled by these checks.
    survival::is_harmless(operation, target, method, registers)
}

fn victim_index() -> u32 {
    startup()
        .server("attack_victim")
        .map_or(u32::MAX, |victim| victim.process.index())
}

/// Whether a range that the words could mean touches the system's part: room for calls comes there
/// when it is needed, which is later than `memory::remember`.
fn is_about_system(registers: &Registers) -> bool {
    let touches = |start: u64, length: u64| {
        start < SYSTEM_END && SYSTEM_START < start.saturating_add(length).saturating_add(PAGE_BYTES)
    };
    touches(registers.rdx, registers.r8)
        || touches(registers.r9, registers.r10)
        || touches(registers.r10, registers.r12)
}
