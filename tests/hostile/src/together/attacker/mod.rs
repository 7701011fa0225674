//! One dispatcher that makes random calls while others do.

mod bounds;
mod calls;
mod pages;
mod targets;
mod victim;

use core::sync::atomic::Ordering;

use alloc::vec::Vec;
use kiln_interface::kernel::Process as _;
use kiln_object::call::{CallWord, FIRST_UNIVERSAL_METHOD, Operation, ReturnWord, universal};
use kiln_object::{Error, ObjectName, ProcessId, RawReference};
use kiln_runtime::{dispatcher, process, startup, time};

use super::buffers::{Buffers, Wrong, is_foreign};
use super::known::finish;
use super::tally::{self, Row};
use super::{ANSWERED, MADE, Phase, STATES, known, pager, seed};
use crate::random::Random;
use crate::registers::Registers;
use crate::report;
use crate::server::Command;
pub use pages::offered;
use targets::{Target, every_process};
pub use victim::is_given_away;

/// How often in a row there may be no room to read the known file.
const PATIENCE: u64 = 100;

/// References that are kept to be used again, and that were given to others.
const HELD: usize = 48;
const GIVEN: usize = 40;

/// A dispatcher's state.
pub struct Attacker {
    cpu: u32,
    buffers: Buffers,
    random: Random,
    own: Vec<Target>,
    held: Vec<Target>,
    /// In which process a name was given, to whom, and the name.
    given: Vec<(ProcessId, ProcessId, u64)>,
    /// Files of others that were mapped last: where, and how many pages.
    mapped: Vec<(u64, u64)>,
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
            mapped: Vec::with_capacity(8),
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
        pager::prepare();
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
        self.mapped.clear();
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
        pager::leave_all(self.cpu);
    }

    /// A call that clears up: it must be made, however long that takes. Whether it went well.
    fn ask(&self, to: RawReference, method: u16, [first, second]: [u64; 2]) -> bool {
        let words = [first, second, 0, 0, 0, 0];
        known::when_there_is_room(|| known::ask(to, method, words, self.buffers, 0, 0)).is_ok()
    }

    /// Gives a reference back that was answered to this process, for itself or for somebody else.
    fn release(&mut self, reference: RawReference) {
        if !self.ask(reference, universal::RELEASE, [0, 0]) {
            for process in every_process() {
                self.take_back(reference.process, process, reference.object.raw());
            }
        }
    }

    /// Takes back a name of something in `server`, which any reference to something there allows.
    /// Whether it was there.
    fn take_back(&mut self, server: ProcessId, from: ProcessId, name: u64) -> bool {
        loop {
            let mut own = self.own.iter().map(|own| own.reference);
            let Some(own) = own.find(|own| own.process == server) else {
                return false;
            };
            if self.ask(own, universal::TAKE_BACK, [from.raw(), name]) {
                return true;
            }
            // Another dispatcher may have given the own one back by chance; a name never means something again.
            if self.ask(own, universal::HELD, [0, 0]) {
                return false;
            }
            self.collect_targets();
        }
    }

    /// One thing or another.
    fn step(&mut self) {
        pager::bring();
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
            10..42 => self.do_with_pages(),
            _ => self.attack(),
        }
    }

    /// Makes the call, and looks at what came back; answers the words if it went well.
    fn cross(&mut self, operation: u16, mut registers: Registers, row: Row) -> Option<[u64; 4]> {
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
        if ReturnWord(registers.rax).is_unfinished() {
            // There was no room, and all registers are as they came; or another thread's call is not over.
            tally::count(row, None);
            return None;
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
        tally::count(row, Some(answer.status()));
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
            self.keep(&before, &registers);
        }
        Some(registers.results())
    }

    fn look(&mut self, bytes: usize) -> Option<Wrong> {
        let thoroughly = self.random.one_in(16);
        self.buffers.look(bytes, thoroughly)
    }
}
