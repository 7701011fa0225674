//! Threads that are not in use: the last one used is taken first.
//!
//! They keep their stacks while memory is plentiful, since to take one away all processors of the
//! process have to forget it.

use alloc::alloc::{Layout, alloc};
use core::sync::atomic::Ordering::Relaxed;

use kiln_object::Error;

use super::Thread;
use super::list::List;
use super::object::Next;
use super::stack;
use crate::{SpinMutex, kernel_information, startup};

/// Stacks that are kept in any case.
const KEPT_STACKS: usize = 64;

/// More are kept while this part of the machine's memory is free.
const PLENTY: u64 = 4;

struct Store {
    with_stack: List<Next>,
    stacks: usize,
    without: List<Next>,
}

static STORE: SpinMutex<Store> = SpinMutex::new(Store {
    with_stack: List::new(),
    stacks: 0,
    without: List::new(),
});

/// A thread with a stack, nobody else's.
///
/// # Errors
/// `Exhausted`, and what mapping a stack answers.
pub fn take() -> Result<&'static Thread, Error> {
    let found = {
        let mut store = STORE.lock();
        match store.with_stack.pop() {
            Some(thread) => {
                store.stacks -= 1;
                return Ok(thread);
            }
            None => store.without.pop(),
        }
    };
    let thread = match found {
        Some(thread) => thread,
        None => make()?,
    };
    match stack::map(thread.place.get()) {
        Ok(place) => {
            thread.place.set(Some(place));
            thread.set_stack(place.low, place.top());
            Ok(thread)
        }
        Err(error) => {
            STORE.lock().without.push_front(thread);
            Err(error)
        }
    }
}

/// Gives a thread back that has ended and on whose stack nobody is.
pub fn put(thread: &'static Thread) {
    let is_kept = {
        let mut store = STORE.lock();
        let is_kept = store.stacks < KEPT_STACKS || is_plenty();
        if is_kept {
            store.stacks += 1;
            store.with_stack.push_front(thread);
        }
        is_kept
    };
    if is_kept {
        return;
    }
    let taken_away = match thread.place.get() {
        Some(place) => stack::unmap(place).is_ok(),
        None => false,
    };
    let mut store = STORE.lock();
    if taken_away {
        store.without.push_front(thread);
    } else {
        store.stacks += 1;
        store.with_stack.push_front(thread);
    }
}

fn is_plenty() -> bool {
    kernel_information().memory_free.load(Relaxed) > startup().memory_bytes / PLENTY
}

/// A thread that lives for ever, without a stack.
pub fn make() -> Result<&'static Thread, Error> {
    // SAFETY: a thread has bytes.
    let place = unsafe { alloc(Layout::new::<Thread>()) }.cast::<Thread>();
    if place.is_null() {
        return Err(Error::Exhausted);
    }
    // SAFETY: the memory was allocated for a thread, and is never given back.
    unsafe {
        place.write(Thread::new());
        Ok(&*place)
    }
}
