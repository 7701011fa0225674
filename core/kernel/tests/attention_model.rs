//! All interleavings of a dispatcher with the kernel on its processor and with other processors that make
//! something pending for it: nothing is missed, and nothing is stopped where it must not be.
//!
//! The sources of both sides are compiled here. A processor is a lock: whatever runs on it, the kernel from
//! its entry to its end or one access of the program, holds it. The kernel on the way out of an interrupt can
//! have the program go on at its trap entry: that is looked at before each access.

/// The model checker's, in place of the processor's; each access of a program is one instruction.
mod primitives {
    use crate::instruction;
    pub use loom::sync::atomic::Ordering;

    macro_rules! atomic {
        ($name:ident, $word:ty) => {
            #[derive(Debug)]
            pub struct $name(loom::sync::atomic::$name);

            #[allow(dead_code)]
            impl $name {
                pub fn new(value: $word) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }
                pub fn load(&self, order: Ordering) -> $word {
                    instruction(|| self.0.load(order))
                }
                pub fn store(&self, value: $word, order: Ordering) {
                    instruction(|| self.0.store(value, order));
                }
                pub fn swap(&self, value: $word, order: Ordering) -> $word {
                    instruction(|| self.0.swap(value, order))
                }
                pub fn fetch_or(&self, bits: $word, order: Ordering) -> $word {
                    instruction(|| self.0.fetch_or(bits, order))
                }
                pub fn fetch_and(&self, bits: $word, order: Ordering) -> $word {
                    instruction(|| self.0.fetch_and(bits, order))
                }
                pub fn fetch_add(&self, value: $word, order: Ordering) -> $word {
                    instruction(|| self.0.fetch_add(value, order))
                }
                pub fn fetch_sub(&self, value: $word, order: Ordering) -> $word {
                    instruction(|| self.0.fetch_sub(value, order))
                }
                pub fn compare_exchange(
                    &self,
                    from: $word,
                    to: $word,
                    done: Ordering,
                    not: Ordering,
                ) -> Result<$word, $word> {
                    instruction(|| self.0.compare_exchange(from, to, done, not))
                }
            }
        };
    }
    atomic!(AtomicU32, u32);
    atomic!(AtomicU64, u64);
}
#[allow(dead_code, unreachable_pub)]
#[path = "../../object/src/attention.rs"]
mod attention;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/schedule/requests.rs"]
mod requests;
#[allow(dead_code, unreachable_pub)]
#[path = "../src/soft_interrupt/way_out.rs"]
mod way_out;

use std::cell::RefCell;

use attention::Attention;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use primitives::{AtomicU32, AtomicU64, Ordering};
use requests::Requests;
use way_out::{Processor, on_way_out};

/// A soft interrupt, and what another processor asks for after it raised one.
const MESSAGE: u64 = 1 << 4;
const RAISED: u32 = 1 << 3;

loom::thread_local! {
    /// The processor whose program this is; none is the kernel, or nobody that is interrupted.
    static PROGRAM: RefCell<Option<Arc<Cpu>>> = RefCell::new(None);
}

struct Cpu {
    pending: AtomicU64,
    disabled: AtomicU32,
    preemptible: AtomicU64,
    active: AtomicU64,
    requests: Requests,
    /// Messages in the ring, of which the soft interrupt tells.
    ring: AtomicU64,
    /// Whatever runs on it holds this.
    inside: Mutex<Inside>,
    wakes: Condvar,
}

/// What only the kernel has, and what the program has in its registers.
#[derive(Default)]
struct Inside {
    told: bool,
    timer: bool,
    waits: bool,
    /// It goes on at the trap entry.
    stopped: bool,
    /// The context in the save area, and the one that was put there.
    saved: Option<u64>,
    stops: u64,
    /// It is in foreign code.
    is_foreign: bool,
    /// The program must not be stopped here.
    guarded: bool,
    /// Messages that the program took.
    got: u64,
}

/// Runs one access: of a program, when its processor has nothing else to do.
fn instruction<R>(access: impl FnOnce() -> R) -> R {
    let program = PROGRAM.with(|program| program.borrow().clone());
    let Some(cpu) = program else {
        return access();
    };
    let mut access = Some(access);
    loop {
        let mut inside = cpu.inside.lock().unwrap();
        if inside.stopped {
            inside.stopped = false;
            drop(inside);
            cpu.trap_entry();
            continue;
        }
        let access = access.take().expect("it is made once");
        return access();
    }
}

/// Runs `body` as the program of `cpu`.
fn as_program<R>(cpu: &Arc<Cpu>, body: impl FnOnce() -> R) -> R {
    let before = PROGRAM.with(|program| program.replace(Some(cpu.clone())));
    let result = body();
    PROGRAM.with(|program| program.replace(before));
    result
}

