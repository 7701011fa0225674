//! Random calls: any operation on any object with any words, pointers and lengths.
//!
//! The program's own calls are filtered: what would end it, or take the memory that its code runs
//! on, is left to the misbehaving servers, who make such calls too. After each batch all is checked
//! and what the calls made is taken away.

pub mod choices;
pub mod files;
mod shapes;
pub mod survival;

use alloc::vec::Vec;

use kiln_interface::file::FileTree;
use kiln_interface::name_space::NameSpace;
use kiln_object::call::{CallWord, FIRST_UNIVERSAL_METHOD, Operation, universal};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{ObjectName, ProcessId, RawReference};
use kiln_runtime::{log_line, startup, time};

use crate::attacks;
use crate::memory;
use crate::random::Random;
use crate::registers::Registers;
use crate::report::{attack, failed, line};

/// Calls between two checks.
const BATCH: u64 = 5000;

/// Names that are kept to be used again.
const HELD: usize = 64;

/// Batches after which servers have what they keep for good.
const SETTLING: u64 = 4;

/// Pages that come and go with caches and heaps.
const SLACK_BYTES: u64 = 256 * PAGE_BYTES;

/// Makes at least `calls` calls; answers how many they were.
pub fn run(seed: u64, calls: u64) -> u64 {
    attack("random calls");
    let mut random = Random::new(seed);
    let mut caller = Caller::new(false);
    let (mut done, mut batches, mut settled) = (0, 0, 0u64);
    while done < calls {
        while caller.made < (batches + 1) * BATCH {
            caller.call(&mut random);
        }
        done = caller.made;
        batches += 1;
        caller.give_back();
        files::remove_all();
        memory::clean();
        attacks::still_well();
        let free = memory::free();
        if batches <= SETTLING {
            settled = free;
        } else if free + SLACK_BYTES < settled {
            failed(format_args!(
                "{} KiB were free after {SETTLING} batches and {} KiB are after {batches}",
                settled >> 10,
                free >> 10
            ));
        }
        if batches % 10 == 0 {
            line(format_args!(
                "\n{done} calls, {} of them answered, {} KiB free, {} ms",
                caller.answered,
                free >> 10,
                time::monotonic_ns() / 1_000_000
            ));
        }
    }
    done
}

/// Calls without restraint, for a server that may end by them.
pub fn unfiltered(seed: u64, calls: u64) {
    let mut random = Random::new(seed);
    let mut caller = Caller::new(true);
    for _ in 0..calls {
        caller.call(&mut random);
    }
}

/// A reference that a call brought, and which object it is if the process had it before.
struct Held {
    reference: RawReference,
    object: RawReference,
}

/// Who makes the calls, with what it was given meanwhile.
struct Caller {
    reckless: bool,
    /// Each call is logged.
    traced: bool,
    held: Vec<Held>,
    own: Vec<RawReference>,
    /// Calls that were made, and that succeeded.
    made: u64,
    answered: u64,
}

impl Caller {
    fn new(reckless: bool) -> Self {
        let mut own: Vec<_> = startup()
            .objects
            .into_iter()
            .filter(|object| !object.is_none())
            .collect();
        if !reckless {
            own.push(attacks::bound::<dyn NameSpace>("name_space").raw());
            for name in ["image_root", "memory_fs"] {
                if startup().server(name).is_some() {
                    own.push(attacks::bound::<dyn FileTree>(name).raw());
                }
            }
        }
        Self {
            reckless,
            traced: crate::is_set("trace"),
            held: Vec::with_capacity(HELD + 1),
            own,
            made: 0,
            answered: 0,
        }
    }

