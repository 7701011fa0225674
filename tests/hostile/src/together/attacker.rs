//! One dispatcher that makes random calls while others do.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;
use kiln_interface::file::{File, FileTree};
use kiln_interface::kernel::{
    AddressSpace, Clock, Console, FileCache, Log, Machine, Process, Random as Numbers,
};
use kiln_interface::name_space::NameSpace;
use kiln_object::call::{
    CallWord, FIRST_UNIVERSAL_METHOD, Operation, PENDING, ReturnWord, universal,
};
use kiln_object::describe::Description;
use kiln_object::layout::{
    CONFIGURATION_BASE, KERNEL_INFORMATION_BASE, PAGE_BYTES, ROOT_BASE, STARTUP_BASE, SYSTEM_END,
    SYSTEM_START,
};
use kiln_object::startup::InitialObject;
use kiln_object::{Error, Interface, ObjectName, ProcessId, RawReference, Rights};
use kiln_runtime::{dispatcher, process, startup, time};

use super::buffers::{Buffers, Wrong, is_foreign, own_mark};
use super::{ANSWERED, MADE, Phase, STATES, attackers, known, seed, shapes};
use crate::memory;
use crate::random::Random;
use crate::registers::Registers;
use crate::report;
use crate::server::Command;
use crate::storm::{choices, survival};

/// How often in a row there may be no room to read the known file.
const PATIENCE: u64 = 100;

/// References that are kept to be used again, and that were given to others.
const HELD: usize = 48;
const GIVEN: usize = 16;

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
struct Target {
    reference: RawReference,
    interface: &'static Description,
}

/// A dispatcher's state.
pub struct Attacker {
    cpu: u32,
    buffers: Buffers,
    random: Random,
    own: Vec<Target>,
    held: Vec<Target>,
    /// In which process a name was given, to whom, and the name.
    given: Vec<(ProcessId, ProcessId, u64)>,
    batch: u64,
    call: u64,
    answered: u64,
    /// Times since the known file could be read last.
    unwell: u64,
}

impl Attacker {
    /// Of the processor `cpu`.
    pub fn new(cpu: u32) -> Self {
        Self {
            cpu,
            buffers: Buffers::new(),
            random: Random::new(0),
            own: Vec::with_capacity(32),
            held: Vec::with_capacity(HELD + 1),
            given: Vec::with_capacity(GIVEN + 1),
            batch: 0,
            call: 0,
            answered: 0,
            unwell: 0,
        }
    }

    /// Its processor.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Where its stack begins.
    pub fn stack_top(&self) -> u64 {
        self.buffers.stack_top()
    }

    /// Once, on its processor: calls to its own process, so that the room for them is there.
    pub fn arrive(&mut self) {
        let own = RawReference {
            process: startup().process,
            object: ObjectName::BOOTSTRAP,
        };
        let _ = known::ask(own, Command::Nest as u16, [0; 6], self.buffers, 0, 0);
    }

    fn fail(&self, what: core::fmt::Arguments<'_>) -> ! {
        report::failed(format_args!(
            "seed {}, batch {}, {:?}, processor {}, call {}: {what}",
            seed(),
            self.batch,
            startup().process,
            self.cpu,
            self.call
        ))
    }

    /// Tells what it does.
    pub fn show(&self, phase: Phase) {
        if let Some(state) = STATES.get(self.cpu as usize) {
            state.store(self.call << 8 | phase as u64, Ordering::Relaxed);
        }
    }

    /// Makes the calls of a batch.
    pub fn run(&mut self, batch: u64, calls: u64) {
        let place = u64::from(startup().process.index()) << 8 | u64::from(self.cpu);
        let mut mixed = Random::new(seed().wrapping_mul(0x1_0000_0001) ^ place << 40 ^ batch);
        self.random = Random::new(mixed.word());
        self.batch = batch;
        self.call = 0;
        self.show(Phase::Preparing);
        self.collect_targets();
        while self.call < calls {
            self.show(Phase::Calling);
            let (made, answered) = (self.call, self.answered);
            self.step();
            MADE.fetch_add(self.call - made, Ordering::Relaxed);
            ANSWERED.fetch_add(self.answered - answered, Ordering::Relaxed);
        }
        self.show(Phase::TakingBack);
        // References that were given back by chance are bound again: taking back needs one.
        self.collect_targets();
        for (server, to, name) in core::mem::take(&mut self.given) {
            self.take_back(server, to, name);
        }
        self.show(Phase::Releasing);
        for held in core::mem::take(&mut self.held) {
            self.release(held.reference);
        }
    }