impl Cpu {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pending: AtomicU64::new(0),
            disabled: AtomicU32::new(0),
            preemptible: AtomicU64::new(1),
            active: AtomicU64::new(0),
            requests: Requests::new(),
            ring: AtomicU64::new(0),
            inside: Mutex::new(Inside::default()),
            wakes: Condvar::new(),
        })
    }

    fn attention(&self) -> Attention<'_> {
        Attention {
            pending: &self.pending,
            disabled: &self.disabled,
            preemptible: &self.preemptible,
            active: &self.active,
        }
    }

    // The program.

    /// `thread::stop`, in the order of its instructions.
    fn trap_entry(&self) {
        self.attention().disable();
        let mut inside = self.inside.lock().unwrap();
        assert!(!inside.guarded, "stopped where it must not be");
        assert_eq!(inside.saved.take(), Some(inside.stops), "another context");
        drop(inside);
        self.attention().leave_save_area();
        loop {
            self.see_to_pending();
            self.attention().enable_quietly();
            if self.attention().pending() == 0 {
                return;
            }
            self.attention().disable();
        }
    }

    fn see_to_pending(&self) {
        let got = self.attention().take(MESSAGE, |bits| {
            if bits & MESSAGE == 0 {
                return 0;
            }
            self.ring.swap(0, Ordering::AcqRel)
        });
        self.inside.lock().unwrap().got += got;
    }

    /// `thread::preemption::look_at_pending`.
    fn look_at_pending(&self) {
        while self.attention().has_news(MESSAGE) && !self.attention().is_disabled() {
            self.attention().disable();
            self.see_to_pending();
            self.attention().enable_quietly();
        }
    }

    /// A section, as `dispatcher::disable` and `enable` make them.
    fn section(&self, body: impl FnOnce()) {
        self.attention().disable();
        self.inside.lock().unwrap().guarded = true;
        body();
        self.inside.lock().unwrap().guarded = false;
        self.attention().enable(|| self.look_at_pending());
    }

    // The kernel.

    /// What a message of another processor does.
    fn send_from_elsewhere(&self) {
        self.ring.fetch_add(1, Ordering::AcqRel);
        self.attention().raise(MESSAGE, || {
            if self.requests.add(RAISED) {
                self.interrupt();
            }
        });
    }

    /// What a message of its own processor does, in a call that something else made there.
    fn send_from_here(&self) {
        as_kernel(|| {
            let mut inside = self.inside.lock().unwrap();
            self.ring.fetch_add(1, Ordering::AcqRel);
            if self.attention().pending() & MESSAGE == 0 {
                self.attention().raise(MESSAGE, || inside.told = true);
            }
            on_way_out(&mut Here {
                cpu: self,
                inside: &mut inside,
            });
        });
    }

    fn attend(&self, inside: &mut Inside) {
        if self.requests.is_any() && self.requests.take_all() & RAISED != 0 {
            inside.told = true;
        }
    }

    /// An interrupt: of another processor, or of the timer.
    fn interrupt(&self) {
        as_kernel(|| {
            let mut inside = self.inside.lock().unwrap();
            self.attend(&mut inside);
            if inside.waits {
                if self.attention().pending() != 0 {
                    inside.waits = false;
                    self.wakes.notify_one();
                }
                return;
            }
            on_way_out(&mut Here {
                cpu: self,
                inside: &mut inside,
            });
        });
    }

    /// The call that waits for a soft interrupt.
    fn wait(&self) {
        as_kernel(|| {
            let mut inside = self.inside.lock().unwrap();
            self.attend(&mut inside);
            if self.attention().pending() != 0 {
                return;
            }
            inside.waits = true;
            while inside.waits {
                inside = self.wakes.wait(inside).unwrap();
            }
        });
    }

    /// Time passes for a program that computes: timers expire until none is set. Answers what it took.
    fn compute(cpu: &Arc<Self>) -> u64 {
        for _ in 0..3 {
            let mut inside = cpu.inside.lock().unwrap();
            let has_interrupt = core::mem::take(&mut inside.timer);
            drop(inside);
            if has_interrupt {
                cpu.interrupt();
            }
            // One instruction of the program.
            as_program(cpu, || cpu.ring.load(Ordering::Relaxed));
        }
        let inside = cpu.inside.lock().unwrap();
        assert!(!inside.timer && !inside.stopped && inside.saved.is_none());
        inside.got
    }
}

