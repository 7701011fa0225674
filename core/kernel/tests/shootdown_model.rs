//! All interleavings of processors that take pages away with another that loads the address space, leaves
//! it, or is in it: when a page is given back, nobody has its translation.
//!
//! The numbers of the flushes are the kernel's own source. The rest follows `flush_others`, `set_current`,
//! `clear_current` and `flush_here` step by step: page table, the word that names the running
//! dispatcher, and what a processor caches are one value each. Loading CR3 serialises (Intel SDM vol. 3,
//! 9.3), which is a full fence here.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/schedule/tickets.rs"]
mod tickets;

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
use loom::thread;
use tickets::Tickets;

/// What the page table says while a page is there.
const MAPPED: u64 = 1;

struct Machine {
    entries: [AtomicU64; 2],
    /// Whether the other processor says that it runs the process.
    running: AtomicBool,
    requested: AtomicBool,
    flushes: Tickets,
    /// Which pages were given back.
    freed: [AtomicBool; 2],
}

impl Machine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: [AtomicU64::new(MAPPED), AtomicU64::new(MAPPED)],
            running: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            flushes: Tickets::new(),
            freed: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    /// `unmap` with `flush_others`.
    fn take_away(&self, page: usize) {
        self.free(page, |machine| machine.running.load(Relaxed));
    }

    /// The same for a table, with `leave_tables`: to be loaded is to be walked through at any time.
    fn take_table_away(&self, table: usize) {
        self.free(table, |_| true);
    }

    fn free(&self, page: usize, asks: impl Fn(&Self) -> bool) {
        self.entries[page].store(0, Relaxed);
        fence(SeqCst);
        if asks(self) {
            let ticket = self.flushes.take();
            self.requested.store(true, Release);
            // It would look again. Runs in which it does see nothing more than those in which it looks
            // for the first time so late.
            if !self.flushes.is_done(ticket) {
                return;
            }
        }
        self.freed[page].store(true, Release);
    }
}

/// The processor that has translations.
struct Other {
    machine: Arc<Machine>,
    /// What it has cached of the page table's entries.
    cached: [u64; 2],
}

impl Other {
    fn new(machine: Arc<Machine>) -> Self {
        Self {
            machine,
            cached: [0; 2],
        }
    }

    /// `set_current`.
    fn enter(&mut self) {
        self.machine.running.store(true, Relaxed);
        fence(SeqCst);
        self.cached = [0; 2];
    }

    /// `clear_current`.
    fn leave(&mut self) {
        fence(SeqCst);
        self.cached = [0; 2];
        self.machine.running.store(false, Relaxed);
    }

    /// `set_current` with another process: `between` is what the processor may do of its own accord while
    /// it names that one and has not yet loaded its tables.
    fn change(&mut self, between: impl FnOnce(&mut Self)) {
        self.machine.running.store(false, Relaxed);
        between(self);
        fence(SeqCst);
        self.cached = [0; 2];
    }

    /// The program uses a page, or the processor walks through a table. If that was given back, its translation must be gone.
    fn touch(&mut self, page: usize) {
        // Whoever has seen that it is given back has seen the entry go.
        let freed = self.machine.freed[page].load(Acquire);
        if self.cached[page] == 0 {
            self.cached[page] = self.machine.entries[page].load(Relaxed);
        }
        assert!(
            !freed || self.cached[page] == 0,
            "used when it was given back"
        );
    }

    /// `attend`.
    fn attend(&mut self) {
        if self.machine.requested.swap(false, Acquire) {
            let cached = &mut self.cached;
            self.machine.flushes.answer(|| {
                fence(SeqCst);
                *cached = [0; 2];
            });
        }
    }
}

fn check(other: fn(&mut Other)) {
    check_with(|machine| machine.take_away(0), other);
}

fn check_with(taker: fn(&Machine), other: fn(&mut Other)) {
    loom::model(move || {
        let machine = Machine::new();
        let second = {
            let mut second = Other::new(machine.clone());
            thread::spawn(move || other(&mut second))
        };
        taker(&machine);
        second.join().unwrap();
    });
}

#[test]
fn one_that_walks_through_a_table_while_it_leaves() {
    check_with(
        |machine| machine.take_table_away(0),
        |second| {
            second.enter();
            second.touch(0);
            second.change(|second| second.touch(0));
            second.attend();
            second.enter();
            second.touch(0);
            second.attend();
            second.touch(0);
        },
    );
}

/// Why tables need more than pages do.
#[test]
#[should_panic = "given back"]
fn what_is_enough_for_pages_is_not_for_tables() {
    check_with(
        |machine| machine.take_away(0),
        |second| {
            second.enter();
            second.touch(0);
            second.change(|second| second.touch(0));
        },
    );
}

#[test]
fn one_that_comes_meanwhile() {
    check(|second| {
        second.enter();
        second.touch(0);
        second.attend();
        second.touch(0);
    });
}

#[test]
fn one_that_comes_and_leaves() {
    check(|second| {
        second.enter();
        second.touch(0);
        second.attend();
        second.leave();
        second.attend();
    });
}

#[test]
fn one_that_comes_again() {
    check(|second| {
        second.enter();
        second.touch(0);
        second.leave();
        second.attend();
        second.enter();
        second.touch(0);
    });
}

#[test]
fn one_flush_for_two_who_ask() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let machine = Machine::new();
        machine.running.store(true, Relaxed);
        let takers = [0, 1].map(|page| {
            let machine = machine.clone();
            thread::spawn(move || machine.take_away(page))
        });
        let mut second = Other::new(machine);
        second.attend();
        second.touch(1);
        second.touch(1);
        for taker in takers {
            taker.join().unwrap();
        }
    });
}
