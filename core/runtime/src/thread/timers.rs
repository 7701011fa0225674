//! Any number of deadlines: the earliest at once, cancelled in a few steps by a key.
//!
//! A binary heap of numbers of places; each place knows where in the heap it is. A key holds the
//! generation of its place, so that one that was used up or cancelled names nothing.

use alloc::vec::Vec;

/// Names a deadline that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    place: u32,
    generation: u32,
}

/// Deadlines (monotonic ns), each with an action of type `A`.
#[derive(Debug)]
pub struct Timers<A> {
    /// Ordered so that none is before the one at half its number. Equal deadlines are in the order of
    /// setting.
    heap: Vec<Entry>,
    places: Vec<Place<A>>,
    free: Option<u32>,
    set: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: u64,
    order: u64,
    place: u32,
}

#[derive(Debug)]
struct Place<A> {
    generation: u32,
    state: State<A>,
}

#[derive(Debug)]
enum State<A> {
    /// Unused; the next one that is.
    Free(Option<u32>),
    /// At that number in the heap.
    Set(usize, A),
}

impl<A> Timers<A> {
    /// None.
    pub const fn new() -> Self {
        Self {
            heap: Vec::new(),
            places: Vec::new(),
            free: None,
            set: 0,
        }
    }

    /// The earliest deadline; `u64::MAX` if there is none.
    pub fn earliest(&self) -> u64 {
        self.heap.first().map_or(u64::MAX, |entry| entry.deadline)
    }

    /// Sets a deadline; gives the action back if there is no memory.
    pub fn set(&mut self, deadline: u64, action: A) -> Result<Key, A> {
        if self.heap.try_reserve(1).is_err() || self.places.try_reserve(1).is_err() {
            return Err(action);
        }
        let at = self.heap.len();
        let place = match self.free {
            Some(place) => place,
            None => {
                let Ok(place) = u32::try_from(self.places.len()) else {
                    return Err(action);
                };
                self.places.push(Place {
                    generation: 0,
                    state: State::Free(None),
                });
                place
            }
        };
        let slot = &mut self.places[place as usize];
        if let State::Free(next) = slot.state {
            self.free = next;
        }
        slot.state = State::Set(at, action);
        let generation = slot.generation;
        self.set += 1;
        self.heap.push(Entry {
            deadline,
            order: self.set,
            place,
        });
        self.rise(at);
        Ok(Key { place, generation })
    }

    /// Takes a deadline back; `None` if it has passed and was taken, or was cancelled.
    pub fn cancel(&mut self, key: Key) -> Option<A> {
        let place = self.places.get(key.place as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let State::Set(at, _) = place.state else {
            return None;
        };
        self.take(at)
    }

    /// Takes the earliest action whose deadline is `now` or before.
    pub fn pop_due(&mut self, now: u64) -> Option<A> {
        if self.earliest() > now || self.heap.is_empty() {
            return None;
        }
        self.take(0)
    }

    fn take(&mut self, at: usize) -> Option<A> {
        let last = self.heap.len() - 1;
        self.heap.swap(at, last);
        let entry = self.heap.pop()?;
        if at < last {
            self.note(at);
            self.rise(at);
            self.sink(at);
        }
        let place = &mut self.places[entry.place as usize];
        place.generation = place.generation.wrapping_add(1);
        let state = core::mem::replace(&mut place.state, State::Free(self.free));
        self.free = Some(entry.place);
        match state {
            State::Set(_, action) => Some(action),
            State::Free(_) => None,
        }
    }

    /// Tells the place of the entry at `at` where it is.
    fn note(&mut self, at: usize) {
        let place = self.heap[at].place;
        if let State::Set(known, _) = &mut self.places[place as usize].state {
            *known = at;
        }
    }

    fn exchange(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.note(one);
        self.note(other);
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let above = (at - 1) / 2;
            if self.heap[above] <= self.heap[at] {
                return;
            }
            self.exchange(above, at);
            at = above;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(first) = self.heap.get(left) else {
                return;
            };
            let below = match self.heap.get(right) {
                Some(second) if second < first => right,
                _ => left,
            };
            if self.heap[at] <= self.heap[below] {
                return;
            }
            self.exchange(at, below);
            at = below;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u64),
        /// The key of the step with this number, modulo how many there were.
        Cancel(usize),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..50u64).prop_map(Step::Set),
            2 => any::<usize>().prop_map(Step::Cancel),
            1 => (0..20u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in prop::collection::vec(step(), 0..200)) {
            let mut timers = Timers::new();
            let mut model: BTreeMap<(u64, u64), u64> = BTreeMap::new();
            let mut keys = Vec::new();
            let mut now = 0;
            for (number, step) in (0u64..).zip(steps) {
                match step {
                    Step::Set(after) => {
                        let key = timers.set(now + after, number).expect("memory");
                        keys.push((key, (now + after, number)));
                        model.insert((now + after, number), number);
                    }
                    Step::Cancel(_) if keys.is_empty() => {}
                    Step::Cancel(index) => {
                        let (key, at) = keys[index % keys.len()];
                        prop_assert_eq!(timers.cancel(key), model.remove(&at));
                    }
                    Step::Pass(time) => {
                        now += time;
                        while let Some(action) = timers.pop_due(now) {
                            let first = model.pop_first();
                            prop_assert!(first.is_some_and(|((at, _), expected)| at <= now && expected == action));
                        }
                        prop_assert!(model.first_key_value().is_none_or(|((at, _), _)| *at > now));
                    }
                }
                let earliest = model.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
                prop_assert_eq!(timers.earliest(), earliest);
            }
            prop_assert!(timers.places.len() <= keys.len());
        }
    }
}
