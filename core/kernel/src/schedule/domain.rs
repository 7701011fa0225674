//! Resource domains: who gets how much of a processor when not everybody can have all of it.
//!
//! A domain has a class, a share and a limit. A ready activation of a higher class runs before all of
//! a lower one; domains of one class get time in proportion to their shares; and no domain gets more
//! than its limit of a processor, even of one that is idle. All is counted on each processor by itself,
//! so that processors share nothing. A call runs in its caller's domain.

use alloc::vec::Vec;

use spin::Once;

/// Domains that an image can have, the default one included.
pub const DOMAINS: usize = 16;

/// The domain of whatever the image gives no other.
pub const DEFAULT: u8 = 0;

/// Which domains come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Before all others.
    Realtime = 0,
    /// What has no reason for another class.
    Timeshare = 1,
    /// When nobody of the two above has anything to do.
    Background = 2,
    /// When nobody else has.
    Idle = 3,
}

/// How many classes there are.
const CLASSES: usize = 4;

impl Class {
    /// The class with that name in the image's configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "realtime" => Self::Realtime,
            "timeshare" => Self::Timeshare,
            "background" => Self::Background,
            "idle" => Self::Idle,
            _ => return None,
        })
    }
}

/// One domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its class.
    pub class: Class,
    /// Its part of the time that its class gets, relative to the others'; not zero.
    pub share: u32,
    /// Percent of a processor that it gets at most; 100 is no limit.
    pub limit: u32,
}

/// What whoever is in no other domain is in.
pub const ORDINARY: Domain = Domain {
    class: Class::Timeshare,
    share: 100,
    limit: 100,
};

static TABLE: Once<Vec<Domain>> = Once::new();

/// Says which domains there are besides the default one, whose number is 0; once, before any process
/// runs. Those beyond [`DOMAINS`] are not there.
pub fn define(others: impl Iterator<Item = Domain>) {
    TABLE.call_once(|| {
        core::iter::once(ORDINARY)
            .chain(others)
            .take(DOMAINS)
            .collect()
    });
}

/// The domain of that number; the default one if there is none.
pub(super) fn domain(number: u8) -> &'static Domain {
    let table = TABLE.get().map_or(&[][..], Vec::as_slice);
    table.get(usize::from(number)).unwrap_or(&ORDINARY)
}

/// The time in which a limit is kept, in ns.
const WINDOW_NS: u64 = 100_000_000;

/// Virtual time for a nanosecond of a domain with share 1.
const SCALE: u64 = 1 << 10;

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Virtual time: the time had, divided by the share.
    pass: u64,
    /// The window that `used` is about.
    window: u64,
    /// Nanoseconds had in the window, and too much in earlier ones.
    used: u64,
}

/// What the domains have had of one processor.
#[derive(Debug)]
pub(super) struct Usages {
    usages: [Usage; DOMAINS],
    /// By class: the virtual time of the domain that was chosen last.
    floors: [u64; CLASSES],
}

impl Usages {
    pub(super) const fn new() -> Self {
        Self {
            usages: [const {
                Usage {
                    pass: 0,
                    window: 0,
                    used: 0,
                }
            }; DOMAINS],
            floors: [0; CLASSES],
        }
    }

    fn of(&self, number: u8) -> Usage {
        let usage = self.usages.get(usize::from(number));
        usage.copied().unwrap_or_default()
    }

    fn change(&mut self, number: u8, change: impl FnOnce(&mut Usage)) {
        if let Some(usage) = self.usages.get_mut(usize::from(number)) {
            change(usage);
        }
    }

    /// Counts `ran` nanoseconds until `now`.
    pub(super) fn charge(&mut self, number: u8, domain: &Domain, ran: u64, now: u64) {
        let used = self.used(number, domain, now);
        self.change(number, |usage| {
            let virtual_time = u64::from(domain.share.max(1));
            usage.pass += ran.saturating_mul(SCALE) / virtual_time;
            usage.window = now / WINDOW_NS;
            usage.used = used + ran;
        });
    }

