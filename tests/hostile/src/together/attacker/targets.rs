//! Which objects an attacker calls, and which processes.

use kiln_interface::file::{File, FileTree};
use kiln_interface::kernel::{
    AddressSpace, Clock, Console, FileCache, Log, Machine, PagedFile, Process, Random as Numbers,
};
use kiln_interface::name_space::NameSpace;
use kiln_object::call::CallWord;
use kiln_object::describe::Description;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, Interface, ObjectName, ProcessId, RawReference};
use kiln_runtime::startup;

use super::super::{known, program_place};
use super::{Attacker, HELD};
use crate::random::Random;
use crate::registers::Registers;
use crate::storm::choices;

/// Which interface an object that the kernel gave has.
const INITIAL: [(InitialObject, &Description); 8] = [
    (
        InitialObject::AddressSpace,
        <dyn AddressSpace as Interface>::DESCRIPTION,
    ),
    (
        InitialObject::Process,
        <dyn Process as Interface>::DESCRIPTION,
    ),
    (InitialObject::Log, <dyn Log as Interface>::DESCRIPTION),
    (
        InitialObject::Random,
        <dyn Numbers as Interface>::DESCRIPTION,
    ),
    (
        InitialObject::Console,
        <dyn Console as Interface>::DESCRIPTION,
    ),
    (
        InitialObject::RootPages,
        <dyn FileCache as Interface>::DESCRIPTION,
    ),
    (
        InitialObject::Machine,
        <dyn Machine as Interface>::DESCRIPTION,
    ),
    (InitialObject::Clock, <dyn Clock as Interface>::DESCRIPTION),
];

/// An object and what it is taken for.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) reference: RawReference,
    pub(super) interface: &'static Description,
    /// Whether the object was given as one of these, and is no guess.
    pub(super) is_exact: bool,
}

impl Attacker {
    /// Binds what can be bound.
    pub(super) fn collect_targets(&mut self) {
        self.own.clear();
        for (object, interface) in INITIAL {
            let reference = startup().object(object);
            if !reference.is_none() {
                self.own.push(Target {
                    reference,
                    interface,
                    is_exact: true,
                });
            }
        }
        let trees = ["image_root", "memory_fs"];
        for name in trees {
            if let Ok(reference) = bound::<dyn FileTree>(name) {
                let interface = <dyn FileTree as Interface>::DESCRIPTION;
                self.own.push(Target {
                    reference,
                    interface,
                    is_exact: true,
                });
            }
        }
        if let Ok(reference) = bound::<dyn NameSpace>("name_space") {
            let interface = <dyn NameSpace as Interface>::DESCRIPTION;
            self.own.push(Target {
                reference,
                interface,
                is_exact: true,
            });
        }
    }

