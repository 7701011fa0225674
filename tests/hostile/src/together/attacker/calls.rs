//! Random calls of objects, by the tables of their interfaces.

use kiln_interface::kernel::{AddressSpace, FileCache};
use kiln_object::call::{CallWord, Operation, universal};
use kiln_object::startup::InitialObject;
use kiln_object::{Interface, ObjectName, ProcessId, RawReference, Rights};
use kiln_runtime::startup;

use super::super::buffers::own_mark;
use super::super::tally::{self, Row};
use super::super::{attackers, known, shapes};
use super::bounds::{is_harmless, outside};
use super::targets::{Target, every_process, makes_reference, some_process};
use super::{Attacker, GIVEN};
use crate::registers::Registers;
use crate::storm::{choices, survival};

/// The methods that every object has, and some that none has.
const UNIVERSAL: [u16; 9] = [
    universal::BIND,
    universal::GRANT,
    universal::RELEASE,
    universal::TAKE_BACK,
    universal::ACCEPT,
    universal::COUNTS,
    universal::HELD,
    universal::HELD + 1,
    u16::MAX,
];

/// Servers to which attackers may bind.
const SERVERS: [&str; 3] = ["name_space", "image_root", "memory_fs"];

impl Attacker {
    /// A random call.
    pub(super) fn attack(&mut self) {
        let mut target = self.target();
        let held = match self.held.len() {
            0 => RawReference::NONE,
            count => self.held[self.random.below(count as u64) as usize].reference,
        };
        let mark = own_mark(self.random.word());
        let methods = target.interface.methods;
        let operation = match self.random.below(200) {
            0 => choices::operation(&mut self.random),
            1 => Operation::Send as u16,
            2 => Operation::Collect as u16,
            _ => Operation::Call as u16,
        };
        let (words, input, output);
        let mut method;
        if self.random.one_in(4) || methods.is_empty() {
            let random = &mut self.random;
            method = match random.below(4) {
                0 | 1 => random.choose(&UNIVERSAL),
                2 => random.below(32) as u16,
                _ => choices::method(random),
            };
            (input, output) = (choices::length(random), choices::length(random));
            words = match random.below(4) {
                0 => [(); 6].map(|()| choices::word(random, held)),
                _ => self.universal(method, &mut target, held),
            };
        } else {
            let chosen = &methods[self.random.below(methods.len() as u64) as usize];
            method = chosen.number;
            let mut arguments = chosen.arguments.iter();
            let given = if arguments.any(|argument| argument.kind.contains("FileCache")) {
                self.held_of(<dyn FileCache as Interface>::DESCRIPTION)
            } else {
                None
            };
            let random = &mut self.random;
            let owner = match random.below(4) {
                0 => some_process(random),
                _ => startup().process,
            };
            let given = given.unwrap_or(held);
            let room = self.buffers.input_bytes();
            let shape = shapes::shape(random, chosen, given, owner, room);
            (words, input, output) = (shape.words(), shape.input as u16, shape.output as u16);
        }
        let reference = target.reference;
        let word = CallWord::new(method, input, output);
        let mut registers = Registers::call(reference.process, reference.object, word, mark);
        registers.set_words(words);
        let random = &mut self.random;
        // Now and then one is a little wrong.
        if random.one_in(16) {
            registers.rax ^= 1 << random.below(48);
            method = registers.rax as u16;
        }
        registers.r14 = match random.below(8) {
            0 => outside(random),
            _ => self.buffers.input(),
        };
        registers.r15 = match random.below(4) {
            // An answer that does not arrive leaves a reference which nobody can give back.
            0 if !makes_reference(method) => outside(random),
            _ => self.buffers.output(),
        };
        registers.rax = registers.rax & !(0xffff << 48) | u64::from(operation) << 48;
        self.make(operation, target, method, registers);
    }

