//! Pages that a pager was asked for and has not brought, and whether it takes too long.
//!
//! Each dispatcher of a pager has those of which it was told, if its process has a limit. The real time of a
//! stopped or busy machine ends nobody: once a page is overdue the pager gets a while more, of real time if
//! it waits and of its own if it computes, and is only then to blame.

use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spin::Mutex;

/// What the pager gets once a page is overdue, in ns.
const GRACE_NS: u64 = 50_000_000;

/// A page as its pager knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What the pager calls the file.
    pub key: u64,
    /// Bytes before the page in the file.
    pub offset: u64,
}

/// Names one page that was asked for: when it is overdue (monotonic ns), and what tells it from others.
pub type Place = (u64, usize);

/// See the module.
pub struct Asked {
    pages: Mutex<BTreeMap<Place, Wanted>>,
    /// When the first of them is overdue (monotonic ns); `u64::MAX` for never.
    due: AtomicU64,
    /// Since when the page that is overdue since `suspected` is known to be: what the clock showed then, and
    /// what its activation had used. Only the dispatcher's own processor uses these.
    suspected: AtomicU64,
    since: AtomicU64,
    since_busy: AtomicU64,
}

impl Default for Asked {
    fn default() -> Self {
        Self::new()
    }
}

impl Asked {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            pages: Mutex::new(BTreeMap::new()),
            due: AtomicU64::new(u64::MAX),
            suspected: AtomicU64::new(u64::MAX),
            since: AtomicU64::new(0),
            since_busy: AtomicU64::new(0),
        }
    }

    /// Notes a page. The caller has made sure of room for it.
    pub fn note(&self, place: Place, wanted: Wanted) {
        self.change(|pages| {
            pages.insert(place, wanted);
        });
    }

    /// The page has come, or will not.
    pub fn forget(&self, place: Place) {
        self.change(|pages| {
            pages.remove(&place);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Place, Wanted>)) {
        let mut pages = self.pages.lock();
        change(&mut pages);
        let first = pages.first_key_value().map(|(place, _)| place.0);
        self.due.store(first.unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether one is overdue at `now` (monotonic ns).
    pub fn is_overdue(&self, now: u64) -> bool {
        self.due.load(Relaxed) <= now
    }

    /// When the pager, whose activation waits and has used `busy` ns, is to blame (monotonic ns);
    /// `u64::MAX` for never.
    pub fn patience(&self, now: u64, busy: u64) -> u64 {
        let due = self.due.load(Relaxed);
        if due > now {
            return due;
        }
        self.suspect(due, now, busy);
        self.since.load(Relaxed).saturating_add(GRACE_NS)
    }

    /// The page for which the pager is to blame at `now`: its activation waits, or has computed for
    /// `busy` ns.
    pub fn overdue(&self, now: u64, busy: u64, waits: bool) -> Option<Wanted> {
        let due = self.due.load(Relaxed);
        if due > now {
            return None;
        }
        self.suspect(due, now, busy);
        let had = if waits {
            now.saturating_sub(self.since.load(Relaxed))
        } else {
            busy.saturating_sub(self.since_busy.load(Relaxed))
        };
        if had < GRACE_NS {
            return None;
        }
        let pages = self.pages.lock();
        let (place, wanted) = pages.first_key_value()?;
        (place.0 == due).then_some(*wanted)
    }

    fn suspect(&self, due: u64, now: u64, busy: u64) {
        if self.suspected.load(Relaxed) != due {
            self.suspected.store(due, Relaxed);
            self.since.store(now, Relaxed);
            self.since_busy.store(busy, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Wanted = Wanted {
        key: 3,
        offset: 4096,
    };

    #[test]
    fn who_waits_has_a_while_after_the_time_is_over() {
        let asked = Asked::new();
        assert_eq!(asked.patience(5, 0), u64::MAX);
        asked.note((100, 1), PAGE);
        asked.note((200, 2), Wanted { key: 4, offset: 0 });
        assert_eq!(asked.patience(99, 0), 100);
        assert_eq!(asked.overdue(99, 0, true), None);
        // The machine was stopped.
        assert_eq!(asked.patience(1_000_000, 7), 1_000_000 + GRACE_NS);
        assert_eq!(asked.overdue(1_000_001, 7, true), None);
        assert_eq!(asked.overdue(1_000_000 + GRACE_NS, 7, true), Some(PAGE));
    }

    #[test]
    fn who_computes_has_a_while_of_its_own_time() {
        let asked = Asked::new();
        asked.note((100, 1), PAGE);
        assert_eq!(asked.overdue(100, 7, false), None);
        assert_eq!(asked.overdue(u64::MAX - 1, 8, false), None);
        assert_eq!(asked.overdue(u64::MAX - 1, 7 + GRACE_NS, false), Some(PAGE));
    }

    #[test]
    fn what_has_come_is_not_overdue_and_the_next_is_judged_anew() {
        let asked = Asked::new();
        asked.note((100, 1), PAGE);
        asked.note((100, 2), PAGE);
        asked.note((300, 3), PAGE);
        assert_eq!(asked.overdue(150, 0, true), None);
        asked.forget((100, 1));
        assert!(asked.is_overdue(150));
        asked.forget((100, 2));
        assert!(!asked.is_overdue(150));
        assert_eq!(asked.overdue(GRACE_NS + 150, 0, true), None);
        assert_eq!(asked.overdue(2 * GRACE_NS + 150, 0, true), Some(PAGE));
        asked.forget((300, 3));
        asked.forget((300, 3));
        assert_eq!(asked.patience(u64::MAX - 1, 0), u64::MAX);
    }
}