    /// What the interface of `object` says that its method answers.
    fn answer_of(&self, object: RawReference, method: u16) -> Option<&'static str> {
        let mut all = self.own.iter().chain(&self.held);
        let target = all.find(|known| known.reference == object)?;
        let mut methods = target.interface.methods.iter();
        Some(methods.find(|one| one.number == method)?.result)
    }

    /// Keeps what may be a reference, which the call `before` has answered.
    pub(super) fn keep(&mut self, before: &Registers, registers: &Registers) {
        let [first, second, ..] = registers.results();
        let reference = RawReference {
            process: ProcessId::from_raw(first),
            object: ObjectName::from_raw(second),
        };
        let is_one = reference.object.generation() != 0
            && reference.process.index() < 64
            && reference.process.incarnation() == 1;
        if is_one && self.was_for_another(before, reference) {
            return;
        }
        let is_known = self
            .own
            .iter()
            .chain(&self.held)
            .any(|known| known.reference == reference);
        if !is_one || is_known {
            return;
        }
        let asked = RawReference {
            process: ProcessId::from_raw(before.rdi),
            object: ObjectName::from_raw(before.rsi),
        };
        let method = CallWord(before.rax).method();
        let answer = self.answer_of(asked, method).unwrap_or_default();
        let interface = if answer.contains("PagedFile") {
            <dyn PagedFile as Interface>::DESCRIPTION
        } else if reference.process == ProcessId::KERNEL {
            <dyn FileCache as Interface>::DESCRIPTION
        } else {
            <dyn File as Interface>::DESCRIPTION
        };
        self.hold(Target {
            reference,
            interface,
            is_exact: true,
        });
    }

    /// Keeps a reference, in place of another if there are many.
    pub(super) fn hold(&mut self, target: Target) {
        self.held.push(target);
        if self.held.len() > HELD {
            let most = self.most_held();
            let oldest = self
                .held
                .iter()
                .position(|held| held.interface.hash == most);
            let oldest = self.held.remove(oldest.unwrap_or_default());
            self.release(oldest.reference);
        }
    }

    /// The interface of which most objects are held.
    fn most_held(&self) -> u64 {
        let count = |hash| {
            let all = self.held.iter();
            all.filter(|held| held.interface.hash == hash).count()
        };
        let all = self.held.iter().map(|held| held.interface.hash);
        all.max_by_key(|hash| count(*hash)).unwrap_or_default()
    }

    /// One of those held that have the interface.
    pub(super) fn held_of(&mut self, interface: &Description) -> Option<RawReference> {
        let held = self.held.iter();
        let fit = held.filter(|held| held.interface.hash == interface.hash);
        match fit.clone().count() {
            0 => None,
            count => fit
                .clone()
                .nth(self.random.below(count as u64) as usize)
                .map(|held| held.reference),
        }
    }

    /// Whether the reference was made for somebody else whom the call named; it is taken back then. The
    /// name means nothing here, or another object.
    fn was_for_another(&mut self, before: &Registers, reference: RawReference) -> bool {
        let words = [
            before.rdx, before.r8, before.r9, before.r10, before.r12, before.r13,
        ];
        let mut named = every_process()
            .filter(|process| *process != startup().process && words.contains(&process.raw()))
            .peekable();
        if named.peek().is_none() {
            return false;
        }
        self.collect_targets();
        named.any(|process| self.take_back(reference.process, process, reference.object.raw()))
    }

    /// Which object is called: mostly one that is there.
    pub(super) fn target(&mut self) -> Target {
        let random = &mut self.random;
        // Memory has the most that can go wrong.
        let own = match self.own.first() {
            Some(memory) if random.one_in(4) => *memory,
            _ => random.choose(&self.own),
        };
        let reference = own.reference;
        let held = match self.held.len() {
            0 => own,
            // Files that servers keep are fewer than what the kernel makes.
            count => (0..3)
                .map(|_| self.held[random.below(count as u64) as usize])
                .find(|held| held.interface.hash == <dyn File as Interface>::HASH)
                .unwrap_or_else(|| self.held[random.below(count as u64) as usize]),
        };
        let mut target = match random.below(32) {
            0..13 => return own,
            13..27 => return held,
            27 => Target {
                reference: RawReference {
                    process: some_process(random),
                    object: choices::name(random),
                },
                ..own
            },
            28 => Target {
                reference: RawReference {
                    object: near(random, held.reference.object),
                    ..held.reference
                },
                ..held
            },
            29 => Target {
                reference: RawReference {
                    process: some_process(random),
                    ..reference
                },
                ..own
            },
            _ => Target {
                reference: RawReference {
                    process: some_process(random),
                    object: ObjectName::bootstrap(random.below(3) as u32),
                },
                ..own
            },
        };
        target.is_exact = false;
        target
    }
}

/// A reference to what the server of that name serves, when there is room to ask.
fn bound<I: Interface + ?Sized>(name: &str) -> Result<RawReference, Error> {
    known::when_there_is_room(|| known::bound::<I>(name))
}

/// A name one bit or one number from another.
fn near(random: &mut Random, name: ObjectName) -> ObjectName {
    match random.below(3) {
        0 => ObjectName::new(name.slot().wrapping_add(1), name.generation()),
        1 => ObjectName::new(name.slot(), name.generation().wrapping_sub(1)),
        _ => ObjectName::from_raw(name.raw() ^ 1 << random.below(64)),
    }
}

/// Whether a method of that number answers a reference in some interface.
pub(super) fn makes_reference(method: u16) -> bool {
    let files = [
        <dyn File as Interface>::DESCRIPTION,
        <dyn FileTree as Interface>::DESCRIPTION,
        <dyn PagedFile as Interface>::DESCRIPTION,
    ];
    let kernel = INITIAL.iter().map(|(_, interface)| *interface);
    files
        .into_iter()
        .chain(kernel)
        .flat_map(|interface| interface.methods)
        .any(|one| {
            one.number == method
                && (one.result.contains("Reference") || one.result.contains("Opened"))
        })
}

/// Every process that there may be.
pub(super) fn every_process() -> impl Iterator<Item = ProcessId> {
    let victim = startup().server("attack_victim");
    let first = (1..=program_place()).map(|place| ProcessId::new(place, 1));
    first.chain(victim.map(|victim| victim.process))
}

/// A process that is there, was there, or is none.
pub(super) fn some_process(random: &mut Random) -> ProcessId {
    let victim = startup().server("attack_victim");
    let victim = victim.map_or(ProcessId::NONE, |victim| victim.process);
    match random.below(8) {
        0 => victim,
        1 => {
            let before = victim.incarnation().wrapping_sub(random.below(3) as u32);
            ProcessId::new(victim.index(), before)
        }
        2 => ProcessId::new(random.below(12) as u32, 1),
        _ => choices::process(random),
    }
}
