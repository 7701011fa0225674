//! Child processes with input, a deadline, and everything they said.

use std::ffi::OsStr;
use std::io::{PipeReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a child ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 128+N if signal N ended it.
    pub status: i32,
    /// What it wrote to its standard output.
    pub out: Vec<u8>,
    /// What it wrote to its standard error.
    pub err: String,
}

impl Output {
    /// The standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A child process to be.
#[derive(Debug)]
pub struct Child {
    command: Command,
    input: Vec<u8>,
    one_stream: bool,
    limit: Duration,
}

impl Child {
    /// A child that runs `program`, for two minutes at most.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
            input: Vec::new(),
            one_stream: false,
            limit: Duration::from_secs(120),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it only the environment that programs in an image have.
    #[must_use]
    pub fn plain_environment(mut self) -> Self {
        self.command.env_clear();
        self.command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        self.command.env("HOME", "/root");
        self
    }

    /// Starts it in the directory `path`.
    #[must_use]
    pub fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Gives it these bytes and then the end of input.
    #[must_use]
    pub fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    /// Makes its standard error the same stream as its standard output, as in an image, where
    /// both are the console.
    #[must_use]
    pub fn one_stream(mut self) -> Self {
        self.one_stream = true;
        self
    }

    /// Ends it after `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It could not be started, or was not done in time.
    pub fn run(self) -> Result<Output, String> {
        self.run_and_measure().map(|(output, _)| output)
    }

    /// Runs it to its end; answers also how much processor time it used, without its own children, to
    /// within 20 ms.
    ///
    /// # Errors
    /// As [`Child::run`].
    pub fn run_and_measure(mut self) -> Result<(Output, Duration), String> {
        let name = self.command.get_program().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| format!("cannot start {name}: {error}");
        self.command.stdin(Stdio::piped());
        let (out, out_end) = std::io::pipe().map_err(failed)?;
        let (err, err_end) = std::io::pipe().map_err(failed)?;
        let second = if self.one_stream {
            drop(err_end);
            out_end.try_clone().map_err(failed)?
        } else {
            err_end
        };
        self.command.stdout(out_end).stderr(second);
        let mut child = self.command.spawn().map_err(failed)?;
        // The ends of the pipes that were given away are closed here, so that they have an end.
        self.command = Command::new("");
        let mut stdin = child.stdin.take();
        let input = std::mem::take(&mut self.input);
        let writer = std::thread::spawn(move || {
            if let Some(mut stdin) = stdin.take() {
                // A child need not read all that it is given.
                let _ = stdin.write_all(&input);
            }
        });
        let out = collect(out);
        let err = collect(err);
        let deadline = Instant::now() + self.limit;
        let mut pause = Duration::from_micros(500);
        let mut used = Duration::ZERO;
        let status = loop {
            // Also of one that has ended, until its status is asked for.
            used = processor_time(child.id()).unwrap_or(used);
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(pause),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
            }
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let _ = writer.join();
        let out = out.join().unwrap_or_default();
        let err = String::from_utf8_lossy(&err.join().unwrap_or_default()).into_owned();
        let Some(status) = status else {
            let said = String::from_utf8_lossy(&out);
            return Err(format!(
                "{name} was not done after {:?}; it said:\n{said}{err}",
                self.limit
            ));
        };
        let status = status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(-1);
        Ok((Output { status, out, err }, used))
    }
}

/// The processor time that a process of the host has used.
fn processor_time(process: u32) -> Option<Duration> {
    /// The unit of the file, whatever the kernel's own is.
    const TICKS_PER_SECOND: u64 = 100;
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name may have anything in it; behind it come the state and then numbers.
    let (_, numbers) = text.rsplit_once(')')?;
    let mut numbers = numbers.split_whitespace().skip(11);
    let mut ticks = || numbers.next()?.parse::<u64>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

fn collect(mut from: PipeReader) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}
