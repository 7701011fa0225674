//! What processes note themselves, of which nothing is believed but that they wrote it.

use kiln_object::trace::{Event, Kind};

use super::follow::Follower;
use super::spans::Open;
use super::{Activation, Item, Track};

/// A span that has not ended, and the address and length of its name.
pub(super) type OpenByUser = (Item, [u64; 2]);

impl Follower<'_> {
    /// Follows an event of `owner`. `activation` is what runs in the process then: spans of its first
    /// thread are shown there.
    pub(super) fn follow_user(
        &mut self,
        owner: u64,
        activation: Option<Activation>,
        event: &Event,
        kind: Kind,
        now: u64,
    ) {
        let (bytes, thread) = (u64::from(event.small & 0xff), event.small >> 8);
        let name = [event.a, bytes];
        let is_first = self.is_first(owner, thread, activation, kind, name);
        let activation = activation.filter(|_| is_first);
        let track = match activation {
            Some(activation) => Track::Activation(activation),
            None => Track::Thread(owner, thread),
        };
        match kind {
            Kind::Mark => self.spans.items.push(self.noted(track, owner, event, now)),
            Kind::Begin => {
                let mut item = self.noted(track, owner, event, now);
                if let Some(activation) = activation {
                    let served = None;
                    return self.spans.open(activation, Open { kind, item, served });
                }
                let stack = self.threads.entry((owner, thread)).or_default();
                item.depth = stack.len();
                stack.push((item, name));
            }
            Kind::End => {
                if let Some(activation) = activation {
                    let text = self.labels.text(owner, name);
                    // Only what is innermost: a call in it is not ended by what a process says.
                    if self.spans.innermost(activation) == Some(&text) {
                        self.spans.close(activation, Kind::Begin, now, Vec::new());
                    }
                    return;
                }
                let stack = self.threads.entry((owner, thread)).or_default();
                let begun = stack.iter().rposition(|(_, begun)| *begun == name);
                for (item, _) in stack.drain(begun.unwrap_or(stack.len())..).rev() {
                    self.spans.items.push(item.until(now));
                }
            }
            _ => {}
        }
    }

    /// Whether `thread` is the first of its process. That has no number until it waits for the first time:
    /// then it has one that ends what was begun without.
    fn is_first(
        &mut self,
        owner: u64,
        thread: u32,
        activation: Option<Activation>,
        kind: Kind,
        name: [u64; 2],
    ) -> bool {
        if thread == 0 || self.first_threads.get(&owner) == Some(&thread) {
            return true;
        }
        let has_begun = || {
            let stack = self.threads.get(&(owner, thread));
            stack.is_some_and(|stack| stack.iter().any(|(_, begun)| *begun == name))
        };
        let is_first = kind == Kind::End
            && !self.first_threads.contains_key(&owner)
            && !has_begun()
            && activation
                .and_then(|activation| self.spans.innermost(activation))
                .is_some_and(|innermost| innermost == self.labels.text(owner, name));
        if is_first {
            self.first_threads.insert(owner, thread);
        }
        is_first
    }

    /// A span's beginning or a point in time.
    fn noted(&self, track: Track, owner: u64, event: &Event, now: u64) -> Item {
        let name = [event.a, u64::from(event.small & 0xff)];
        Item::new(track, self.labels.text(owner, name), "user", now)
            .with(vec![("value", format!("{:#x}", event.b))])
    }

    /// Ends all spans of threads.
    pub(super) fn end_threads(&mut self, now: u64) {
        for stack in std::mem::take(&mut self.threads).into_values() {
            for (item, _) in stack.into_iter().rev() {
                self.spans.items.push(item.until(now));
            }
        }
    }
}
