//! How a timer is set: when it is due, and how often it comes back.
//!
//! Times are monotonic ns. A periodic timer keeps its phase however late it is looked at.

/// A timer's setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// `u64::MAX` for never.
    due: u64,
    /// Zero for once.
    interval: u64,
}

impl Setting {
    /// Not set.
    pub(super) const OFF: Self = Self {
        due: u64::MAX,
        interval: 0,
    };

    /// Due at `due`, then every `interval` unless that is zero.
    pub(super) const fn at(due: u64, interval: u64) -> Self {
        Self { due, interval }
    }

    /// When it is due; `u64::MAX` for never.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// Its interval; zero for once.
    pub(super) const fn interval(&self) -> u64 {
        self.interval
    }

    /// What is left of it: zero if it is not set, never zero if it is.
    pub(super) fn left(&self, now: u64) -> u64 {
        match self.due {
            u64::MAX => 0,
            due => due.saturating_sub(now).max(1),
        }
    }

    /// How often it has run out until `now`; it is due again afterwards if it is periodic.
    pub(super) fn run_out(&mut self, now: u64) -> u64 {
        if self.due == u64::MAX || now < self.due {
            return 0;
        }
        let Some(more) = (now - self.due).checked_div(self.interval) else {
            self.due = u64::MAX;
            return 1;
        };
        let times = more.saturating_add(1);
        self.due = self.due.saturating_add(times.saturating_mul(self.interval));
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_out_once_or_keeps_its_phase() {
        let mut once = Setting::at(100, 0);
        assert_eq!((once.run_out(99), once.left(99)), (0, 1));
        assert_eq!((once.run_out(100), once.left(100)), (1, 0));
        assert_eq!(once.run_out(u64::MAX), 0);
        let mut periodic = Setting::at(100, 30);
        assert_eq!(periodic.run_out(100), 1);
        assert_eq!(periodic.left(100), 30);
        assert_eq!(periodic.run_out(195), 3);
        assert_eq!(periodic.due(), 220);
        assert_eq!(Setting::OFF.left(5), 0);
    }

    #[test]
    fn a_late_timer_still_has_something_left() {
        assert_eq!(Setting::at(100, 0).left(500), 1);
        let mut far = Setting::at(u64::MAX - 1, 5);
        assert_eq!(far.run_out(u64::MAX - 1), 1);
        assert_eq!(far.left(0), 0);
    }
}
