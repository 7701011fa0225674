//! Spans that have not ended, of each activation, one within the other.

use std::collections::HashMap;

use kiln_object::trace::Kind;

use super::{Activation, Item, Track};

/// A span that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) item: Item,
    /// The same on the track of the process that serves it.
    pub(super) served: Option<Track>,
}

/// The open spans of all activations, and the items that have ended.
#[derive(Debug, Default)]
pub(super) struct Spans {
    stacks: HashMap<Activation, Vec<Open>>,
    pub(super) items: Vec<Item>,
}

impl Spans {
    /// Begins a span within those that are open.
    pub(super) fn open(&mut self, activation: Activation, mut open: Open) {
        let stack = self.stacks.entry(activation).or_default();
        open.item.depth = stack.len();
        stack.push(open);
    }

    /// The name of the innermost span.
    pub(super) fn innermost(&self, activation: Activation) -> Option<&str> {
        let open = self.stacks.get(&activation)?.last()?;
        Some(&open.item.name)
    }

    /// Ends the innermost span if it is of that kind.
    pub(super) fn close(
        &mut self,
        activation: Activation,
        kind: Kind,
        now: u64,
        more: Vec<(&'static str, String)>,
    ) {
        let stack = self.stacks.entry(activation).or_default();
        if let Some(mut open) = stack.pop_if(|open| open.kind == kind) {
            open.item.arguments.extend(more);
            self.end(open, now);
        }
    }

    /// Ends spans until the activation is in `depth` calls; the last one that ends is answered.
    pub(super) fn close_calls(
        &mut self,
        activation: Activation,
        depth: usize,
        now: u64,
        answer: Option<String>,
    ) {
        let stack = self.stacks.entry(activation).or_default();
        let mut calls = stack
            .iter()
            .enumerate()
            .filter(|(_, open)| open.kind == Kind::Call);
        let keep = match calls.nth(depth) {
            Some((place, _)) => place,
            // In so many calls, and in nothing more, unless it waits.
            None => stack
                .iter()
                .rposition(|open| matches!(open.kind, Kind::Call | Kind::Wait | Kind::Begin))
                .map_or(0, |place| place + 1),
        };
        let mut ended: Vec<Open> = stack.drain(keep..).collect();
        if let (Some(answer), Some(open)) = (answer, ended.first_mut())
            && open.kind == Kind::Call
        {
            open.item.arguments.push(("status", answer));
        }
        for open in ended.into_iter().rev() {
            self.end(open, now);
        }
    }

    /// Ends everything.
    pub(super) fn close_all(&mut self, now: u64) {
        for stack in std::mem::take(&mut self.stacks).into_values() {
            for open in stack.into_iter().rev() {
                self.end(open, now);
            }
        }
    }

    fn end(&mut self, open: Open, now: u64) {
        let item = open.item.until(now);
        if let Some(track) = open.served {
            self.items.push(Item {
                track,
                flow: None,
                ..item.clone()
            });
        }
        self.items.push(item);
    }
}
