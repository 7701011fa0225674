//! When a server was started again lately: the rate limit of its policy.

use kiln_object::configuration::MOST_RESTARTS;

/// The last restarts.
#[derive(Debug)]
pub struct History {
    /// Monotonic ns of the last ones, as a ring; `None` where there was none yet.
    times: [Option<u64>; MOST_RESTARTS as usize],
    next: usize,
    /// How many in a row have ended before they were ready.
    unready: u32,
}

impl History {
    /// No restarts yet.
    pub const fn new() -> Self {
        Self {
            times: [None; MOST_RESTARTS as usize],
            next: 0,
            unready: 0,
        }
    }

    /// Notes an end, of one that was ready or was not; false if it is the last of `limit` in a row that
    /// were not: however slowly they fail, another would not do better.
    pub fn tries_on(&mut self, was_ready: bool, limit: u32) -> bool {
        self.unready = match was_ready {
            true => 0,
            false => self.unready.saturating_add(1),
        };
        self.unready <= limit
    }

    /// Notes a restart at `now` and answers true, unless there were `limit` within the last
    /// `window_ns` already.
    pub fn admit(&mut self, now: u64, limit: u32, window_ns: u64) -> bool {
        let recent = |time: &&u64| now.saturating_sub(**time) < window_ns;
        let count = self.times.iter().flatten().filter(recent).count();
        if count >= limit.min(MOST_RESTARTS) as usize {
            return false;
        }
        if let Some(place) = self.times.get_mut(self.next) {
            *place = Some(now);
        }
        self.next = (self.next + 1) % self.times.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_restarts_fit_a_window() {
        let mut history = History::new();
        assert!(history.admit(100, 2, 50));
        assert!(history.admit(120, 2, 50));
        assert!(!history.admit(149, 2, 50));
        assert!(history.admit(150, 2, 50), "the first is 50 ago");
        assert!(!history.admit(169, 2, 50));
        assert!(history.admit(170, 2, 50));
        assert!(!history.admit(171, 0, 50));
    }

    #[test]
    fn so_many_in_a_row_may_fail_to_get_ready() {
        let mut history = History::new();
        assert!(history.tries_on(false, 2));
        assert!(history.tries_on(false, 2));
        assert!(history.tries_on(true, 2));
        assert!(history.tries_on(false, 2));
        assert!(history.tries_on(false, 2));
        assert!(!history.tries_on(false, 2));
    }

    #[test]
    fn no_limit_goes_beyond_what_is_remembered() {
        let mut history = History::new();
        for _ in 0..MOST_RESTARTS {
            assert!(history.admit(7, u32::MAX, 1000));
        }
        assert!(!history.admit(7, u32::MAX, 1000));
        assert!(history.admit(1007, u32::MAX, 1000));
    }
}
