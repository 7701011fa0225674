//! A bounded queue between any number of threads that put in and any number that take out.

use alloc::collections::VecDeque;

use super::current;
use super::object::WaitList;
use crate::SpinMutex;

/// The channel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why an item was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySend {
    /// There is no room now.
    Full,
    /// The channel was closed.
    Closed,
}

/// A bounded channel; items come out in the order in which they went in.
#[derive(Debug)]
pub struct Channel<T> {
    room: usize,
    inner: SpinMutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    is_closed: bool,
    senders: WaitList,
    receivers: WaitList,
}

impl<T> Channel<T> {
    /// A channel with room for `room` items, at least one.
    #[must_use]
    pub const fn new(room: usize) -> Self {
        Self {
            room: if room == 0 { 1 } else { room },
            inner: SpinMutex::new(Inner {
                items: VecDeque::new(),
                is_closed: false,
                senders: WaitList::new(),
                receivers: WaitList::new(),
            }),
        }
    }

    /// Puts `item` in; blocks while there is no room.
    ///
    /// # Errors
    /// Gives the item back if the channel is closed.
    pub fn send(&self, item: T) -> Result<(), T> {
        let mut inner = self.inner.lock();
        loop {
            if inner.is_closed {
                return Err(item);
            }
            if inner.items.len() < self.room {
                break;
            }
            let me = current().0;
            inner.senders.push(me);
            drop(inner);
            me.wait_for_hand_over();
            inner = self.inner.lock();
        }
        inner.items.push_back(item);
        let receiver = inner.receivers.pop();
        drop(inner);
        if let Some(receiver) = receiver {
            receiver.hand_over();
        }
        Ok(())
    }

    /// Puts `item` in if there is room. May be called from a served call.
    ///
    /// # Errors
    /// Gives the item back, and says why.
    pub fn try_send(&self, item: T) -> Result<(), (T, TrySend)> {
        let receiver = {
            let mut inner = self.inner.lock();
            if inner.is_closed {
                return Err((item, TrySend::Closed));
            }
            if inner.items.len() >= self.room {
                return Err((item, TrySend::Full));
            }
            inner.items.push_back(item);
            inner.receivers.pop()
        };
        if let Some(receiver) = receiver {
            receiver.hand_over();
        }
        Ok(())
    }

    /// Takes the oldest item out; blocks while there is none.
    ///
    /// # Errors
    /// `Closed` if there is none and the channel is closed.
    pub fn receive(&self) -> Result<T, Closed> {
        loop {
            let mut inner = self.inner.lock();
            if let Some(item) = inner.items.pop_front() {
                let sender = inner.senders.pop();
                drop(inner);
                if let Some(sender) = sender {
                    sender.hand_over();
                }
                return Ok(item);
            }
            if inner.is_closed {
                return Err(Closed);
            }
            let me = current().0;
            inner.receivers.push(me);
            drop(inner);
            me.wait_for_hand_over();
        }
    }

    /// Takes the oldest item out, if there is one. May be called from a served call.
    #[must_use]
    pub fn try_receive(&self) -> Option<T> {
        let (item, sender) = {
            let mut inner = self.inner.lock();
            let item = inner.items.pop_front()?;
            (item, inner.senders.pop())
        };
        if let Some(sender) = sender {
            sender.hand_over();
        }
        Some(item)
    }

    /// Lets nothing in any more; what is in can still be taken out.
    pub fn close(&self) {
        let (mut senders, mut receivers) = {
            let mut inner = self.inner.lock();
            inner.is_closed = true;
            let senders = core::mem::replace(&mut inner.senders, WaitList::new());
            (
                senders,
                core::mem::replace(&mut inner.receivers, WaitList::new()),
            )
        };
        while let Some(waiter) = senders.pop().or_else(|| receivers.pop()) {
            waiter.hand_over();
        }
    }
}
