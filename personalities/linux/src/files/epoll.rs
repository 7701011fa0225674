//! `epoll`: a set of descriptors that is asked again and again.
//!
//! An entry watches the open file, not the descriptor, and goes when the file is closed. An
//! edge-triggered entry reports when a bit appears or something happened since its last report.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use kiln_interface::file::Attributes;
use kiln_runtime::PlainMutex as Mutex;
use linux_raw_sys::general::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLERR, EPOLLET, EPOLLHUP,
    EPOLLONESHOT, O_RDWR,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::description::Description;
use super::files;
use super::object::{Object, readiness};
use super::open::usable;
use super::poll::{deadline_in, wait_until};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::{program_memory, signal};

/// Sets inside sets, deeper than this, are refused.
const MOST_DEPTH: usize = 4;

/// `struct epoll_event`, packed on x86-64.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C, packed)]
struct Event {
    events: u32,
    data: u64,
}

#[derive(Debug)]
struct Interest {
    description: Weak<Description>,
    events: u32,
    data: u64,
    reported: u32,
    activity: u64,
    spent: bool,
}

#[derive(Debug)]
struct Set {
    interests: Mutex<BTreeMap<i32, Interest>>,
}

impl Set {
    /// Collects up to `most` events; `peek` reports without counting it as a report.
    fn collect(&self, most: usize, peek: bool) -> Vec<Event> {
        let mut events = Vec::new();
        self.interests.lock().retain(|_, interest| {
            let Some(description) = interest.description.upgrade() else {
                return false;
            };
            if events.len() >= most || interest.spent {
                return true;
            }
            let ready = description.object().readiness() & (interest.events | EPOLLERR | EPOLLHUP);
            if interest.events & EPOLLET != 0 {
                let activity = description.object().activity();
                let is_edge = ready & !interest.reported != 0
                    || (ready != 0 && activity != interest.activity);
                if !peek {
                    interest.reported = ready;
                    interest.activity = activity;
                }
                if !is_edge {
                    return true;
                }
            }
            if ready != 0 {
                events.push(Event {
                    events: ready,
                    data: interest.data,
                });
                if !peek && interest.events & EPOLLONESHOT != 0 {
                    interest.spent = true;
                }
            }
            true
        });
        events
    }

    fn depth(&self) -> usize {
        let inner = self.interests.lock();
        1 + inner
            .values()
            .filter_map(|interest| interest.description.upgrade())
            .filter_map(|description| set_of(&description).map(|set| set.depth()))
            .max()
            .unwrap_or(0)
    }

    /// Whether `other` is this set or watched by it, however far down.
    fn holds(&self, other: &Set) -> bool {
        core::ptr::eq(self, other)
            || self
                .interests
                .lock()
                .values()
                .filter_map(|interest| interest.description.upgrade())
                .any(|description| set_of(&description).is_some_and(|set| set.holds(other)))
    }
}

impl Object for Set {
    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes {
            mode: 0o600,
            number: 7,
            ..crate::pseudo::own_attributes()
        })
    }

    fn readiness(&self) -> u32 {
        if self.collect(1, true).is_empty() {
            0
        } else {
            readiness::IN
        }
    }

    fn is_pollable(&self) -> bool {
        true
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"anon_inode:[eventpoll]");
    }
}

fn set_of(description: &Description) -> Option<&Set> {
    let object: &dyn Any = description.object().as_ref();
    object.downcast_ref()
}

fn make(flags: u32) -> Answer {
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let set = Arc::new(Set {
        interests: Mutex::new(BTreeMap::new()),
    });
    let description = Description::new(set, O_RDWR, Vec::new());
    Ok(files().add(description, flags & EPOLL_CLOEXEC != 0)? as u64)
}

/// epoll_create(2)
pub fn epoll_create(call: &Call<'_>) -> Answer {
    if call.integer(0) <= 0 {
        return Err(Errno::EINVAL);
    }
    make(0)
}

/// epoll_create1(2)
pub fn epoll_create1(call: &Call<'_>) -> Answer {
    make(call.unsigned(0))
}

/// epoll_ctl(2)
pub fn epoll_ctl(call: &Call<'_>) -> Answer {
    let (operation, descriptor) = (call.unsigned(1), call.descriptor(2));
    let event = match operation {
        EPOLL_CTL_DEL => None,
        _ => Some(program_memory::read::<Event>(call.pointer(3))?),
    };
    let holder = files().description(call.descriptor(0))?;
    let watched = usable(descriptor)?;
    let set = set_of(&holder).ok_or(Errno::EINVAL)?;
    if !watched.object().is_pollable() {
        return Err(Errno::EPERM);
    }
    if let Some(inner) = set_of(&watched) {
        if core::ptr::eq(set, inner) {
            return Err(Errno::EINVAL);
        }
        if operation == EPOLL_CTL_ADD && (inner.holds(set) || inner.depth() >= MOST_DEPTH) {
            return Err(Errno::ELOOP);
        }
    }
    let mut interests = set.interests.lock();
    // A descriptor that stands for another file by now is no longer the one that was added.
    let current = interests
        .get(&descriptor)
        .and_then(|interest| interest.description.upgrade())
        .is_some_and(|description| Arc::ptr_eq(&description, &watched));
    match (operation, event, current) {
        (EPOLL_CTL_ADD, Some(event), false) => {
            interests.insert(descriptor, interest(&watched, event));
        }
        (EPOLL_CTL_ADD, _, true) => return Err(Errno::EEXIST),
        (EPOLL_CTL_MOD, Some(event), true) => {
            interests.insert(descriptor, interest(&watched, event));
        }
        (EPOLL_CTL_DEL, _, true) => {
            interests.remove(&descriptor);
        }
        (EPOLL_CTL_MOD | EPOLL_CTL_DEL, _, false) => return Err(Errno::ENOENT),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn interest(watched: &Arc<Description>, event: Event) -> Interest {
    Interest {
        description: Arc::downgrade(watched),
        events: event.events,
        data: event.data,
        reported: 0,
        activity: 0,
        spent: false,
    }
}

fn wait(call: &Call<'_>, deadline: Option<u64>) -> Answer {
    const MOST_EVENTS: i32 = 4096;
    let most = call.integer(2);
    if most <= 0 {
        return Err(Errno::EINVAL);
    }
    let most = most.min(MOST_EVENTS) as usize;
    let description = files().description(call.descriptor(0))?;
    let set = set_of(&description).ok_or(Errno::EINVAL)?;
    wait_until(deadline, || {
        let events = set.collect(most, false);
        if !events.is_empty() {
            program_memory::copy_out(call.pointer(1), events.as_slice().as_bytes())?;
        }
        Ok(events.len() as u64)
    })
}

/// epoll_wait(2)
pub fn epoll_wait(call: &Call<'_>) -> Answer {
    wait(call, deadline_in(call.integer(3)))
}

/// epoll_pwait(2)
pub fn epoll_pwait(call: &Call<'_>) -> Answer {
    let deadline = deadline_in(call.integer(3));
    signal::under_mask(call.pointer(4), call.long(5), || wait(call, deadline))
}

/// epoll_pwait2(2)
pub fn epoll_pwait2(call: &Call<'_>) -> Answer {
    let deadline = super::poll::deadline_at(call.pointer(3), 1)?;
    signal::under_mask(call.pointer(4), call.long(5), || wait(call, deadline))
}
