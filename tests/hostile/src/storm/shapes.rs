//! Arguments of the kind that a method wants, so that random calls also get somewhere.

use kiln_interface::file::{change, open};
use kiln_object::startup::InitialObject;
use kiln_object::{ProcessId, RawReference};
use kiln_runtime::startup;

use super::choices::{self, address, path_input, size};
use crate::random::Random;
use crate::registers::Registers;

/// Chooses a method of the object and gives the registers what it asks for; objects that are not
/// known here are taken for files. Answers the method.
pub fn shape(
    random: &mut Random,
    object: RawReference,
    held: RawReference,
    registers: &mut Registers,
) -> u16 {
    set_lengths(registers, 0, 0);
    let is = |wanted| startup().object(wanted) == object;
    let mut one_of = |methods| 1 + random.below(methods) as u16;
    if is(InitialObject::AddressSpace) {
        let method = one_of(8);
        memory(random, method, held, registers);
        method
    } else if is(InitialObject::Random) {
        set_lengths(registers, 0, choices::length(random));
        registers.r15 = choices::output(random);
        1
    } else if object.process == ProcessId::KERNEL {
        // The other objects of the kernel take a number, or none.
        let method = one_of(7);
        registers.rdx = random.below(1 << 20);
        method
    } else if is_tree(object) {
        let method = one_of(12);
        tree(random, method, registers);
        method
    } else {
        let method = one_of(7);
        file(random, method, registers);
        method
    }
}

/// The lengths of the bytes in and out.
pub fn set_lengths(registers: &mut Registers, input: u16, output: u16) {
    let lengths = u64::from(input) << 32 | u64::from(output) << 16;
    registers.rax = registers.rax & !(0xffff_ffff << 16) | lengths;
}

/// The objects that servers have from the start are trees, and the name space, whose methods fail.
fn is_tree(object: RawReference) -> bool {
    object.object.slot() < 4
}

fn memory(random: &mut Random, method: u16, held: RawReference, registers: &mut Registers) {
    let protection = random.choose(&[0, 1, 3, 3, 3, 5, 4]);
    let flags = random.choose(&[0, 1, 1, 2, 8, 9, 10]);
    let words = [address(random), size(random), address(random), size(random)];
    match method {
        1 => registers.set_words([words[0], words[1], protection, flags, 0, 0]),
        2 => registers.set_words([
            held.process.raw(),
            held.object.raw(),
            random.below(4) << 12,
            words[0],
            words[1],
            flags << 32 | protection,
        ]),
        4 => registers.set_words([words[0], words[1], protection, 0, 0, 0]),
        5 if random.one_in(2) => registers.set_words([words[0], words[1], 0, words[1], 0, 0]),
        7 => {
            registers.set_words([words[0], 0, 0, 0, 0, 0]);
            registers.r14 = choices::own_input();
            set_lengths(registers, 1 + random.below(16) as u16, 0);
        }
        _ => registers.set_words([words[0], words[1], words[2], words[3], 0, 0]),
    }
}

fn tree(random: &mut Random, method: u16, registers: &mut Registers) {
    let (first, both) = path_input(random, matches!(method, 6..=8));
    registers.r14 = choices::own_input();
    registers.r15 = choices::output(random);
    let mode = random.below(0o1000);
    let me = startup().process.raw();
    let mut input = both;
    match method {
        1 => registers.set_words([random.choose(&[0, 1, 32, 64, 128]), mode, me, 0, 0, 0]),
        2 => registers.set_words([random.below(2), 0, 0, 0, 0, 0]),
        4 => registers.set_words([mode, 0, 0, 0, 0, 0]),
        5 => registers.set_words([random.below(2), 0, 0, 0, 0, 0]),
        6 => registers.set_words([random.below(4), first, 0, 0, 0, 0]),
        7 | 8 => registers.set_words([first, 0, 0, 0, 0, 0]),
        9 => registers.set_words([
            random.choose(&[0o010000, 0o020000, 0o060000, 0o140000, 0o100000]) | mode,
            random.word(),
            0,
            0,
            0,
            0,
        ]),
        10 => {
            registers.set_words([fields(random), random.below(2), first, 0, 0, 0]);
            input = first + ATTRIBUTES_BYTES;
        }
        12 => registers.set_words([
            u64::from(open::CREATE) | random.below(u64::from(2 * open::NAMELESS)),
            mode,
            me,
            0,
            0,
            0,
        ]),
        _ => {}
    }
    set_lengths(
        registers,
        input as u16,
        random.choose(&[64, 128, 256, 4096]),
    );
}

/// Bytes of an `Attributes`.
const ATTRIBUTES_BYTES: u64 = size_of::<kiln_interface::file::Attributes>() as u64;

fn fields(random: &mut Random) -> u64 {
    random.below(u64::from(2 * change::LENGTH))
}

fn file(random: &mut Random, method: u16, registers: &mut Registers) {
    let offset = match random.below(8) {
        0..6 => random.below(1 << 16),
        6 => u64::MAX,
        _ => size(random),
    };
    registers.set_words([offset, 0, 0, 0, 0, 0]);
    registers.r15 = choices::output(random);
    match method {
        1 | 6 => set_lengths(registers, 0, choices::length(random)),
        2 => {
            registers.r14 = choices::own_input();
            set_lengths(registers, choices::length(random), 0);
        }
        3 => set_lengths(registers, 0, random.choose(&[0, 80, 128])),
        4 => {
            registers.r14 = choices::own_input();
            registers.set_words([fields(random), 0, 0, 0, 0, 0]);
            set_lengths(registers, ATTRIBUTES_BYTES as u16, 0);
        }
        _ => {}
    }
}