    /// One call.
    fn call(&mut self, random: &mut Random) {
        let target = self.target(random);
        let operation = match random.below(200) {
            0 => choices::operation(random),
            _ => Operation::Call as u16,
        };
        let mut method = choices::method(random);
        let word = CallWord::new(method, choices::length(random), choices::length(random));
        let mut registers = Registers::call(target.process, target.object, word, random.word());
        let held = |random: &mut Random| match self.held.len() {
            0 => RawReference::NONE,
            count => self.held[random.below(count as u64) as usize].reference,
        };
        let reference = held(random);
        registers.set_words([(); 6].map(|()| choices::word(random, reference)));
        registers.r14 = choices::input(random);
        registers.r15 = choices::output(random);
        let object = self.object(target);
        if !random.one_in(4) {
            method = shapes::shape(random, object, reference, &mut registers);
            registers.rax = registers.rax & !0xffff | u64::from(method);
        }
        registers.rax = registers.rax & !(0xffff << 48) | u64::from(operation) << 48;
        let fits = if self.reckless {
            survival::comes_back(operation, target, method, &mut registers)
        } else {
            survival::is_harmless(operation, object, method, &mut registers)
        };
        if !fits {
            return;
        }
        if self.traced {
            log_line!("{operation:#x} {target:?} ({object:?}) {method:#x} {registers:x?}");
        }
        let before = registers;
        self.made += 1;
        registers.cross();
        if !self.reckless
            && let Some(name) = registers.unexpected(&before)
        {
            failed(format_args!(
                "{name} is not as it must be: {before:x?} became {registers:x?}"
            ));
        }
        if registers.answer().status() == 0 && operation == Operation::Call as u16 {
            self.answered += 1;
            if method == universal::RELEASE {
                self.held.retain(|held| held.reference != target);
            }
            self.keep(target, object, method, &before, &registers);
        }
    }

    /// Which object of this process a reference is, if it is another name of one.
    fn object(&self, target: RawReference) -> RawReference {
        self.held
            .iter()
            .find(|held| held.reference == target)
            .map_or(target, |held| held.object)
    }

    /// Which object is called: mostly one that is there.
    fn target(&self, random: &mut Random) -> RawReference {
        // Memory and files have the most that can go wrong; the last is a tree, if there is one.
        let own = match (random.below(3), self.own.last()) {
            (0, Some(last)) => *last,
            (1, _) => startup().object(InitialObject::AddressSpace),
            _ => random.choose(&self.own),
        };
        match random.below(16) {
            0..8 => own,
            8..13 => match self.held.len() {
                0 => own,
                count => self.held[random.below(count as u64) as usize].reference,
            },
            13 => RawReference {
                process: choices::process(random),
                object: choices::name(random),
            },
            14 => RawReference {
                object: choices::name(random),
                ..own
            },
            _ => RawReference {
                process: choices::process(random),
                ..own
            },
        }
    }

    /// Keeps what may be a reference: the first result word names an object, or the first two do.
    fn keep(
        &mut self,
        target: RawReference,
        object: RawReference,
        method: u16,
        before: &Registers,
        after: &Registers,
    ) {
        let [first, second, ..] = after.results();
        let held = if method == universal::GRANT {
            if before.rdx != startup().process.raw() {
                return;
            }
            Held {
                reference: RawReference {
                    process: target.process,
                    object: ObjectName::from_raw(first),
                },
                object,
            }
        } else if method < FIRST_UNIVERSAL_METHOD {
            let reference = RawReference {
                process: ProcessId::from_raw(first),
                object: ObjectName::from_raw(second),
            };
            Held {
                reference,
                object: reference,
            }
        } else {
            return;
        };
        let reference = held.reference;
        let is_one = reference.object.generation() != 0
            && reference.process.index() < 64
            && reference.process.incarnation() == 1;
        let known = self.own.contains(&reference)
            || self.held.iter().any(|held| held.reference == reference);
        if is_one && !known {
            self.held.push(held);
            if self.held.len() > HELD {
                release(self.held.swap_remove(0).reference);
            }
        }
    }

    /// Gives all references back that the calls brought.
    fn give_back(&mut self) {
        for held in self.held.drain(..) {
            release(held.reference);
        }
    }
}

fn release(reference: RawReference) {
    let word = CallWord::new(universal::RELEASE, 0, 0);
    let mut registers = Registers::call(reference.process, reference.object, word, 0);
    registers.cross();
}
