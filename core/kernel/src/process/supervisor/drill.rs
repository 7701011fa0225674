//! Ends servers at times that the boot command line names, so that it can be seen what goes on.
//!
//! `end=image_root@500` ends the process in which that server lives half a second after the kernel's
//! clock began. Whoever writes the command line has the machine anyway. Without the word nothing is
//! kept, and no timer set.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use crate::process::Process;
use crate::schedule;
use crate::time;
use crate::time::timer::{User, arm_for, on_expiry_for};

/// The word of the command line: `end=SERVER@MILLISECONDS`.
const WORD: &[u8] = b"end=";

/// The status of a process that was ended so: as if by `SIGKILL`.
const STATUS: u32 = 128 + 9;

const NS_PER_MS: u64 = 1_000_000;

/// One end to come.
struct End {
    process: &'static Process,
    /// Monotonic ns.
    time: u64,
    done: AtomicBool,
}

static ENDS: Once<Vec<End>> = Once::new();

/// Prepares what the command line asks for; `find` knows the server of a name. Once, on the boot
/// processor.
pub fn prepare(command_line: &[u8], find: impl Fn(&str) -> Option<&'static Process>) {
    if !crate::boot::asks(command_line, WORD) {
        return;
    }
    let mut ends = Vec::new();
    for (name, time) in wanted(command_line) {
        match find(name) {
            Some(process) => ends.push(End {
                process,
                time,
                done: AtomicBool::new(false),
            }),
            None => crate::error!("no process of a server called {name} can be ended"),
        }
    }
    if !ends.is_empty() {
        ENDS.call_once(|| ends);
        on_expiry_for(User::Drill, expired);
        arm();
    }
}

/// The names, and the times in monotonic ns; words that make no sense are none.
fn wanted(command_line: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    let words = command_line.split(|byte| *byte == b' ');
    words.filter_map(|word| {
        let word = core::str::from_utf8(word.strip_prefix(WORD)?).ok()?;
        let (name, time) = word.rsplit_once('@')?;
        Some((name, time.parse::<u64>().ok()?.checked_mul(NS_PER_MS)?))
    })
}

fn arm() {
    let left = ENDS.get().into_iter().flatten();
    let left = left.filter(|end| !end.done.load(Ordering::Relaxed));
    arm_for(
        User::Drill,
        left.map(|end| end.time).min().unwrap_or(u64::MAX),
    );
}

/// In interrupt context: the processor was in user mode, or waited.
fn expired() {
    let now = time::monotonic_ns();
    for end in ENDS.get().into_iter().flatten() {
        if end.time <= now && !end.done.swap(true, Ordering::Relaxed) {
            let name = end.process.name();
            if end.process.started_cpus() == 0 || end.process.has_ended() {
                crate::warning!("{name} does not run and is not ended");
            } else {
                crate::warning!("{name} is ended as the command line says");
                schedule::end_later(end.process, STATUS);
            }
        }
    }
    arm();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_come_from_the_command_line() {
        let found: Vec<_> =
            wanted(b"stdin=pipe end=a@5 end=b end=@x end=c@ end=d@e@0 fend=a@1").collect();
        assert_eq!(found, [("a", 5_000_000), ("d@e", 0)]);
    }
}
