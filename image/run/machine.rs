//! One run of a machine: starts QEMU, moves bytes, waits for the end.
//!
//! Three threads move bytes; the main one waits for the first thing that ends the run.
//! QEMU is our child, dies with us, and is killed by its process handle only.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::functions::Functions;
use super::input::{END, Keys, Typed, escaped};
use super::memory::{GuestMemory, Watch};
use super::messages::{Lines, Message};
use super::qemu::{self, Accelerator, ConsoleEnds};
use super::terminal::{self, RawTerminal};
use super::{Console, KILN_FAILED, RunError, Settings, TIMED_OUT};
use crate::progress::{Progress, say};

/// The status of a program that was killed.
const KILLED: u8 = 128 + 9;
/// The status of a program whose output nobody reads any more.
const BROKEN_PIPE: u8 = 128 + 13;

/// Something that ends a run, or changes how it will end.
enum Event {
    /// The image or the machine is through: its message channel closed.
    Ended,
    /// The user typed the key that stops the machine.
    Quit,
    /// Nobody reads the program's output any more.
    OutputClosed,
    /// Kiln was told to stop.
    Signal(i32),
    /// Whoever watches the machine has seen enough.
    Seen,
}

/// What the image said about its end.
#[derive(Default)]
struct Said {
    status: Option<u8>,
}

/// Boots the image that `write` writes and gives back the status with which Kiln ends. `watch` looks
/// into the machine's memory meanwhile, and once more when the machine has ended.
///
/// # Errors
/// QEMU could not be started, or ended without the image having given a status.
pub fn run(
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
    settings: &Settings,
    mut watch: Option<&mut dyn Watch>,
    progress: Progress,
) -> Result<u8, RunError> {
    let program = qemu::find()?;
    let accelerator = Accelerator::choose()?;
    let (image, image_path) = in_memory(write)?;
    let length = image
        .metadata()
        .map_err(RunError::host("look at the image"))?
        .len();
    check_memory(length, settings.memory)?;
    let (messages, messages_end) = std::io::pipe().map_err(RunError::host("make a pipe"))?;
    rustix::io::fcntl_setfd(&messages_end, FdFlags::empty())
        .map_err(|error| RunError::host("pass on a pipe")(error.into()))?;
    let messages_path = PathBuf::from(format!("/proc/self/fd/{}", messages_end.as_raw_fd()));
    let has_console = settings.console == Console::Shared;
    let ends = ConsoleEnds {
        input_is_terminal: has_console && std::io::stdin().is_terminal(),
        output_is_terminal: has_console && std::io::stdout().is_terminal(),
        size: terminal::size().filter(|_| has_console),
    };
    let memory = match watch {
        Some(_) => Some(GuestMemory::new(settings.memory)?),
        None => None,
    };
    let surroundings = qemu::Surroundings {
        image: &image_path,
        messages: &messages_path,
        memory: memory.as_ref().map(GuestMemory::path),
        words: watch
            .as_ref()
            .map_or_else(Vec::new, |watch| watch.command_words())
            .into_iter()
            .chain(settings.drills.iter().cloned())
            .collect(),
        console: &ends,
    };
    let arguments = qemu::arguments(settings, accelerator, &surroundings);
    progress.detail(format_args!("{} {}", program.display(), shown(&arguments)));
    let mut child = start(Command::new(&program).args(&arguments))?;
    // Only QEMU may hold the writing end, or the reader would never see the end.
    drop(messages_end);
    let raw = ends.input_is_terminal.then(RawTerminal::enter).flatten();
    let (events, received) = channel();
    let said = Arc::new(Mutex::new(Said::default()));
    let (started, has_started) = channel();
    let pumps = start_pumps(&mut child, messages, &events, &said, settings, started);
    listen_for_signals(&events)?;
    if let Some(input) = child.stdin.take() {
        let events = events.clone();
        let terminal = ends.input_is_terminal;
        std::thread::spawn(move || {
            // A byte that comes while the serial port is being set up is lost. An error means that
            // the machine ended without a word: then there is nobody to send to.
            if has_started.recv().is_ok() {
                if has_console {
                    pump_input(std::io::stdin().lock(), input, terminal, &events);
                } else {
                    pump_input(std::io::empty(), input, terminal, &events);
                }
            }
        });
    }
    let watched = match (&mut watch, &memory) {
        (Some(watch), Some(memory)) => Some((&mut **watch, memory)),
        _ => None,
    };
    let stopped = wait_watching(watched, &events, || wait_for_end(&received, settings));
    if stopped.is_some() {
        // It may have ended just now by itself: then there is nothing to kill.
        let _ = child.kill();
    }
    let status = child.wait().map_err(RunError::host("wait for QEMU"))?;
    if let (Some(watch), Some(memory)) = (watch, &memory) {
        watch.look_back(memory);
    }
    let errors = pumps.finish();
    drop(raw);
    drop(image);
    if settings.verbose {
        errors
            .lines()
            .for_each(|line| say(format_args!("qemu: {line}")));
    }
    if let Some(stopped) = stopped {
        return Ok(stopped);
    }
    let status_said = said.lock().ok().and_then(|said| said.status);
    status_said.ok_or_else(|| RunError::NoStatus {
        status: format!("QEMU: {status}"),
        output: errors
            .lines()
            .map(|line| format!("\n  qemu: {line}"))
            .collect(),
    })
}