    /// What it has had in the window of `now`, in ns.
    fn used(&self, number: u8, domain: &Domain, now: u64) -> u64 {
        let usage = self.of(number);
        let windows = (now / WINDOW_NS).saturating_sub(usage.window);
        usage
            .used
            .saturating_sub(windows.saturating_mul(allowance(domain)))
    }

    /// Nanoseconds that it may still have in the window of `now`.
    pub(super) fn left(&self, number: u8, domain: &Domain, now: u64) -> u64 {
        if domain.limit >= 100 {
            return u64::MAX;
        }
        allowance(domain).saturating_sub(self.used(number, domain, now))
    }

    /// Where it stands among those that could be chosen: the least comes first.
    pub(super) fn rank(&self, number: u8, domain: &Domain) -> (Class, u64) {
        (domain.class, self.of(number).pass.max(self.floor(domain)))
    }

    fn floor(&self, domain: &Domain) -> u64 {
        self.floors.get(domain.class as usize).copied().unwrap_or(0)
    }

    /// It was chosen. A domain that had nothing to do has no claim to the time that others had then.
    pub(super) fn choose(&mut self, number: u8, domain: &Domain) {
        let (_, pass) = self.rank(number, domain);
        self.change(number, |usage| usage.pass = pass);
        if let Some(floor) = self.floors.get_mut(domain.class as usize) {
            *floor = pass;
        }
    }
}

fn allowance(domain: &Domain) -> u64 {
    WINDOW_NS / 100 * u64::from(domain.limit.min(100))
}

/// When the window of `now` ends.
pub(super) fn window_end(now: u64) -> u64 {
    (now / WINDOW_NS + 1) * WINDOW_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTUM: u64 = 4_000_000;

    fn shared(class: Class, share: u32, limit: u32) -> Domain {
        Domain {
            class,
            share,
            limit,
        }
    }

    /// Runs domains that always want to, for `turns` quanta; answers what each had.
    fn simulate(domains: &[Domain], turns: u64) -> std::vec::Vec<u64> {
        let mut usages = Usages::new();
        let mut had = std::vec![0; domains.len()];
        for turn in 0..turns {
            let now = turn * QUANTUM;
            let chosen = (0..domains.len())
                .filter(|number| usages.left(*number as u8, &domains[*number], now) > 0)
                .min_by_key(|number| usages.rank(*number as u8, &domains[*number]));
            let Some(number) = chosen else { continue };
            usages.choose(number as u8, &domains[number]);
            usages.charge(number as u8, &domains[number], QUANTUM, now + QUANTUM);
            had[number] += 1;
        }
        had
    }

    #[test]
    fn time_is_had_in_proportion_to_shares() {
        let domains = [
            shared(Class::Timeshare, 100, 100),
            shared(Class::Timeshare, 300, 100),
        ];
        let had = simulate(&domains, 1000);
        assert!((249..=251).contains(&had[0]), "{had:?}");
    }

    #[test]
    fn a_lower_class_gets_what_others_leave() {
        let domains = [
            shared(Class::Timeshare, 1, 25),
            shared(Class::Background, 1000, 50),
            shared(Class::Idle, 1, 100),
        ];
        let had = simulate(&domains, 10_000);
        assert!((2490..=2510).contains(&had[0]), "{had:?}");
        assert!((4990..=5010).contains(&had[1]), "{had:?}");
        assert_eq!(had.iter().sum::<u64>(), 10_000);
    }

    #[test]
    fn who_comes_late_has_saved_nothing_up() {
        let domain = shared(Class::Timeshare, 100, 100);
        let mut usages = Usages::new();
        for _ in 0..100 {
            usages.choose(0, &domain);
            usages.charge(0, &domain, QUANTUM, 0);
        }
        usages.choose(0, &domain);
        usages.choose(1, &domain);
        usages.charge(1, &domain, QUANTUM, 0);
        assert!(usages.rank(0, &domain) < usages.rank(1, &domain));
    }
}
