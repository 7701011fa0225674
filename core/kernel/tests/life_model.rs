//! All interleavings of those who end a process, say what comes after, and wait for that.
//!
//! The source of the stages is compiled here against the model checker's atomics.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/process/life.rs"]
mod life;

use life::{Life, Stage};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

struct Machine {
    life: Life,
    /// CPUs that were woken, as bits.
    woken: AtomicU64,
}

impl Machine {
    fn at(stages: &[(Stage, Stage)]) -> Arc<Self> {
        let machine = Self {
            life: Life::new(),
            woken: AtomicU64::new(0),
        };
        for (from, to) in stages {
            assert!(machine.life.advance(*from, *to));
        }
        Arc::new(machine)
    }

    fn wake(&self) {
        self.woken.fetch_or(self.life.waiting(), Ordering::SeqCst);
    }

    /// Whether somebody on `cpu` goes to sleep until he is woken.
    fn sleeps(&self, cpu: u32) -> bool {
        self.life.wait_on(cpu)
    }
}

#[test]
fn who_waits_for_a_server_to_be_ready_is_woken() {
    loom::model(|| {
        let machine = Machine::at(&[
            (Stage::Starting, Stage::OnCall),
            (Stage::OnCall, Stage::Called),
        ]);
        let server = {
            let machine = machine.clone();
            thread::spawn(move || {
                assert!(machine.life.advance(Stage::Called, Stage::Ready));
                machine.wake();
            })
        };
        let slept = machine.sleeps(1);
        server.join().unwrap();
        assert!(!slept || machine.woken.load(Ordering::SeqCst) & 1 << 1 != 0);
    });
}

#[test]
fn one_of_two_ends_it_and_all_who_wait_are_woken() {
    loom::model(|| {
        let machine = Machine::at(&[(Stage::Starting, Stage::Ready)]);
        let end = |machine: &Machine, cpu: u32| {
            let first = machine.life.end();
            if first {
                // What comes after: it is started again when somebody calls it.
                assert!(machine.life.advance(Stage::Ending, Stage::OnCall));
                machine.wake();
            }
            (first, machine.sleeps(cpu))
        };
        let other = {
            let machine = machine.clone();
            thread::spawn(move || end(&machine, 1))
        };
        let here = end(&machine, 0);
        let there = other.join().unwrap();
        // The second finds it ended, or in its next life, which it ends then.
        assert!(here.0 || there.0);
        let woken = machine.woken.load(Ordering::SeqCst);
        assert!(!here.1 || woken & 1 << 0 != 0);
        assert!(!there.1 || woken & 1 << 1 != 0);
        assert!(machine.life.is(Stage::OnCall));
    });
}

#[test]
fn an_end_and_being_ready_come_in_one_order_or_the_other() {
    loom::model(|| {
        let machine = Machine::at(&[
            (Stage::Starting, Stage::OnCall),
            (Stage::OnCall, Stage::Called),
        ]);
        let server = {
            let machine = machine.clone();
            thread::spawn(move || {
                if machine.life.advance(Stage::Called, Stage::Ready) {
                    machine.wake();
                }
            })
        };
        assert!(machine.life.end());
        assert!(!machine.life.end());
        server.join().unwrap();
        assert!(machine.life.is(Stage::Ending) && machine.life.has_ended());
    });
}
