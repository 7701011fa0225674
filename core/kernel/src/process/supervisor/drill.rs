//! Ends servers, or makes them deaf, as the boot command line says, so that it can be seen what goes on.
//!
//! `end=image_root@500` ends the process in which that server lives half a second after the kernel's
//! clock began; `end=image_root@call:500` does when it has been called so often, which does not depend on
//! how fast the machine is, and `end=image_root@memory_fs:500` when that other one has been. `deaf=memory_fs`
//! keeps the kernel's requests for pages from a pager. Whoever writes the command line has the machine
//! anyway. Without such words nothing is kept, and no timer set.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::process::Process;
use crate::schedule;
use crate::time;
use crate::time::timer::{User, arm_for, on_expiry_for};

/// The word of the command line: `end=SERVER@MILLISECONDS`, `end=SERVER@call:COUNT` or
/// `end=SERVER@OTHER:COUNT`.
const END: &[u8] = b"end=";

/// The other: `deaf=SERVER`.
const DEAF: &[u8] = b"deaf=";

/// In place of the name of whose calls are counted: those to the one that ends.
const ITSELF: &str = "call";

/// The status of a process that was ended so: as if by `SIGKILL`.
const STATUS: u32 = 128 + 9;

const NS_PER_MS: u64 = 1_000_000;

/// Between two looks at how often a server was called, in ns.
const LOOK_NS: u64 = NS_PER_MS;

/// When a server is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When<Who> {
    /// At that time (monotonic ns).
    Time(u64),
    /// When that one has been called so often since the machine was started.
    Calls(Who, u64),
}

/// One end to come.
struct End {
    process: &'static Process,
    when: When<&'static Process>,
    done: AtomicBool,
}

impl End {
    fn is_due(&self, now: u64) -> bool {
        match self.when {
            When::Time(time) => time <= now,
            When::Calls(who, count) => who.calls_served() >= count,
        }
    }
}

static ENDS: Once<Vec<End>> = Once::new();

/// Prepares what the command line asks for; `find` knows the server of a name. Once, on the boot
/// processor.
pub fn prepare(command_line: &[u8], find: impl Fn(&str) -> Option<&'static Process>) {
    if crate::boot::may_ask(command_line, DEAF) {
        for name in values(command_line, DEAF) {
            match find(name) {
                Some(process) => process.set_deaf(),
                None => crate::error!("no process of a server called {name} can be deaf"),
            }
        }
    }
    if !crate::boot::may_ask(command_line, END) {
        return;
    }
    let find = |name: &str| {
        let found = find(name);
        if found.is_none() {
            crate::error!("no process of a server called {name} can be ended");
        }
        found
    };
    let ends: Vec<End> = wanted(command_line)
        .filter_map(|(name, when)| {
            let process = find(name)?;
            let when = match when {
                When::Time(time) => When::Time(time),
                When::Calls(ITSELF, count) => When::Calls(process, count),
                When::Calls(other, count) => When::Calls(find(other)?, count),
            };
            let done = AtomicBool::new(false);
            Some(End {
                process,
                when,
                done,
            })
        })
        .collect();
    if !ends.is_empty() {
        ENDS.call_once(|| ends);
        on_expiry_for(User::Drill, expired);
        arm(time::monotonic_ns());
    }
}

/// What stands behind `word` wherever it does.
fn values<'a>(command_line: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = &'a str> {
    let words = command_line.split(|byte| *byte == b' ');
    words.filter_map(move |found| core::str::from_utf8(found.strip_prefix(word)?).ok())
}

/// The names of those that end, and when; words that make no sense are none.
fn wanted(command_line: &[u8]) -> impl Iterator<Item = (&str, When<&str>)> {
    values(command_line, END).filter_map(|word| {
        let (name, when) = word.rsplit_once('@')?;
        let when = match when.rsplit_once(':') {
            Some((who, count)) => When::Calls(who, count.parse().ok()?),
            None => When::Time(when.parse::<u64>().ok()?.checked_mul(NS_PER_MS)?),
        };
        Some((name, when))
    })
}

fn arm(now: u64) {
    let left = ENDS.get().into_iter().flatten();
    let left = left.filter(|end| !end.done.load(Ordering::Relaxed));
    let next = left.map(|end| match end.when {
        When::Time(time) => time,
        When::Calls(..) => now.saturating_add(LOOK_NS),
    });
    arm_for(User::Drill, next.min().unwrap_or(u64::MAX));
}

/// In interrupt context: the processor was in user mode, or waited.
fn expired() {
    let now = time::monotonic_ns();
    for end in ENDS.get().into_iter().flatten() {
        if !end.done.load(Ordering::Relaxed) && end.is_due(now) {
            end.done.store(true, Ordering::Relaxed);
            let name = end.process.name();
            if end.process.started_cpus() == 0 || end.process.has_ended() {
                crate::warning!("{name} does not run and is not ended");
            } else {
                crate::warning!("{name} is ended as the command line says");
                schedule::end_later(end.process, STATUS);
            }
        }
    }
    arm(now);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_come_from_the_command_line() {
        let found: Vec<_> =
            wanted(b"stdin=pipe end=a@5 end=b end=@x end=c@ end=d@e@0 fend=a@1").collect();
        let time = When::Time;
        assert_eq!(found, [("a", time(5_000_000)), ("d@e", time(0))]);
    }

    #[test]
    fn numbers_of_calls_come_from_it_too() {
        let line = b"end=a@call:7 end=b@call: end=c@call:x end=d@a:1 end=e@call:-1";
        let found: Vec<_> = wanted(line).collect();
        let expected = [("a", When::Calls(ITSELF, 7)), ("d", When::Calls("a", 1))];
        assert_eq!(found, expected);
    }

    #[test]
    fn so_do_the_names_of_the_deaf() {
        let found: Vec<_> = values(b"deaf=a xdeaf=b deaf=\xff deaf=c", DEAF).collect();
        assert_eq!(found, ["a", "c"]);
    }
}
