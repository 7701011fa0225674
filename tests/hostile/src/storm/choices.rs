//! What random calls are made of: values that are often almost right.

use core::cell::UnsafeCell;

use kiln_object::call::{MESSAGE_BYTES, Operation, universal};
use kiln_object::layout::{
    CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CONFIGURATION_BASE, HEAP_BASE, KERNEL_INFORMATION_BASE,
    MAIN_STACK_TOP, PAGE_BYTES, ROOT_BASE, STARTUP_BASE, TRAP_STACK_TOP, USER_END, USER_START,
    WINDOW_BASE, call_slot, dispatcher_page,
};
use kiln_object::{ObjectName, ProcessId, RawReference};
use kiln_runtime::startup;

use crate::memory::ARENA;
use crate::random::Random;

/// Room for bytes in and out, which nothing else needs.
#[repr(align(4096))]
struct Scratch(UnsafeCell<[u8; 2 * MESSAGE_BYTES]>);

// SAFETY: only the one thread that makes random calls uses it.
unsafe impl Sync for Scratch {}

static INPUT: Scratch = Scratch(UnsafeCell::new([0; 2 * MESSAGE_BYTES]));
static OUTPUT: Scratch = Scratch(UnsafeCell::new([0; 2 * MESSAGE_BYTES]));

/// Paths, most of them of files that calls make and remove.
pub const PATHS: [&[u8]; 24] = [
    b"",
    b"/",
    b"a",
    b"b",
    b"c",
    b"a/b",
    b"a/c",
    b"b/a",
    b"a/b/c",
    b"b/../a/./c",
    b"../a",
    b"a/",
    b"..",
    b".",
    b"//b",
    b"etc",
    b"etc/passwd",
    b"etc/a",
    b"dev/null",
    b"dev/stdin",
    b"tmp/a",
    b"tmp/a/b",
    b"/a",
    b"a\0b",
];

/// An address: of memory that attacks own, of what is not theirs, of nothing.
pub fn address(random: &mut Random) -> u64 {
    let places: [u64; 24] = [
        0,
        USER_START,
        USER_END,
        1 << 47,
        0xffff_8000_0000_0000,
        0xffff_c000_0000_0000,
        0xffff_ffff_8020_0000,
        u64::MAX,
        1 << 63,
        crate::memory::text(),
        HEAP_BASE,
        MAIN_STACK_TOP,
        TRAP_STACK_TOP,
        STARTUP_BASE,
        CONFIGURATION_BASE,
        KERNEL_INFORMATION_BASE,
        ROOT_BASE,
        WINDOW_BASE,
        dispatcher_page(0),
        call_slot(0, 0) + CALL_SLOT_INPUT,
        call_slot(0, 0) + CALL_SLOT_OUTPUT,
        call_slot(0, 15),
        ARENA,
        0x7fff_0000_0000,
    ];
    let around = |random: &mut Random, base: u64| {
        let step = random.choose(&[1, 8, 4080, PAGE_BYTES, 16 * PAGE_BYTES, 2 << 20]);
        base.wrapping_add((random.below(17).wrapping_sub(8)).wrapping_mul(step))
    };
    match random.below(16) {
        0..9 => ARENA + random.below(64) * PAGE_BYTES,
        9..11 => ARENA + random.below(1 << 24),
        11..15 => {
            let place = random.choose(&places);
            around(random, place)
        }
        _ => random.word(),
    }
}

/// Bytes of memory.
pub fn size(random: &mut Random) -> u64 {
    match random.below(12) {
        0..8 => random.below(20) * PAGE_BYTES,
        8 => random.below(1 << 16),
        9 => 1 << random.below(64),
        10 => (1u64 << random.below(48)).wrapping_sub(random.below(3)),
        _ => random.word(),
    }
}

/// A process: the kernel, a server, this one, one that is none.
pub fn process(random: &mut Random) -> ProcessId {
    match random.below(8) {
        0..2 => ProcessId::KERNEL,
        2..5 => ProcessId::new(1 + random.below(3) as u32, 1),
        5 => startup().process,
        6 => ProcessId::new(random.below(1100) as u32, 2),
        _ => ProcessId::from_raw(random.word()),
    }
}

/// A name, perhaps of something.
pub fn name(random: &mut Random) -> ObjectName {
    match random.below(4) {
        0 => ObjectName::from_raw(random.word()),
        _ => ObjectName::new(random.below(80) as u32, random.below(4) as u32),
    }
}

/// An argument word.
pub fn word(random: &mut Random, held: RawReference) -> u64 {
    match random.below(16) {
        0..5 => random.below(9),
        5..8 => address(random),
        8..11 => size(random),
        11 => held.process.raw(),
        12 => held.object.raw(),
        13 => startup().process.raw(),
        14 => random.below(1 << 17),
        _ => random.word(),
    }
}

/// A method number.
pub fn method(random: &mut Random) -> u16 {
    match random.below(32) {
        0..28 => random.below(14) as u16,
        28..30 => universal::BIND + random.below(4) as u16,
        30 => 0xfef8 + random.below(16) as u16,
        _ => random.word() as u16,
    }
}

/// The tag of an operation, most of them of none.
pub fn operation(random: &mut Random) -> u16 {
    match random.below(4) {
        0 => Operation::Return as u16,
        1 => Operation::Resume as u16,
        _ => 0xcb00 | random.word() as u16 & 0xff,
    }
}

/// The length of a byte string.
pub fn length(random: &mut Random) -> u16 {
    match random.below(16) {
        0..8 => 0,
        8..11 => random.below(129) as u16,
        11..14 => random.below(MESSAGE_BYTES as u64 + 1) as u16,
        14 => MESSAGE_BYTES as u16 + random.below(2) as u16,
        _ => random.word() as u16,
    }
}

/// Where bytes in are: mostly bytes that nobody expects.
pub fn input(random: &mut Random) -> u64 {
    if random.one_in(2) {
        return address(random);
    }
    // SAFETY: see `Scratch`; no other reference to it is in use.
    let bytes = unsafe { &mut *INPUT.0.get() };
    for _ in 0..4 {
        let place = random.below(256) as usize;
        bytes[place] = random.word() as u8;
    }
    bytes.as_ptr() as u64
}

/// Where bytes out go: nowhere that the code here needs.
pub fn output(random: &mut Random) -> u64 {
    if random.one_in(2) {
        return OUTPUT.0.get() as u64;
    }
    loop {
        let address = address(random);
        // What is vital may be read only, or is the kernel's page; but it may be the stack.
        let start = address.saturating_sub(PAGE_BYTES);
        let end = address.saturating_add(2 * PAGE_BYTES);
        if !crate::memory::is_vital(start, end) {
            return address;
        }
    }
}

/// The address of the bytes in that are this module's to fill.
pub fn own_input() -> u64 {
    INPUT.0.get() as u64
}

/// Makes the bytes in one path or two; answers the length of the first, and of all.
pub fn path_input(random: &mut Random, two: bool) -> (u64, u64) {
    // SAFETY: see `Scratch`; no other reference to it is in use.
    let bytes = unsafe { &mut *INPUT.0.get() };
    let first = random.choose(&PATHS);
    let second = if two { random.choose(&PATHS) } else { b"" };
    let all = first.len() + second.len();
    bytes[..first.len()].copy_from_slice(first);
    bytes[first.len()..all].copy_from_slice(second);
    // What follows is the rest of earlier paths and noise: an `Attributes`, perhaps.
    for byte in &mut bytes[all..all + 8] {
        *byte = random.word() as u8;
    }
    (first.len() as u64, all as u64)
}
