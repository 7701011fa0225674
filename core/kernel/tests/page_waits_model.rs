//! All interleavings of who takes numbers for waits with who ends the waits, and with the runtime, which is
//! told of the end by a bit of the shared page.
//!
//! The source of the numbers is compiled here against the model checker's atomics. The dispatcher's processor
//! takes numbers and runs the runtime, one after the other.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/process/page_waits.rs"]
mod page_waits;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use page_waits::PageWaits;

struct Shared {
    waits: PageWaits,
    /// `DispatcherPage::faults_done`.
    over: AtomicU64,
}

/// The dispatcher's threads that wait, by number: `Scheduler::faulted`.
#[derive(Default)]
struct Runtime {
    faulted: [Option<u32>; 4],
    /// The threads that went on, in that order.
    gone_on: Vec<u32>,
}

impl Runtime {
    /// A thread touches a page that is not there; answers the number of its wait.
    fn park(&mut self, shared: &Shared, thread: u32) -> u32 {
        let number = shared.waits.begin(&shared.over).expect("there is one");
        let place = &mut self.faulted[number as usize];
        assert_eq!(*place, None, "the number is another thread's");
        *place = Some(thread);
        number
    }

    /// `preemption::pages_came`.
    fn look(&mut self, shared: &Shared) {
        let mut over = shared.over.swap(0, Ordering::AcqRel);
        while over != 0 {
            let number = over.trailing_zeros();
            over &= over - 1;
            let thread = self.faulted[number as usize].take();
            self.gone_on.push(thread.expect("somebody waits"));
        }
    }
}

/// Ends these waits on another processor.
fn end(shared: &Arc<Shared>, numbers: Vec<u32>) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || {
        for number in numbers {
            shared.waits.end(number, &shared.over);
        }
    })
}

#[test]
fn each_wait_ends_once_and_for_its_own_thread() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(|| {
        let shared = Arc::new(Shared {
            waits: PageWaits::new(),
            over: AtomicU64::new(0),
        });
        let mut runtime = Runtime::default();
        let first = runtime.park(&shared, 0);
        let second = runtime.park(&shared, 1);
        let others = [end(&shared, vec![first]), end(&shared, vec![second])];
        // Numbers are taken again while the first waits end.
        runtime.look(&shared);
        let third = runtime.park(&shared, 2);
        runtime.look(&shared);
        for other in others {
            other.join().unwrap();
        }
        end(&shared, vec![third]).join().unwrap();
        runtime.look(&shared);
        let mut gone_on = runtime.gone_on.clone();
        gone_on.sort_unstable();
        assert_eq!(gone_on, [0, 1, 2]);
        // All numbers are free.
        assert_eq!(runtime.park(&shared, 3), 0);
    });
}

#[test]
fn what_nobody_was_told_of_is_free_again() {
    loom::model(|| {
        let shared = Shared {
            waits: PageWaits::new(),
            over: AtomicU64::new(1),
        };
        assert_eq!(shared.waits.begin(&shared.over), Some(1));
        shared.waits.cancel(1);
        assert_eq!(shared.waits.begin(&shared.over), Some(1));
        shared.over.store(!0, Ordering::Relaxed);
        assert_eq!(shared.waits.begin(&shared.over), None);
    });
}
