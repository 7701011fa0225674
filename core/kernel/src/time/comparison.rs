//! How two counters run against each other, for machines that may stop in the middle.
//!
//! A host can take the processor away between the reading of one counter and of the other, for
//! longer than the whole comparison was to take. So each step of the timer is caught between two
//! readings of the clock; how far these are apart bounds the error, and the comparison goes on
//! until both ends together are precise enough for its length.

/// Readings in which the timer does not step before it is taken to stand still.
const PATIENCE: u32 = 50_000;
/// How many times shorter than a comparison the bounds of both its ends are to be, if it decides.
pub(super) const PRECISE: u64 = 256;
/// Multiples of the wished length after which the best so far has to do.
const LONGEST: u64 = 12;
/// A start whose bound is this many times that of a later step is given up for that.
const HOPELESS: u64 = 8;

/// A step of the timer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// What the timer has come to.
    timer: u64,
    /// When, by the clock, as a guess.
    clock: u64,
    /// What the guess may be wrong by, twice.
    width: u64,
}

/// Two counters, neither of which runs backwards.
pub(super) trait Pair {
    /// What is measured.
    fn clock(&mut self) -> u64;

    /// What it is measured by.
    fn timer(&mut self) -> u64;
}

// Not generic: what runs a few times is to be compiled once.
impl dyn Pair + '_ {
    /// Waits for the next step of the timer; where a comparison starts. `None` if it stands still.
    #[inline(never)]
    pub(super) fn step(&mut self) -> Option<Step> {
        let from = self.timer();
        let mut before = self.clock();
        for _ in 0..PATIENCE {
            let timer = self.timer();
            let after = self.clock();
            let width = after.saturating_sub(before);
            if timer != from {
                let clock = before + width / 2;
                return Some(Step {
                    timer,
                    clock,
                    width,
                });
            }
            before = after;
        }
        None
    }

    /// How far clock and timer each went in the same time, the timer at least `goal`, and so far that
    /// the bounds of both ends are `wanted` times shorter. `None` if the timer stands still or the clock
    /// does.
    pub(super) fn compare(&mut self, goal: u64, wanted: u64) -> Option<(u64, u64)> {
        let start = self.step()?;
        self.finish(start, goal, wanted)
    }

    /// As [`compare`](Self::compare), from `start` on, however long ago that was.
    #[inline(never)]
    pub(super) fn finish(&mut self, mut start: Step, goal: u64, wanted: u64) -> Option<(u64, u64)> {
        let (mut best, mut best_precision) = (Step::default(), 0);
        loop {
            let end = self.step()?;
            if end.width < start.width / HOPELESS {
                (start, best_precision) = (end, 0);
            }
            let length = end.timer.saturating_sub(start.timer);
            if length < goal {
                continue;
            }
            let elapsed = end.clock.saturating_sub(start.clock);
            let precision = elapsed / (start.width + end.width).max(1);
            if precision >= best_precision {
                (best, best_precision) = (end, precision);
            }
            if precision >= wanted || length >= goal.saturating_mul(LONGEST) {
                break;
            }
        }
        let clock = best.clock.saturating_sub(start.clock);
        (clock > 0).then(|| (clock, best.timer - start.timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Time that advances a little with each reading, and a lot at some of them.
    struct Host {
        now_ns: Cell<u64>,
        readings: Cell<u64>,
        pauses: &'static [(u64, u64)],
    }

    impl Host {
        fn new(pauses: &'static [(u64, u64)]) -> Self {
            Self {
                now_ns: Cell::new(0),
                readings: Cell::new(0),
                pauses,
            }
        }

        fn pass(&self, ns: u64) -> u64 {
            let reading = self.readings.get();
            self.readings.set(reading + 1);
            let pause = self
                .pauses
                .iter()
                .find(|(at, _)| *at == reading)
                .map_or(0, |pause| pause.1);
            self.now_ns.set(self.now_ns.get() + ns + pause);
            self.now_ns.get()
        }

        /// Clock counts in a second, found by a timer of 1,193,182 Hz.
        fn measure(&self) -> u64 {
            let mut pair = self;
            let pair: &mut dyn Pair = &mut pair;
            let (clock, timer) = pair.compare(1_193, PRECISE).unwrap();
            clock * 1_193_182 / timer
        }
    }

    impl Pair for &Host {
        fn clock(&mut self) -> u64 {
            self.pass(40) * 5 / 2
        }

        fn timer(&mut self) -> u64 {
            self.pass(2_000) * 1_193_182 / 1_000_000_000
        }
    }

    /// Counters that go on by so much with each reading.
    struct Paces {
        clock: (u64, u64),
        timer: (u64, u64),
    }

    impl Pair for Paces {
        fn clock(&mut self) -> u64 {
            self.clock.0 += self.clock.1;
            self.clock.0
        }

        fn timer(&mut self) -> u64 {
            self.timer.0 += self.timer.1;
            self.timer.0
        }
    }

    #[test]
    fn a_quiet_host_is_measured_precisely_and_briefly() {
        let host = Host::new(&[]);
        let found = host.measure();
        assert!((2_490_000_000..2_510_000_000).contains(&found), "{found}");
        assert!(host.now_ns.get() < 3_000_000);
    }

    #[test]
    fn pauses_anywhere_do_not_spoil_the_result() {
        static PAUSES: [[(u64, u64); 2]; 6] = [
            [(1, 5_000_000), (900, 1)],
            [(2, 5_000_000), (900, 7_000_000)],
            [(3, 9_000_000), (4, 9_000_000)],
            [(500, 3_000_000), (501, 30_000_000)],
            [(960, 2_000_000), (975, 2_000_000)],
            [(979, 800_000), (983, 900_000)],
        ];
        for pauses in &PAUSES {
            let found = Host::new(pauses).measure();
            assert!(
                (2_450_000_000..2_550_000_000).contains(&found),
                "{pauses:?}: {found}"
            );
        }
    }

    #[test]
    fn a_counter_that_stands_still_gives_no_result() {
        for (clock, timer) in [((0, 0), (7, 0)), ((0, 1), (7, 0)), ((5, 0), (0, 1))] {
            let still: &mut dyn Pair = &mut Paces { clock, timer };
            assert_eq!(still.compare(10, PRECISE), None);
        }
    }
}