    /// A call that clears up: it must be made, however long that takes. Whether it went well.
    fn ask(&self, to: RawReference, method: u16, [first, second]: [u64; 2]) -> bool {
        let words = [first, second, 0, 0, 0, 0];
        loop {
            match known::ask(to, method, words, self.buffers, 0, 0) {
                Err(Error::Busy | Error::Exhausted | Error::TooDeep) => super::pause(),
                answer => return answer.is_ok(),
            }
        }
    }

    /// Gives a reference back that was answered to this process, for itself or for somebody else.
    fn release(&self, reference: RawReference) {
        if !self.ask(reference, universal::RELEASE, [0, 0]) {
            for process in every_process() {
                self.take_back(reference.process, process, reference.object.raw());
            }
        }
    }

    /// Takes back a name of something in `server`, which any reference to something there allows.
    fn take_back(&self, server: ProcessId, from: ProcessId, name: u64) {
        let own = self.own.iter().map(|own| own.reference);
        if let Some(own) = own.into_iter().find(|own| own.process == server) {
            self.ask(own, universal::TAKE_BACK, [from.raw(), name]);
        }
    }

    fn collect_targets(&mut self) {
        self.own.clear();
        for (object, interface) in INITIAL {
            let reference = startup().object(object);
            if !reference.is_none() {
                self.own.push(Target {
                    reference,
                    interface,
                });
            }
        }
        let trees = ["image_root", "memory_fs"];
        for name in trees {
            if let Ok(reference) = known::bound::<dyn FileTree>(name) {
                let interface = <dyn FileTree as Interface>::DESCRIPTION;
                self.own.push(Target {
                    reference,
                    interface,
                });
            }
        }
        if let Ok(reference) = known::bound::<dyn NameSpace>("name_space") {
            let interface = <dyn NameSpace as Interface>::DESCRIPTION;
            self.own.push(Target {
                reference,
                interface,
            });
        }
    }

    /// One thing or another.
    fn step(&mut self) {
        match self.random.below(512) {
            0 => {
                match known::is_well(self.buffers) {
                    Ok(()) => self.unwell = 0,
                    // Room may be short just now, and a name given back by chance.
                    Err(Error::Busy | Error::Exhausted | Error::TooDeep | Error::BadReference)
                        if self.unwell < PATIENCE =>
                    {
                        self.unwell += 1;
                    }
                    Err(error) => self.fail(format_args!("the known file: {error}")),
                }
                self.call += 1;
                // Room for more than the longest of its answers.
                let _ = self.look(512);
            }
            1..4 => {
                self.call += 1;
                let noise = self.random.word();
                match self.buffers.give_back(noise) {
                    Ok(None) => {}
                    Ok(Some(what)) => self.fail(format_args!("{what}")),
                    Err(error) => self.fail(format_args!("memory is not taken back: {error:?}")),
                }
            }
            4..6 => {
                for _ in 0..self.random.below(4000) {
                    core::hint::spin_loop();
                }
            }
            6 => {
                let until = time::monotonic_ns() + self.random.below(50_000);
                dispatcher::page().pending.store(0, Ordering::SeqCst);
                let _ = process().wait(until);
                self.call += 1;
            }
            7..10 => self.provoke(),
            _ => self.attack(),
        }
    }

    /// Has the victim do something, of which it may die.
    fn provoke(&mut self) {
        let Some(victim) = startup().server("attack_victim") else {
            return;
        };
        let commands = [
            Command::Show,
            Command::Show,
            Command::Boast,
            Command::Nest,
            Command::ReturnTwice,
            Command::Call,
        ];
        let deadly = [
            Command::Exit,
            Command::Trap,
            Command::Overflow,
            Command::Unmap,
            Command::Spoil,
        ];
        let command = if self.random.one_in(64) {
            self.random.choose(&deadly)
        } else {
            self.random.choose(&commands)
        };
        let target = choices::process(&mut self.random);
        let name = choices::name(&mut self.random);
        let method = self.random.below(8);
        // It must not wait, nor call the others in this way.
        let words = if target.index() <= 3 && target != ProcessId::KERNEL {
            [target.raw(), name.raw(), method, 0, 0, 0]
        } else {
            [victim.process.raw(), name.raw(), 1, 0, 0, 0]
        };
        let word = CallWord::new(command as u16, 0, self.random.choose(&[0, 4096]));
        let mark = own_mark(self.random.word());
        let mut registers = Registers::call(victim.process, victim.object, word, mark);
        registers.set_words(words);
        registers.r14 = self.buffers.input();
        registers.r15 = self.buffers.output();
        self.cross(Operation::Call as u16, registers);
    }

