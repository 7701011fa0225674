//! Arguments of the kind that a method's description asks for: new methods need nothing here.

use kiln_interface::file::{Attributes, open};
use kiln_object::call::CALL_WORDS;
use kiln_object::describe::{ArgumentDescription, MethodDescription, Travel};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{ObjectName, ProcessId, RawReference, Rights};
use kiln_runtime::time;

use crate::memory::ARENA;
use crate::random::Random;
use crate::storm::choices::{self, PATHS, address, size};

/// Ways to open a file that are of use; the first change nothing.
const OPENINGS: [u64; 8] = [
    open::READ as u64,
    (open::READ | open::DIRECTORY) as u64,
    (open::PATH | open::NO_FOLLOW) as u64,
    (open::READ | open::WRITE) as u64,
    (open::READ | open::WRITE | open::CREATE) as u64,
    (open::READ | open::WRITE | open::CREATE) as u64,
    (open::READ | open::WRITE | open::TRUNCATE) as u64,
    (open::READ | open::WRITE | open::NAMELESS) as u64,
];
const LOOKING: usize = 3;

/// Paths of few components, so that calls meet each other's files.
const SIMPLE: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"a/b", b"b/a", b"a/a/c", b"known"];

/// Words, and the lengths of bytes in and out.
#[derive(Debug, Default)]
pub struct Shape {
    words: [u64; CALL_WORDS],
    count: usize,
    /// Bytes in so far.
    pub input: usize,
    /// Room for bytes out.
    pub output: usize,
}

impl Shape {
    fn push(&mut self, word: u64) {
        if let Some(place) = self.words.get_mut(self.count) {
            *place = word;
            self.count += 1;
        }
    }

    /// The words.
    pub fn words(&self) -> [u64; CALL_WORDS] {
        self.words
    }
}

/// Chooses arguments; `held` is a reference to give, and bytes in are written to `input`.
pub fn shape(
    random: &mut Random,
    method: &MethodDescription,
    held: RawReference,
    process: ProcessId,
    input: &mut [u8],
) -> Shape {
    let mut shape = Shape::default();
    let mut lengths = [0; CALL_WORDS];
    let mut inputs = 0;
    for argument in method.arguments {
        match argument.travel {
            Travel::Words => word(random, method.name, argument, held, process, &mut shape),
            Travel::Handed(_) => {
                shape.push(held.process.raw());
                shape.push(held.object.raw());
            }
            Travel::Caller => {}
            Travel::In | Travel::InOut => {
                let start = shape.input;
                shape.input += bytes(random, argument, input.get_mut(start..).unwrap_or_default());
                if let Some(place) = lengths.get_mut(inputs) {
                    *place = (shape.input - start) as u64;
                    inputs += 1;
                }
                if argument.travel == Travel::InOut {
                    shape.output += shape.input - start;
                }
            }
            Travel::Out => {
                let room = [
                    0,
                    63,
                    64,
                    80,
                    128,
                    256,
                    4096,
                    usize::from(choices::length(random)),
                ];
                shape.output = random.choose(&room);
            }
        }
    }
    // The last string is as long as what is left.
    for length in lengths.iter().take(inputs.saturating_sub(1)) {
        shape.push(*length);
    }
    shape
}

fn word(
    random: &mut Random,
    method: &str,
    argument: &ArgumentDescription,
    held: RawReference,
    process: ProcessId,
    shape: &mut Shape,
) {
    if argument.kind.contains("Reference") {
        shape.push(held.process.raw());
        return shape.push(held.object.raw());
    }
    let protection = [0, 1, 3, 3, 3, 5, 4];
    let value = match (argument.name, argument.kind) {
        (_, "ProcessId") => process.raw(),
        (_, "bool") => random.below(2),
        ("address" | "new_address", _) if random.one_in(2) => ARENA + random.below(8) * PAGE_BYTES,
        ("address" | "new_address" | "entry" | "stack", _) => address(random),
        ("length" | "new_length", _) => match random.below(2) {
            0 => (1 + random.below(3)) * PAGE_BYTES,
            _ => size(random),
        },
        // Mostly one of the first pages, of which some were asked for.
        ("offset", _) if matches!(method, "supply" | "fail") && !random.one_in(4) => {
            random.below(4) * PAGE_BYTES
        }
        ("offset" | "cookie", _) => match random.below(8) {
            0..4 => random.below(1 << 15),
            4..6 => random.below(16) << 12,
            6 => u64::MAX,
            _ => size(random),
        },
        ("deadline", _) => time::monotonic_ns().wrapping_add(random.below(100_000)) - 50_000,
        ("protection", _) => random.choose(&protection),
        ("protection_and_flags", _) => {
            random.choose(&[0, 1, 2, 4, 5, 6, 8, 9, 12, 13]) << 32 | random.choose(&protection)
        }
        // None, an object of this process, one that it does not have, one of somebody else.
        ("pager", _) => match random.below(4) {
            0 => 0,
            1 => ObjectName::BOOTSTRAP.raw(),
            2 => choices::name(random).raw(),
            _ => held.object.raw(),
        },
        ("rights", _) => match random.below(4) {
            0 => random.word() & 0xffff_ffff,
            _ => u64::from((Rights::READ | Rights::MAP | Rights::WRITE).bits()),
        },
        ("flags", _) if method == "open" && !random.one_in(8) => {
            random.choose(&OPENINGS[..LOOKING])
        }
        ("flags", _) if method == "open_writable" && !random.one_in(8) => random.choose(&OPENINGS),
        ("flags", _) if method == "rename" && !random.one_in(4) => random.below(4),
        ("flags", _) => match random.below(4) {
            0 => random.choose(&[0, 1, 2, 8, 9, 10]),
            1 => random.choose(&[0, 1, 32, 64, 128]),
            _ => random.below(1 << 9),
        },
        ("mode", _) => random.choose(&[0, 0o010_000, 0o020_000, 0o100_000]) | random.below(0o1000),
        (_, "u32") => {
            let bits = random.below(16);
            random.below(1 << bits)
        }
        _ => match random.below(4) {
            0 => random.word(),
            1 => size(random),
            _ => random.below(1 << 20),
        },
    };
    shape.push(value);
}

/// Writes a byte string to `room`; answers its length.
fn bytes(random: &mut Random, argument: &ArgumentDescription, room: &mut [u8]) -> usize {
    if matches!(argument.name, "path" | "from" | "to" | "target" | "name") {
        let mut path = [0; 64];
        let chosen = if random.one_in(3) {
            random.choose(&PATHS)
        } else {
            random.choose(&SIMPLE)
        };
        let mut length = chosen.len();
        path[..length].copy_from_slice(chosen);
        // A name near one that is valid.
        if random.one_in(8) && length > 0 {
            path[random.below(length as u64) as usize] = random.word() as u8;
        } else if random.one_in(8) {
            path[length] = b'a' + random.below(3) as u8;
            length += 1;
        }
        let length = length.min(room.len());
        room[..length].copy_from_slice(&path[..length]);
        return length;
    }
    let length = match (argument.name, random.below(4)) {
        ("attributes", 0..3) => size_of::<Attributes>(),
        _ => usize::from(choices::length(random)) % 4097,
    };
    let length = length.min(room.len());
    for _ in 0..2 {
        if length != 0 {
            room[random.below(length as u64) as usize] = random.word() as u8;
        }
    }
    length
}
