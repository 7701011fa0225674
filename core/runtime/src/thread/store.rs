//! Threads that are not in use, most of them without a stack: the last one used is taken first.

use alloc::alloc::{Layout, alloc};

use kiln_object::Error;

use super::Thread;
use super::list::List;
use super::object::Next;
use super::stack::Stack;
use crate::SpinMutex;

/// Stacks that are kept although no thread uses them.
const KEPT_STACKS: usize = 64;

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
    match Stack::new() {
        Ok(stack) => {
            thread.set_stack(stack.low(), stack.top().expose_provenance());
            // SAFETY: the thread is this function's.
            unsafe { *thread.stack.get() = Some(stack) };
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
    {
        let mut store = STORE.lock();
        if store.stacks < KEPT_STACKS {
            store.stacks += 1;
            store.with_stack.push_front(thread);
            return;
        }
    }
    // SAFETY: the thread is this function's.
    drop(unsafe { (*thread.stack.get()).take() });
    STORE.lock().without.push_front(thread);
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
