//! Waiting for several descriptors: `poll` and `select`.

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::descriptor::SOFT_LIMIT;
use super::{files, waiting};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{program_memory, signal};

/// Entries of one `poll`, as far as a program can have descriptors.
const MOST_ENTRIES: u64 = 1 << 16;

/// `struct pollfd`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Entry {
    descriptor: i32,
    events: u16,
    ready: u16,
}

/// `struct timespec`, `struct timeval`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Time {
    seconds: i64,
    rest: i64,
}

/// When a wait ends; `None` for never.
type Deadline = Option<u64>;

fn now() -> u64 {
    kiln_runtime::time::monotonic_ns()
}

/// The deadline that a time at `address`, whose second field counts `unit` ns, sets from now.
///
/// # Errors
/// `EFAULT`; `EINVAL` for a time that is none.
pub fn deadline_at(address: u64, unit: u64) -> Result<Option<u64>, Errno> {
    if address == 0 {
        return Ok(None);
    }
    let time: Time = program_memory::read(address)?;
    let seconds = u64::try_from(time.seconds).map_err(|_| Errno::EINVAL)?;
    let rest = u64::try_from(time.rest).map_err(|_| Errno::EINVAL)?;
    if unit == 1 && rest >= 1_000_000_000 {
        return Err(Errno::EINVAL);
    }
    let wait = seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(rest.saturating_mul(unit));
    Ok(Some(now().saturating_add(wait)))
}

/// A deadline so many milliseconds from now; negative for never.
#[must_use]
pub fn deadline_in(milliseconds: i32) -> Option<u64> {
    let wait = u64::try_from(milliseconds).ok()?;
    Some(now().saturating_add(wait * 1_000_000))
}

/// Looks until `look` finds something or the deadline is reached.
///
/// # Errors
/// Those of `look`; `EINTR`.
pub fn wait_until(deadline: Option<u64>, mut look: impl FnMut() -> Result<u64, Errno>) -> Answer {
    loop {
        let found = look()?;
        if found > 0 || deadline.is_some_and(|deadline| deadline <= now()) {
            return Ok(found);
        }
        waiting::pause(deadline)?;
    }
}

fn readiness(descriptor: i32) -> Option<u32> {
    let description = files().description(descriptor).ok()?;
    if description.is_path_only() {
        return None;
    }
    Some(description.object().readiness())
}

fn poll_entries(address: u64, count: u64, deadline: Deadline) -> Answer {
    if count > MOST_ENTRIES {
        return Err(Errno::EINVAL);
    }
    let mut entries: Vec<Entry> = program_memory::read_array(address, count as usize)?;
    let found = wait_until(deadline, || {
        let mut found = 0;
        for entry in &mut entries {
            entry.ready = match entry.descriptor {
                // A negative descriptor switches its entry off.
                ..0 => 0,
                descriptor => match readiness(descriptor) {
                    Some(ready) => {
                        let asked = u32::from(entry.events) | POLLERR | POLLHUP;
                        (ready & asked) as u16
                    }
                    None => POLLNVAL as u16,
                },
            };
            found += u64::from(entry.ready != 0);
        }
        Ok(found)
    })?;
    // Only the answers go back: the rest may be changing under other threads.
    for (place, entry) in entries.iter().enumerate() {
        let at = address + (place * size_of::<Entry>()) as u64 + 6;
        program_memory::write(at, &entry.ready)?;
    }
    Ok(found)
}

/// poll(2)
pub fn poll(call: &Call<'_>) -> Answer {
    poll_entries(call.pointer(0), call.long(1), deadline_in(call.integer(2)))
}

/// ppoll(2)
pub fn ppoll(call: &Call<'_>) -> Answer {
    let deadline = deadline_at(call.pointer(2), 1)?;
    let answer = signal::under_mask(call.pointer(3), call.long(4), || {
        poll_entries(call.pointer(0), call.long(1), deadline)
    });
    write_rest(call.pointer(2), deadline, 1);
    answer
}

/// Linux stores the time that was left; a place that cannot be written does not fail the call.
fn write_rest(address: u64, deadline: Deadline, unit: u64) {
    if let Some(deadline) = deadline {
        let left = deadline.saturating_sub(now());
        let rest = Time {
            seconds: (left / 1_000_000_000) as i64,
            rest: (left % 1_000_000_000 / unit) as i64,
        };
        let _ = program_memory::write(address, &rest);
    }
}

/// What the three sets of `select` ask for and mean.
const SETS: [(u32, u32); 3] = [
    (POLLIN, POLLIN | POLLHUP | POLLERR),
    (POLLOUT, POLLOUT | POLLERR),
    (POLLPRI, POLLPRI),
];

fn select_sets(count: i32, addresses: [u64; 3], deadline: Deadline) -> Answer {
    let count = usize::try_from(count)
        .map_err(|_| Errno::EINVAL)?
        .min(SOFT_LIMIT);
    let words = count.div_ceil(64);
    let mut asked: [Vec<u64>; 3] = [vec![0; words], vec![0; words], vec![0; words]];
    for (set, address) in asked.iter_mut().zip(addresses) {
        if address != 0 {
            *set = program_memory::read_array(address, words)?;
        }
    }
    let mut answer = asked.clone();
    let found = wait_until(deadline, || {
        let mut found = 0;
        for descriptor in 0..count {
            let (word, bit) = (descriptor / 64, 1_u64 << (descriptor % 64));
            let is_asked = |set: &Vec<u64>| set.get(word).is_some_and(|word| word & bit != 0);
            if !asked.iter().any(is_asked) {
                continue;
            }
            let ready = readiness(descriptor as i32).ok_or(Errno::EBADF)?;
            for ((set, answer), (_, meaning)) in asked.iter().zip(&mut answer).zip(SETS) {
                let is = is_asked(set) && ready & meaning != 0;
                if let Some(word) = answer.get_mut(word) {
                    *word = if is { *word | bit } else { *word & !bit };
                }
                found += u64::from(is);
            }
        }
        Ok(found)
    })?;
    for (set, address) in answer.iter_mut().zip(addresses) {
        if address != 0 {
            if let (Some(last), 1..) = (set.last_mut(), count % 64) {
                *last &= (1 << (count % 64)) - 1;
            }
            program_memory::copy_out(address, set.as_bytes())?;
        }
    }
    Ok(found)
}

/// select(2)
pub fn select(call: &Call<'_>) -> Answer {
    let sets = [call.pointer(1), call.pointer(2), call.pointer(3)];
    let deadline = deadline_at(call.pointer(4), 1000)?;
    let answer = select_sets(call.integer(0), sets, deadline);
    write_rest(call.pointer(4), deadline, 1000);
    answer
}

/// pselect6(2). Its last argument points at the mask's address and size.
pub fn pselect6(call: &Call<'_>) -> Answer {
    let sets = [call.pointer(1), call.pointer(2), call.pointer(3)];
    let deadline = deadline_at(call.pointer(4), 1)?;
    let [mask, size] = match call.pointer(5) {
        0 => [0; 2],
        address => program_memory::read(address)?,
    };
    let answer = signal::under_mask(mask, size, || select_sets(call.integer(0), sets, deadline));
    write_rest(call.pointer(4), deadline, 1);
    answer
}
