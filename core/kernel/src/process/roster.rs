//! Which process is in each place, and finding one by its identity, which takes no lock.

use core::ptr::{from_ref, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use kiln_object::{Error, ProcessId};

use super::Process;

/// Processes at a time.
pub const PROCESSES: usize = 1024;

/// The living processes by their place.
pub(crate) static TABLE: [AtomicPtr<Process>; PROCESSES] =
    [const { AtomicPtr::new(null_mut()) }; PROCESSES];

/// The process that is in each place, or was last.
static LAST: [AtomicPtr<Process>; PROCESSES] = [const { AtomicPtr::new(null_mut()) }; PROCESSES];

/// Incarnation that the next process in a place gets; place 0 is the kernel's.
static INCARNATIONS: [AtomicU32; PROCESSES] = [const { AtomicU32::new(1) }; PROCESSES];

/// A place where no process lives.
///
/// # Errors
/// `Exhausted` if there is none.
pub(super) fn free_place() -> Result<usize, Error> {
    let is_free = |slot: &AtomicPtr<Process>| slot.load(Ordering::Acquire).is_null();
    let mut places = TABLE.iter().enumerate().skip(1);
    let free = places.find(|(_, slot)| is_free(slot));
    free.map(|(place, _)| place).ok_or(Error::Exhausted)
}

/// Lets `process` be found in its place.
pub(super) fn enter(process: &'static Process) {
    let place = process.id().index() as usize;
    let pointer = from_ref(process).cast_mut();
    if let (Some(last), Some(slot)) = (LAST.get(place), TABLE.get(place)) {
        last.store(pointer, Ordering::Release);
        slot.store(pointer, Ordering::SeqCst);
    }
}

/// Lets nobody find `process`, which has ended, any more.
pub(super) fn leave(process: &Process) {
    if let Some(slot) = TABLE.get(process.id().index() as usize) {
        slot.store(null_mut(), Ordering::SeqCst);
    }
}

/// The process of that identity, or one after it in its place, that has ended, if it is not settled yet
/// what comes after: the place may have its next identity before others know of it.
#[cold]
#[must_use]
pub fn ending(id: ProcessId) -> Option<&'static Process> {
    let pointer = LAST.get(id.index() as usize)?.load(Ordering::Acquire);
    // SAFETY: as in `find`.
    let process = unsafe { pointer.as_ref() }?;
    process.is_ending().then_some(process)
}

/// The identity of the next process in `place`; a place whose numbers are used up gets none.
pub(super) fn next_incarnation(place: usize) -> Result<ProcessId, Error> {
    let incarnation = INCARNATIONS
        .get(place)
        .ok_or(Error::Exhausted)?
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
            number.checked_add(1)
        })
        .map_err(|_| Error::Exhausted)?;
    Ok(ProcessId::new(place as u32, incarnation))
}

/// Does something with every process that lives, or has ended and may still run for a moment.
pub fn for_each(mut each: impl FnMut(&'static Process)) {
    for slot in &LAST {
        // SAFETY: as in `find`.
        if let Some(process) = unsafe { slot.load(Ordering::Acquire).as_ref() } {
            each(process);
        }
    }
}

/// The living process in that place of the table.
#[must_use]
pub fn at(place: usize) -> Option<&'static Process> {
    // SAFETY: as in `find`.
    unsafe { TABLE.get(place)?.load(Ordering::Acquire).as_ref() }
}

/// The living process of that identity.
#[inline(always)]
#[must_use]
pub fn find(id: ProcessId) -> Option<&'static Process> {
    let pointer = TABLE.get(id.index() as usize)?.load(Ordering::Acquire);
    // SAFETY: the table holds pointers of leaked boxes only, which are never freed.
    let process = unsafe { pointer.as_ref() }?;
    (process.id() == id).then_some(process)
}