/// The image as a file that has no name and is gone with us.
fn in_memory(
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(File, PathBuf), RunError> {
    let file = rustix::fs::memfd_create("kiln-image", MemfdFlags::CLOEXEC)
        .map_err(|error| RunError::host("hold the image in memory")(error.into()))?;
    let mut file = File::from(file);
    write(&mut file).map_err(RunError::host("hold the image in memory"))?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    Ok((file, path.into()))
}

/// Refuses a machine with `memory` bytes, into which an image of `length` bytes cannot be loaded: QEMU
/// would wait for ever.
///
/// # Errors
/// `TooLittleMemory`.
pub fn check_memory(length: u64, memory: u64) -> Result<(), RunError> {
    let needed = kiln_image_format::PHYSICAL_BASE.saturating_add(length);
    if needed < memory {
        return Ok(());
    }
    Err(RunError::TooLittleMemory {
        needed: needed >> 10,
        given: memory >> 10,
    })
}

fn shown(arguments: &[std::ffi::OsString]) -> String {
    let word = |word: &std::ffi::OsString| {
        let text = word.to_string_lossy();
        if text.contains(' ') {
            format!("'{text}'")
        } else {
            text.into_owned()
        }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn start(command: &mut Command) -> Result<Child, RunError> {
    let parent = rustix::process::getpid();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at a terminal is for Kiln, which then ends the machine in order.
        .process_group(0);
    let die_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above took effect.
        if rustix::process::getppid() != Some(parent) {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and exec, where only
    // async-signal-safe calls are allowed: it makes two system calls, allocates nothing
    // (an `ErrorKind` converts to an `io::Error` without allocation) and takes no lock.
    unsafe { command.pre_exec(die_with_parent) };
    command.spawn().map_err(RunError::host("start QEMU"))
}

/// The threads that move what comes out of the machine.
struct Pumps {
    output: Option<JoinHandle<()>>,
    messages: JoinHandle<()>,
    errors: Option<JoinHandle<String>>,
}

impl Pumps {
    /// Waits until everything is through; gives back QEMU's own complaints.
    fn finish(self) -> String {
        let _ = self.messages.join();
        if let Some(output) = self.output {
            let _ = output.join();
        }
        self.errors
            .and_then(|errors| errors.join().ok())
            .unwrap_or_default()
    }
}

fn start_pumps(
    child: &mut Child,
    messages: std::io::PipeReader,
    events: &Sender<Event>,
    said: &Arc<Mutex<Said>>,
    settings: &Settings,
    started: Sender<()>,
) -> Pumps {
    let output = child.stdout.take().map(|output| {
        let events = events.clone();
        let shown = settings.console == Console::Shared;
        std::thread::spawn(move || {
            if shown {
                pump_output(output, std::io::stdout(), &events);
            } else {
                pump_output(output, std::io::sink(), &events);
            }
        })
    });
    let errors = child.stderr.take().map(|mut errors| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let (events, said) = (events.clone(), Arc::clone(said));
    let shown = Shown {
        strace: settings.strace,
        verbose: settings.verbose,
        functions: settings.functions.clone(),
    };
    let messages = std::thread::spawn(move || {
        pump_messages(messages, &said, &shown, &started);
        let _ = events.send(Event::Ended);
    });
    Pumps {
        output,
        messages,
        errors,
    }
}

fn pump_output(mut from: impl Read, mut out: impl Write, events: &Sender<Event>) {
    let mut buffer = [0; 64 << 10];
    let mut open = true;
    // Reads on after nobody listens, so that QEMU is not held up before it is stopped.
    while let Some(count) = read_some(&mut from, &mut buffer) {
        if open {
            let data = buffer.get(..count).unwrap_or_default();
            if out.write_all(data).and_then(|()| out.flush()).is_err() {
                open = false;
                let _ = events.send(Event::OutputClosed);
            }
        }
    }
}

/// Reads what is there; none at the end or on an error.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(buffer) {
            Ok(0) => return None,
            Ok(count) => return Some(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// What is shown of the messages, and how.
struct Shown {
    strace: bool,
    verbose: bool,
    functions: Functions,
}

/// Shows the messages; the first one says on `started` that the kernel's devices are ready.
fn pump_messages(mut from: impl Read, said: &Mutex<Said>, shown: &Shown, started: &Sender<()>) {
    let mut lines = Lines::default();
    let mut buffer = [0; 16 << 10];
    let mut each = |line: &[u8]| {
        // Nobody listens any more after the first.
        let _ = started.send(());
        let status = match Message::parse(line) {
            Message::Exit(status) => Some(status),
            Message::Panic => Some(KILN_FAILED),
            Message::SystemCall(text) => {
                if shown.strace {
                    say(text);
                }
                None
            }
            Message::Info(text) => {
                if shown.verbose {
                    say(format_args!("kernel: {text}"));
                }
                None
            }
            Message::Trouble(text) => {
                let function = shown.functions.found(&text).unwrap_or_default();
                say(format_args!("kernel: {text}{function}"));
                None
            }
        };
        if let (Some(status), Ok(mut said)) = (status, said.lock()) {
            said.status = Some(status);
        }
    };
    while let Some(count) = read_some(&mut from, &mut buffer) {
        lines.feed(buffer.get(..count).unwrap_or_default(), &mut each);
    }
    lines.finish(&mut each);
}

fn pump_input(mut from: impl Read, mut to: ChildStdin, terminal: bool, events: &Sender<Event>) {
    let mut buffer = [0; 16 << 10];
    let mut keys = Keys::default();
    while let Some(count) = read_some(&mut from, &mut buffer) {
        let data = buffer.get(..count).unwrap_or_default();
        let send = if terminal {
            match keys.feed(data) {
                Typed::Send(send) => send,
                Typed::Quit => {
                    let _ = events.send(Event::Quit);
                    return;
                }
            }
        } else {
            escaped(data)
        };
        if to.write_all(&send).is_err() {
            return;
        }
    }
    if !terminal {
        let _ = to.write_all(&END);
    }
    // The pipe stays open: its end would mean nothing to the machine. The thread ends
    // with the process.
    loop {
        std::thread::park();
    }
}

fn listen_for_signals(events: &Sender<Event>) -> Result<(), RunError> {
    let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    let mut signals = signal_hook::iterator::Signals::new(signals)
        .map_err(RunError::host("listen for signals"))?;
    let events = events.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Runs `wait`, and lets `watch` look meanwhile.
fn wait_watching<T>(
    watched: Option<(&mut (dyn Watch + '_), &GuestMemory)>,
    events: &Sender<Event>,
    wait: impl FnOnce() -> T,
) -> T {
    let Some((watch, memory)) = watched else {
        return wait();
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if !watch.look(memory) {
                    // Nobody waits any more if it has ended meanwhile.
                    let _ = events.send(Event::Seen);
                    return;
                }
                std::thread::park_timeout(watch.period());
            }
        });
        let end = wait();
        over.store(true, Ordering::Relaxed);
        end
    })
}

/// Waits until the machine ends by itself (none) or has to be stopped (with this status).
fn wait_for_end(events: &Receiver<Event>, settings: &Settings) -> Option<u8> {
    let deadline = settings
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let event = match deadline {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(deadline) => events.recv_timeout(deadline.saturating_duration_since(Instant::now())),
    };
    match event {
        Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => None,
        Ok(Event::Quit) => {
            say("\r\nkiln: stopped by Ctrl-A x");
            Some(KILLED)
        }
        Ok(Event::Seen) => Some(0),
        Ok(Event::OutputClosed) => Some(BROKEN_PIPE),
        Ok(Event::Signal(signal)) => Some(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0))),
        Err(RecvTimeoutError::Timeout) => {
            let seconds = settings.timeout.unwrap_or_default().as_secs_f64();
            say(format_args!("kiln: stopped: {seconds} s are over"));
            Some(TIMED_OUT)
        }
    }
}