fn as_kernel<R>(body: impl FnOnce() -> R) -> R {
    let before = PROGRAM.with(|program| program.replace(None));
    let result = body();
    PROGRAM.with(|program| program.replace(before));
    result
}

struct Here<'a> {
    cpu: &'a Cpu,
    inside: &'a mut Inside,
}

impl Processor for Here<'_> {
    fn is_told(&self) -> bool {
        self.inside.told
    }

    fn forget(&mut self) {
        self.inside.told = false;
    }

    fn deliver(&mut self) -> bool {
        let attention = self.cpu.attention();
        let is_told = attention.is_to_be_told(MESSAGE)
            && attention.may_be_stopped(!self.inside.is_foreign)
            && attention.take_save_area();
        if is_told {
            assert!(!self.inside.stopped && self.inside.saved.is_none());
            self.inside.stops += 1;
            self.inside.saved = Some(self.inside.stops);
            self.inside.stopped = true;
        }
        is_told
    }

    fn is_anybody_to_be_told(&self) -> bool {
        self.cpu.attention().is_to_be_told(MESSAGE)
    }

    fn try_again(&mut self) {
        self.inside.timer = true;
    }
}

/// Runs `body` in every order of its steps in which a thread is interrupted at most so many times.
fn model(most: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(most);
    builder.check(body);
}

fn on_another_processor(cpu: &Arc<Cpu>, what: fn(&Cpu)) -> thread::JoinHandle<()> {
    let cpu = cpu.clone();
    thread::spawn(move || what(&cpu))
}

#[test]
fn what_becomes_pending_in_a_section_is_seen_to_after_it() {
    model(3, || {
        let cpu = Cpu::new();
        let other = on_another_processor(&cpu, Cpu::send_from_elsewhere);
        as_program(&cpu, || {
            cpu.section(|| {
                cpu.ring.load(Ordering::Relaxed);
            });
        });
        // It need not be stopped later for what came in the section.
        let inside = cpu.inside.lock().unwrap();
        assert!(!inside.timer || cpu.attention().pending() == 0);
        drop(inside);
        other.join().unwrap();
        assert_eq!(Cpu::compute(&cpu), 1);
    });
}

#[test]
fn a_program_that_computes_is_stopped_once_for_each_context() {
    model(2, || {
        let cpu = Cpu::new();
        let others = [Cpu::send_from_elsewhere as fn(&Cpu), Cpu::send_from_here]
            .map(|send| on_another_processor(&cpu, send));
        as_program(&cpu, || {
            cpu.ring.load(Ordering::Relaxed);
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(Cpu::compute(&cpu), 2);
    });
}

#[test]
fn a_dispatcher_that_waits_is_woken() {
    model(2, || {
        let cpu = Cpu::new();
        let others = [(); 2].map(|()| on_another_processor(&cpu, Cpu::send_from_elsewhere));
        // As the scheduler waits: in a section.
        as_program(&cpu, || {
            cpu.attention().disable();
            loop {
                cpu.see_to_pending();
                if cpu.inside.lock().unwrap().got == 2 {
                    break;
                }
                cpu.wait();
            }
            cpu.attention().enable(|| cpu.look_at_pending());
        });
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(Cpu::compute(&cpu), 2);
    });
}

#[test]
fn one_bit_that_is_pending_tells_of_the_next_message_too() {
    model(3, || {
        let cpu = Cpu::new();
        let other = on_another_processor(&cpu, |cpu| {
            cpu.send_from_here();
            cpu.send_from_here();
        });
        as_program(&cpu, || {
            cpu.section(|| ());
        });
        other.join().unwrap();
        assert_eq!(Cpu::compute(&cpu), 2);
    });
}

#[test]
fn whoever_allows_it_is_stopped_for_what_came_before() {
    model(3, || {
        let cpu = Cpu::new();
        cpu.preemptible.store(0, Ordering::Relaxed);
        let other = on_another_processor(&cpu, Cpu::send_from_elsewhere);
        // `thread::preemption::allow`.
        as_program(&cpu, || {
            cpu.section(|| cpu.attention().allow());
        });
        other.join().unwrap();
        assert_eq!(Cpu::compute(&cpu), 1);
    });
}

#[test]
fn what_comes_after_the_last_look_stops_foreign_code() {
    model(3, || {
        let cpu = Cpu::new();
        cpu.preemptible.store(0, Ordering::Relaxed);
        let other = on_another_processor(&cpu, Cpu::send_from_elsewhere);
        // A personality's library on its way out of a call.
        as_program(&cpu, || cpu.look_at_pending());
        cpu.inside.lock().unwrap().is_foreign = true;
        other.join().unwrap();
        assert_eq!(Cpu::compute(&cpu), 1);
    });
}