    /// A random call.
    fn attack(&mut self) {
        let target = self.target();
        let random = &mut self.random;
        let reference = target.reference;
        let held = match self.held.len() {
            0 => RawReference::NONE,
            count => self.held[random.below(count as u64) as usize].reference,
        };
        let mark = own_mark(random.word());
        let methods = target.interface.methods;
        let operation = match random.below(200) {
            0 => choices::operation(random),
            1 => Operation::Send as u16,
            2 => Operation::Collect as u16,
            _ => Operation::Call as u16,
        };
        let mut registers;
        let mut method;
        if random.one_in(4) || methods.is_empty() {
            method = match random.below(4) {
                0 => random.choose(&UNIVERSAL),
                1 => random.below(32) as u16,
                _ => choices::method(random),
            };
            let word = CallWord::new(method, choices::length(random), choices::length(random));
            registers = Registers::call(reference.process, reference.object, word, mark);
            registers.set_words([(); 6].map(|()| choices::word(random, held)));
        } else {
            let chosen = &methods[random.below(methods.len() as u64) as usize];
            method = chosen.number;
            let owner = match random.below(4) {
                0 => some_process(random),
                _ => startup().process,
            };
            let shape = shapes::shape(random, chosen, held, owner, self.buffers.input_bytes());
            let word = CallWord::new(method, shape.input as u16, shape.output as u16);
            registers = Registers::call(reference.process, reference.object, word, mark);
            registers.set_words(shape.words());
            // Now and then one is a little wrong.
            if random.one_in(16) {
                registers.rax ^= 1 << random.below(48);
                method = registers.rax as u16;
            }
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
        if method == universal::GRANT && operation == Operation::Call as u16 {
            self.grant(reference, registers);
            return;
        }
        // A message has no answer, so nobody could give back what it makes.
        if operation == Operation::Send as u16
            && (method == universal::GRANT || makes_reference(method))
        {
            return;
        }
        if !is_harmless(operation, reference, method, &mut registers) {
            return;
        }
        self.cross(operation, registers);
    }

    /// Gives a name, which is kept in mind: to this process, or to another that attacks.
    fn grant(&mut self, object: RawReference, mut registers: Registers) {
        let all: Vec<_> = attackers().collect();
        let to = self.random.choose(&all);
        let is_own = to == startup().process;
        registers.rdx = to.raw();
        // Nobody may find by chance a name that rules a process.
        let is_kept = object.process == ProcessId::KERNEL;
        let rights = match (is_kept, is_own) {
            (true, _) | (_, false) => Rights::READ | Rights::LOOKUP,
            (false, true) => Rights::ALL,
        };
        registers.r8 &= u64::from(rights.bits());
        if self.given.len() >= GIVEN {
            self.collect_targets();
            let (server, to, name) = self.given.swap_remove(0);
            self.take_back(server, to, name);
        }
        if let Some([name, ..]) = self.cross(Operation::Call as u16, registers) {
            self.given.push((object.process, to, name));
        }
    }

    /// Makes the call, and looks at what came back; answers the words if it went well.
    fn cross(&mut self, operation: u16, mut registers: Registers) -> Option<[u64; 4]> {
        let before = registers;
        let to = RawReference {
            process: ProcessId::from_raw(before.rdi),
            object: ObjectName::from_raw(before.rsi),
        };
        let word = CallWord(before.rax);
        self.call += 1;
        if let Some(state) = STATES.get(self.cpu as usize) {
            let what = u64::from(word.method()) << 8 | (to.process.index() & 0xff) as u64;
            state.store(
                what << 40 | self.call << 8 | Phase::InCall as u64,
                Ordering::Relaxed,
            );
        }
        registers.cross();
        if operation != Operation::Collect as u16 {
            finish(&mut registers, before.r15);
        }
        if let Some(name) = registers.unexpected(&before) {
            self.fail(format_args!(
                "{name} is not as it must be: {before:x?} became {registers:x?}"
            ));
        }
        if registers.results().into_iter().any(is_foreign) {
            self.fail(format_args!("another process's mark in {registers:x?}"));
        }
        let answer = registers.answer();
        if answer.output() > word.output() && operation == Operation::Call as u16 {
            self.fail(format_args!("{before:x?} became {registers:x?}"));
        }
        let is_private = before.r15 == self.buffers.output();
        if let Some(what) = self.look(if is_private { answer.output() } else { 0 }) {
            self.fail(format_args!(
                "{what}: {operation:#x} {before:x?} became {registers:x?}"
            ));
        }
        if answer.status() != 0 || operation != Operation::Call as u16 {
            return None;
        }
        self.answered += 1;
        let method = word.method();
        if method == universal::RELEASE {
            self.held.retain(|held| held.reference != to);
        } else if method < FIRST_UNIVERSAL_METHOD {
            self.keep(&registers);
        }
        Some(registers.results())
    }

    fn look(&mut self, bytes: usize) -> Option<Wrong> {
        let thoroughly = self.random.one_in(16);
        self.buffers.look(bytes, thoroughly)
    }

    /// Keeps what may be a reference.
    fn keep(&mut self, registers: &Registers) {
        let [first, second, ..] = registers.results();
        let reference = RawReference {
            process: ProcessId::from_raw(first),
            object: ObjectName::from_raw(second),
        };
        let is_one = reference.object.generation() != 0
            && reference.process.index() < 64
            && reference.process.incarnation() == 1;
        let is_known = self
            .own
            .iter()
            .chain(&self.held)
            .any(|known| known.reference == reference);
        if !is_one || is_known {
            return;
        }
        let interface = if reference.process == ProcessId::KERNEL {
            <dyn FileCache as Interface>::DESCRIPTION
        } else {
            <dyn File as Interface>::DESCRIPTION
        };
        self.held.push(Target {
            reference,
            interface,
        });
        if self.held.len() > HELD {
            let oldest = self.held.swap_remove(0);
            self.release(oldest.reference);
        }
    }

    /// Which object is called: mostly one that is there.
    fn target(&mut self) -> Target {
        let random = &mut self.random;
        let own = random.choose(&self.own);
        let reference = own.reference;
        let held = match self.held.len() {
            0 => own,
            count => self.held[random.below(count as u64) as usize],
        };
        match random.below(32) {
            0..14 => own,
            14..26 => held,
            26 => Target {
                reference: RawReference {
                    process: some_process(random),
                    object: choices::name(random),
                },
                ..own
            },
            27 | 28 => Target {
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
        }
    }
}

/// Makes a call that is pending an answered one.
pub fn finish(registers: &mut Registers, output: u64) {
    if registers.answer().status() != PENDING {
        return;
    }
    let ticket = registers.results()[0];
    loop {
        let word = CallWord::collect(u16::MAX >> 4);
        let mut collecting = Registers::call(
            ProcessId::from_raw(ticket),
            ObjectName::BOOTSTRAP,
            word,
            own_mark(0),
        );
        collecting.r15 = output;
        collecting.cross();
        let answer = ReturnWord(collecting.rax);
        if answer.status() != PENDING {
            registers.rax = collecting.rax;
            registers.set_words([
                collecting.rdx,
                collecting.r8,
                collecting.r9,
                collecting.r10,
                registers.r12,
                registers.r13,
            ]);
            return;
        }
        super::pause();
    }
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
fn makes_reference(method: u16) -> bool {
    let files = [
        <dyn File as Interface>::DESCRIPTION,
        <dyn FileTree as Interface>::DESCRIPTION,
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
fn every_process() -> impl Iterator<Item = ProcessId> {
    let victim = startup().server("attack_victim");
    let first = (1..=super::program_place()).map(|place| ProcessId::new(place, 1));
    first.chain(victim.map(|victim| victim.process))
}

/// A process that is there, was there, or is none.
fn some_process(random: &mut Random) -> ProcessId {
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

/// An address that is not this attacker's room: where nothing that the code needs can be written.
fn outside(random: &mut Random) -> u64 {
    let read_only = [
        memory::text(),
        STARTUP_BASE,
        CONFIGURATION_BASE,
        KERNEL_INFORMATION_BASE,
        ROOT_BASE,
    ];
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
fn is_harmless(
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
