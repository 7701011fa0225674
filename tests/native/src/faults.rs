//! Threads that fail alone.

use core::hint::black_box;

use kiln_runtime::thread::{self, Failed, Priority, yield_now};

use crate::report::{check, failed};
use crate::scheduling::start;

/// Runs `work` in a thread of its own, beside another that goes on; it must fail.
fn must_fail(what: &str, work: impl FnOnce() + Send + 'static) {
    let witness = start(Priority::Normal, || {
        yield_now();
        17
    });
    match thread::spawn_isolated(Priority::Normal, work) {
        Ok(thread) => {
            let end = thread.try_join();
            check(end == Err(Failed), format_args!("{what} goes on"));
        }
        Err(error) => failed(format_args!("no thread: {error}")),
    }
    check(witness.join() == 17, format_args!("{what} spoilt another"));
}

/// What the processor refuses.
pub fn faults() {
    must_fail("a null pointer", || {
        let pointer = black_box(core::ptr::without_provenance::<u8>(8));
        // SAFETY: it is meant to fault, and has no other effect.
        black_box(unsafe { pointer.read_volatile() });
    });
    must_fail("an invalid instruction", || {
        // SAFETY: it is meant to fault, and has no other effect.
        unsafe { core::arch::asm!("ud2") };
    });
    must_fail("endless recursion", || {
        fn deeper(depth: u64) -> u64 {
            let block = black_box([depth; 100]);
            if black_box(depth) == u64::MAX {
                return 0;
            }
            deeper(depth + 1) + block[99]
        }
        black_box(deeper(0));
    });
}

/// What the program refuses.
pub fn panics() {
    for number in 0..3 {
        must_fail("a panic", move || panic!("as it should, {number}"));
    }
}
