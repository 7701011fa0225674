//! Wall time of a whole machine, from the spawn of QEMU to its exit, beside that of an empty one.
//!
//! The two alternate, so that what else the host does weighs on both.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln_tests::linux::Kernel;
use kiln_tests::machine;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use crate::figure::Value;
use crate::machine::Machines;
use crate::made;
use crate::measure::Measured;

/// Pairs of runs of which the median counts.
const PAIRS: usize = 21;
/// The same for Linux, which takes long.
const LINUX_PAIRS: usize = 3;
/// No run takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures the hello and Linux.
///
/// # Errors
/// Something could not be made or did not end.
pub fn measure(
    machines: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    let empty = machines.timed(&made::exit_image()?);
    let run = |name: &str, program: Result<PathBuf, String>| -> Value {
        let image = made::image(name, &program?)?;
        // The times say nothing of what was done in them.
        machines.run_with(&image, 64 << 10)?;
        ratio(&machines.timed(&image), &empty, PAIRS, name)
    };
    let hello = run("hello", made::hello());
    measured.kiln.insert("wall.hello", hello);
    let hello_glibc = run("hello-glibc", made::hello_glibc());
    measured.kiln.insert("wall.hello.glibc", hello_glibc);
    let linux = || -> Value {
        let kernel = kernel.as_ref().map_err(String::clone)?;
        let linux = machines.timed_linux(kernel, &made::linux_files(&made::boot()?)?);
        ratio(&linux, &empty, LINUX_PAIRS, "Linux")
    };
    let linux = linux();
    measured.linux.insert("wall.hello", linux.clone());
    measured.linux.insert("wall.hello.glibc", linux);
    Ok(())
}

/// The median of the ratios of pairs of runs.
fn ratio(words: &[String], empty: &[String], pairs: usize, what: &str) -> Value {
    let (mut ratios, mut full_times, mut empty_times) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        let empty = time(empty)?;
        let full = time(words)?;
        ratios.push(full / empty);
        full_times.push(full);
        empty_times.push(empty);
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split_whitespace().take(3).collect();
    eprintln!(
        "kiln-bench: QEMU with {what} {:.0} ms, with an image that ends at once {:.0} ms (medians of {pairs}; load average {})",
        median(&mut full_times) * 1e3,
        median(&mut empty_times) * 1e3,
        load.join(" ")
    );
    Ok(median(&mut ratios))
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds from the spawn of QEMU to its end.
fn time(words: &[String]) -> Value {
    let start = Instant::now();
    let mut child = Command::new(machine::program())
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start QEMU: {error}"))?;
    let ended = wait(child.id());
    let took = start.elapsed().as_secs_f64();
    if ended.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    ended?;
    // Linux restarts (0); the others write to the exit device (1).
    match status.code() {
        Some(0 | 1) => Ok(took),
        _ => Err(format!("QEMU: {status}")),
    }
}

/// Waits without looking again and again.
fn wait(child: u32) -> Result<(), String> {
    let wait = || {
        let child = i32::try_from(child).ok().and_then(Pid::from_raw);
        let child = child.ok_or(rustix::io::Errno::SRCH)?;
        let handle = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
        let limit = Timespec {
            tv_sec: i64::try_from(LIMIT.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        rustix::event::poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))
    };
    match wait() {
        Ok(0) => Err(format!("QEMU was not done after {LIMIT:?}")),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot wait for QEMU: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_slow_run() {
        assert!((median(&mut [1.2, 9.0, 1.1, 1.3, 1.0]) - 1.2).abs() < f64::EPSILON);
    }
}
