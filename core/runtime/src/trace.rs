//! The process's own events: points and spans of time that a trace of the machine shows.
//!
//! They go into a ring in the process's own memory, which nobody but a reader of the machine's
//! memory looks at. While nothing is asked for an event costs a test and a branch.
//!
//! ```
//! kiln_runtime::trace_mark!("cache is full", 17);
//! let _span = kiln_runtime::trace_span!("look up");
//! ```

use core::sync::atomic::Ordering;

use kiln_object::trace::ring::Slot;
use kiln_object::trace::{Groups, Kind, head};

use crate::dispatcher::{CURRENT_THREAD, page};

/// Whether the process's own events are noted: a test and a branch.
#[inline(always)]
#[must_use]
pub fn is_on() -> bool {
    wants::<{ Groups::USER.bits() }>()
}

/// Whether the process is to say which interfaces its objects have.
#[inline(always)]
#[must_use]
pub(crate) fn wants_objects() -> bool {
    #[cfg(kiln_kernel)]
    {
        crate::kernel_home::note_object().is_some()
    }
    #[cfg(not(kiln_kernel))]
    {
        wants::<{ Groups::OBJECTS.bits() }>()
    }
}

#[inline(always)]
fn wants<const GROUPS: u32>() -> bool {
    #[cfg(all(kiln_freestanding, not(kiln_kernel)))]
    {
        // SAFETY: reads a word of the dispatcher's page, where the user GS base leads.
        unsafe {
            core::arch::asm!(
                "test dword ptr gs:[{place}], {groups}",
                "jnz {yes}",
                place = const kiln_object::dispatcher::TRACE_GROUPS,
                groups = const GROUPS,
                yes = label { return true },
                options(nostack, readonly),
            );
        }
        false
    }
    // A server in the kernel has no page, and notes nothing of its own: the kernel notes its calls.
    #[cfg(kiln_kernel)]
    {
        false
    }
    #[cfg(not(kiln_freestanding))]
    {
        page().trace.groups.load(Ordering::Relaxed) & u64::from(GROUPS) != 0
    }
}

/// Notes an event; the caller has asked [`is_on`].
#[cold]
#[inline(never)]
pub fn record(head: u64, a: u64, b: u64) {
    let trace = &page().trace;
    let slots = trace.slots.load(Ordering::Relaxed) as *const Slot;
    // Another thread of this dispatcher may be let in between: each takes a place of its own.
    let index = trace.position.fetch_add(1, Ordering::Relaxed);
    let place = index & trace.mask.load(Ordering::Relaxed);
    // SAFETY: the kernel mapped so many places there for good before it said that events are noted.
    // If this process has spoiled those words, it harms itself.
    let slot = unsafe { &*slots.add(place as usize) };
    slot.fill(index, crate::time::counter(), head, a, b);
}

/// Notes a point in time under a name, with a value, for [`trace_mark!`](crate::trace_mark), which
/// has asked [`is_on`].
#[inline(always)]
pub fn mark(name: &'static str, value: u64) {
    record(head_of(Kind::Mark, name), name.as_ptr() as u64, value);
}

/// Notes the hash of the interface of an object that clients know as `name`; the caller has asked
/// [`wants_objects`].
pub(crate) fn object(name: kiln_object::ObjectName, interface: u64) {
    #[cfg(kiln_kernel)]
    if let Some(note) = crate::kernel_home::note_object() {
        note(name, interface);
    }
    #[cfg(not(kiln_kernel))]
    record(head(Kind::Object, 0), name.raw(), interface);
}

/// The head of an event with a name: its bytes, and a number of the running thread.
#[inline(always)]
fn head_of(kind: Kind, name: &'static str) -> u64 {
    let thread = crate::dispatcher::word(CURRENT_THREAD).load(Ordering::Relaxed);
    // Threads are where the heap has put them: 16 bits of that, above those that are always zero, tell
    // them apart, and end up on top.
    let thread = (thread & !0xf) << (48 - 4);
    thread | head(kind, name.len().min(0xff) as u32)
}

/// A span of time, which ends when this is dropped.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct Span {
    name: Option<&'static str>,
    value: u64,
}

impl Span {
    /// Begins a span; by [`trace_span!`](crate::trace_span).
    #[inline(always)]
    pub fn begin(name: &'static str, value: u64) -> Self {
        if !is_on() {
            return Self { name: None, value };
        }
        record(head_of(Kind::Begin, name), name.as_ptr() as u64, value);
        Self {
            name: Some(name),
            value,
        }
    }
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(name) = self.name {
            record(head_of(Kind::End, name), name.as_ptr() as u64, self.value);
        }
    }
}

/// Notes a point in time: a name, which is a constant text, and perhaps a value.
#[macro_export]
macro_rules! trace_mark {
    ($name:expr) => {
        $crate::trace_mark!($name, 0)
    };
    ($name:expr, $value:expr) => {
        if $crate::trace::is_on() {
            $crate::trace::mark($name, $value);
        }
    };
}

/// Begins a span of time, which ends when what this answers is dropped: a name, which is a constant
/// text, and perhaps a value.
#[macro_export]
macro_rules! trace_span {
    ($name:expr) => {
        $crate::trace_span!($name, 0)
    };
    ($name:expr, $value:expr) => {
        $crate::trace::Span::begin($name, $value)
    };
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::vec::Vec;

    use kiln_object::trace::Event;

    use super::*;

    #[test]
    fn events_are_noted_once_they_are_asked_for() {
        crate::trace_mark!("too early");
        let trace = &page().trace;
        assert_eq!(trace.position.load(Ordering::Relaxed), 0);
        let slots: &'static [Slot; 4] = Box::leak(Box::new(core::array::from_fn(|_| Slot::new())));
        trace.slots.store(slots.as_ptr() as u64, Ordering::Relaxed);
        trace.mask.store(3, Ordering::Relaxed);
        trace
            .groups
            .store(u64::from(Groups::USER.bits()), Ordering::Relaxed);
        {
            let _span = crate::trace_span!("work", 5);
            crate::trace_mark!("inside", 6);
        }
        let events: Vec<Event> = (0..3)
            .map(|index| {
                let words = slots[index as usize].read(index, 4, &trace.position);
                Event::from_words(words.unwrap())
            })
            .collect();
        let kinds: Vec<u8> = events.iter().map(|event| event.kind).collect();
        let expected = [Kind::Begin, Kind::Mark, Kind::End].map(|kind| kind as u8);
        assert_eq!(kinds, expected);
        assert!(events.iter().all(|event| event.small >> 8 == 0));
        assert_eq!((events[0].small, events[0].b), (4, 5));
        assert_eq!((events[1].small, events[1].b), (6, 6));
        assert_eq!(events[0].a, events[2].a);
        assert!(events.is_sorted_by_key(|event| event.stamp));
    }
}
