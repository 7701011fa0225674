//! Calls to other processors: from when they leave until the caller has the answer.
//!
//! The caller's processor notes when a call is posted and its answer collected, the target's when it is
//! served. All of a place's calls come one after the other, so the last one that was posted before is
//! the one that is served.

use std::collections::{BTreeMap, HashMap};

use kiln_object::trace::{Event, Kind, serving};

use super::labels::{Labels, object, status};
use super::{Flow, Item, Track};
use crate::trace::objects::Called;
use crate::trace::recorder::Noted;

/// A call that was posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posted {
    /// The arrow to where it is served.
    pub(super) flow: u64,
    /// The object that is called.
    pub(super) object: u64,
}

/// Calls that were posted, by what they are while they are served, and when they left.
#[derive(Debug, Default)]
pub(super) struct Posts(HashMap<u32, BTreeMap<u64, Posted>>);

impl Posts {
    /// The call that an event of its target's processor is about.
    pub(super) fn find(&self, serves: u32, event: &Event) -> Option<Posted> {
        let posts = self.0.get(&serves)?;
        let (_, posted) = posts.range(..event.stamp).next_back()?;
        Some(*posted)
    }
}

/// The place of a call of an event.
fn place(event: &Event) -> u32 {
    event.small >> 16
}

/// The call of another processor that an event of the target's is about.
pub(super) fn served(event: &Event) -> u32 {
    serving(event.b as u32, place(event))
}

/// All posted calls, and their spans; those without an answer end at `end`.
pub(super) fn posts(labels: &Labels<'_>, events: &[&Noted], end: u64) -> (Posts, Vec<Item>) {
    let mut noted: Vec<&&Noted> = events
        .iter()
        .filter(|noted| !noted.is_user)
        .filter(|noted| [Kind::Post as u8, Kind::Collect as u8].contains(&noted.event.kind))
        .collect();
    noted.sort_by_key(|noted| noted.event.stamp);
    let mut posts = Posts::default();
    let (mut open, mut items) = (HashMap::<(u32, u32), Item>::new(), Vec::new());
    for (flow, noted) in (1..).zip(noted) {
        let (owner, event) = (noted.owner, &noted.event);
        let now = labels.time(event);
        if event.kind == Kind::Collect as u8 {
            if let Some(mut item) = open.remove(&(event.a as u32, place(event))) {
                item.arguments.push(("status", status(event.small)));
                items.push(item.until(now));
            }
            continue;
        }
        let key = (noted.cpu, place(event));
        let name = labels.method(Called::Served(event.a, event.b), event.small as u16);
        let track = Track::Posted(owner, noted.cpu, place(event));
        let mut item = Item::new(track, name, "call", now).with(vec![
            ("from", labels.process(owner)),
            ("to", labels.process(event.a)),
            ("object", object(event.b)),
        ]);
        item.flow = Some(Flow::From(flow));
        // What had this place before has no answer, or that was lost.
        items.extend(open.insert(key, item).map(|item| item.until(now)));
        let posted = Posted {
            flow,
            object: event.b,
        };
        let of_place = posts.0.entry(serving(key.0, key.1)).or_default();
        of_place.insert(event.stamp, posted);
    }
    items.extend(open.into_values().map(|item| item.until(end)));
    (posts, items)
}
