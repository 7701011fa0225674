//! The last events of a process, for whoever wants to know why it ended.

use kiln_object::trace::{Event, Kind};

use super::directory::dispatchers;
use crate::process::Process;
use crate::time;

/// Most events that are shown at once.
const MOST: usize = 32;

/// The latest events of all that were offered, by time.
struct Latest {
    events: [Option<(u32, Event)>; MOST],
}

impl Latest {
    fn offer(&mut self, cpu: u32, event: Event) {
        let stamp = |place: &Option<(u32, Event)>| place.map_or(0, |(_, event)| event.stamp);
        // The first place holds the oldest.
        if let Some(oldest) = self.events.first_mut()
            && stamp(oldest) < event.stamp
        {
            *oldest = Some((cpu, event));
            let mut place = 0;
            while let Some([this, next]) = self.events.get_mut(place..place + 2)
                && stamp(this) > stamp(next)
            {
                core::mem::swap(this, next);
                place += 1;
            }
        }
    }
}

/// Logs the last `most` events that `process` noted, and the calls that were made to it.
pub fn print_last(process: &Process, most: usize) {
    let mut latest = Latest {
        events: [None; MOST],
    };
    for dispatcher in dispatchers() {
        let account = dispatcher.account();
        let is_own = core::ptr::eq(dispatcher.process(), process);
        let written = account.written();
        let mut left = most.min(MOST);
        for index in (0..written).rev() {
            let Some(event) = account.read(index).filter(|_| left != 0) else {
                break;
            };
            let is_about = event.a == process.id().raw()
                && matches!(
                    Kind::from_number(event.kind),
                    Some(Kind::Call | Kind::Send | Kind::ProcessStart)
                );
            if is_own || is_about {
                latest.offer(dispatcher.cpu(), event);
                left -= 1;
            }
        }
    }
    let shown = latest.events.len() - most.min(MOST);
    for (cpu, event) in latest.events.iter().skip(shown).flatten() {
        let time = time::information().monotonic_ns(event.stamp) / 1000;
        match Kind::from_number(event.kind) {
            Some(kind) => crate::error!(
                "  {time} us, processor {cpu}: {kind:?} {:#x} {:#x} {:#x}",
                event.small,
                event.a,
                event.b
            ),
            None => crate::error!("  {time} us, processor {cpu}: event {}", event.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_in_order() {
        let mut latest = Latest {
            events: [None; MOST],
        };
        // 37 steps through 64 numbers visit each once, in no order.
        for step in 0..64_u64 {
            let event = Event {
                stamp: step * 37 % 64 + 1,
                ..Event::from_words([0; 4])
            };
            latest.offer(0, event);
        }
        let stamps: std::vec::Vec<u64> = latest
            .events
            .iter()
            .flatten()
            .map(|(_, event)| event.stamp)
            .collect();
        assert!(stamps.iter().copied().eq(33..=64), "{stamps:?}");
    }
}