    /// Makes a call, unless it would harm who makes it.
    fn make(&mut self, operation: u16, target: Target, method: u16, mut registers: Registers) {
        let (reference, interface) = (target.reference, target.interface);
        let is_call = operation == Operation::Call as u16;
        let row = if operation == Operation::Send as u16 {
            Row::SEND
        } else if operation == Operation::Collect as u16 {
            Row::COLLECT
        } else if !is_call {
            Row::NO_CALL
        } else if attackers().any(|one| one == reference.process) {
            Row::ATTACKER
        } else if !target.is_exact {
            Row::GUESS
        } else {
            Row::method(interface, method)
        };
        if method == universal::GRANT && is_call {
            self.grant(reference, registers, row);
            return;
        }
        if !is_harmless(operation, reference, method, &mut registers) {
            return;
        }
        let own = startup().object(InitialObject::AddressSpace);
        if interface.hash == <dyn AddressSpace as Interface>::HASH {
            if reference != own {
                // The victim's, which nobody empties.
                survival::take_little(method, &mut registers);
            } else if is_call && method == known::method::<dyn AddressSpace>("create_file") {
                self.create_file(registers);
                return;
            }
        }
        self.cross(operation, registers, row);
    }

    /// Arguments that fit a method which all objects have; for some of these another object is called.
    fn universal(&mut self, method: u16, target: &mut Target, held: RawReference) -> [u64; 6] {
        let random = &mut self.random;
        let mut words = [(); 6].map(|()| choices::word(random, held));
        match method {
            universal::BIND => {
                if let Some(server) = startup().server(random.choose(&SERVERS)) {
                    target.reference = server;
                    target.is_exact = true;
                }
                words[0] = random.choose(&tally::INTERFACES).hash;
            }
            universal::TAKE_BACK => match self.given.len() {
                0 => {}
                count => {
                    let (server, to, name) = self.given[random.below(count as u64) as usize];
                    let own = self.own.iter().find(|own| own.reference.process == server);
                    *target = own.copied().unwrap_or(*target);
                    [words[0], words[1]] = [to.raw(), name];
                }
            },
            universal::ACCEPT => {
                let processes: alloc::vec::Vec<_> = every_process().collect();
                words[0] = random.choose(&processes).raw();
                if random.one_in(2) {
                    words[0] = startup().process.raw();
                }
                words[1] = target.interface.hash;
            }
            _ => {}
        }
        words
    }

    /// Takes what was given first back if much is given.
    pub(super) fn make_room_for_given(&mut self) {
        if self.given.len() >= GIVEN {
            self.collect_targets();
            let (server, to, name) = self.given.swap_remove(0);
            self.take_back(server, to, name);
        }
    }

    /// Gives a name, which is kept in mind: to this process, or to another that attacks.
    fn grant(&mut self, object: RawReference, mut registers: Registers, row: Row) {
        let all: alloc::vec::Vec<ProcessId> = attackers().collect();
        let to = self.random.choose(&all);
        let is_own = to == startup().process;
        registers.rdx = to.raw();
        if self.random.one_in(2) {
            registers.r8 = u64::from(u32::MAX);
        }
        // Nobody may find by chance a name that rules a process.
        let is_kept = object.process == ProcessId::KERNEL;
        let rights = match (is_kept, is_own) {
            (true, _) | (_, false) => Rights::READ | Rights::LOOKUP,
            (false, true) => Rights::ALL,
        };
        registers.r8 &= u64::from(rights.bits());
        self.make_room_for_given();
        if let Some([name, ..]) = self.cross(Operation::Call as u16, registers, row) {
            self.given.push((object.process, to, name));
            let own = RawReference {
                process: object.process,
                object: ObjectName::from_raw(name),
            };
            // Another name of the same, with which less may be done.
            if is_own && self.random.one_in(2) {
                let all = self.own.iter().chain(&self.held);
                let known = all.clone().find(|known| known.reference == object).copied();
                if let Some(known) = known {
                    self.call_once(Target {
                        reference: own,
                        ..known
                    });
                }
            }
        }
    }

    /// Asks an object whether it was given by this process.
    fn call_once(&mut self, target: Target) {
        let mark = own_mark(self.random.word());
        let word = CallWord::new(universal::ACCEPT, 0, 0);
        let reference = target.reference;
        let mut registers = Registers::call(reference.process, reference.object, word, mark);
        let hash = target.interface.hash;
        registers.set_words([startup().process.raw(), hash, 0, 0, 0, 0]);
        registers.r14 = self.buffers.input();
        registers.r15 = self.buffers.output();
        let row = Row::method(target.interface, universal::ACCEPT);
        self.cross(Operation::Call as u16, registers, row);
    }
}
