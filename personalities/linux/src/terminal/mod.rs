//! The console as the program's terminal, or as the streams that it is at the other end.
//!
//! The machine's console carries bytes. Whether they are a person's is said on the boot command
//! line, for input and output apart: `stdin=pipe` makes standard input an escaped stream,
//! `stdout=pipe` makes output plain bytes. What the program sees is made here; the kernel knows
//! nothing of lines or echo.

mod console;
mod control;
mod device;
mod line;
mod output;
pub mod settings;
mod stream;

use alloc::vec::Vec;

use kiln_object::call::MESSAGE_BYTES;
use kiln_runtime::PlainMutex as Mutex;

pub use console::{ConsoleInput, ConsoleOutput, ConsoleTerminal, terminal_attributes};

use crate::errno::Errno;
use crate::files::buffer::{Destination, Source};
use crate::files::object::readiness;
use crate::files::scratch::Scratch;
use crate::table::SystemCall;
use line::{InputSide, Signal, Taken};
use output::OutputSide;
use settings::{Settings, WindowSize, character, local};
use stream::InputStream;

/// The calls of this family: it has none, since terminals are reached by descriptors.
pub const CALLS: &[SystemCall] = &[];

/// What the program writes, on its way from its memory to the console. It is no part of the terminal,
/// whose first state is in the image.
static PIECE: Mutex<[u8; MESSAGE_BYTES]> = Mutex::new([0; MESSAGE_BYTES]);

/// The terminal of this process.
#[derive(Debug, Default)]
pub struct Terminal {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    window: WindowSize,
    input: InputSide,
    output: OutputSide,
    stream: InputStream,
    input_is_terminal: bool,
    output_is_terminal: bool,
    /// The foreground process group; zero until somebody set one.
    group: i32,
    /// The device said that it has nothing, and will tell when it has.
    drained: bool,
    /// Counts the pieces that came in.
    activity: u64,
}

impl State {
    const fn new() -> Self {
        Self {
            settings: Settings::USUAL,
            window: WindowSize::USUAL,
            input: InputSide::new(),
            output: OutputSide::new(),
            stream: InputStream::new(),
            input_is_terminal: true,
            output_is_terminal: true,
            group: 0,
            // What came before the process was there is announced as well.
            drained: true,
            activity: 0,
        }
    }

    fn has_room(&self) -> bool {
        if self.input_is_terminal {
            self.input.has_room()
        } else {
            self.stream.wants_more()
        }
    }

    /// Takes in what the device has; answers a signal that was typed.
    fn pump(&mut self) -> Option<Signal> {
        let mut signal = None;
        let mut echo = Vec::new();
        while !self.drained && self.has_room() {
            let mut piece = Scratch::take();
            let Some(bytes) = device::read(&mut piece) else {
                self.drained = true;
                break;
            };
            self.activity += 1;
            if !self.input_is_terminal {
                self.stream.receive(bytes);
                continue;
            }
            for byte in bytes {
                let mut typed = Vec::new();
                let column = self.output.column();
                signal = self
                    .input
                    .receive(&self.settings, *byte, column, &mut typed)
                    .or(signal);
                self.output.process(&self.settings, &typed, &mut echo);
            }
        }
        // Where output is no terminal, the person's own terminal shows what is typed.
        if self.output_is_terminal && !echo.is_empty() {
            // Echo that cannot be shown is lost, as on any broken line.
            let _ = device::write(&echo);
        }
        signal
    }

    /// Writes what the program wrote, as a terminal shows it.
    #[inline(never)]
    fn show(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let mut device_bytes = Vec::new();
        self.output
            .process(&self.settings, bytes, &mut device_bytes);
        device::write(&device_bytes)
    }

    fn is_readable(&self) -> bool {
        if self.input_is_terminal {
            self.input.is_readable(&self.settings)
        } else {
            self.stream.is_readable()
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
        }
    }

    /// Learns from the boot command line what is at the other end.
    pub fn initialise(&self, command_line: &[u8]) {
        let mut state = self.state.lock();
        for word in command_line.split(|byte| *byte <= b' ') {
            if word == b"stdin=pipe" {
                state.input_is_terminal = false;
            } else if word == b"stdout=pipe" {
                state.output_is_terminal = false;
            } else {
                state.window.learn(word);
            }
        }
    }

    /// Whether standard input and standard output are terminals.
    #[must_use]
    pub fn sides(&self) -> (bool, bool) {
        let state = self.state.lock();
        (state.input_is_terminal, state.output_is_terminal)
    }

    /// Whether standard input is a terminal.
    #[must_use]
    pub fn input_is_terminal(&self) -> bool {
        self.state.lock().input_is_terminal
    }

    /// As [`Self::pump`], after the announcement of input was taken from the dispatcher's page.
    pub fn receive(&self) {
        self.state.lock().drained = false;
        self.pump();
    }

    /// Takes in what was typed meanwhile, so that a typed signal takes effect.
    pub fn pump(&self) {
        let mut state = self.state.lock();
        if device::announced() {
            state.drained = false;
        } else if state.drained {
            return;
        }
        let signal = state.pump();
        drop(state);
        if let Some(signal) = signal {
            device::raise(signal as i32);
        }
    }

    fn read(&self, into: &mut Destination<'_>) -> Result<usize, Errno> {
        self.pump();
        let start = into.stored();
        let mut piece = Scratch::take();
        let mut state = self.state.lock();
        let state = &mut *state;
        while into.room() > 0 {
            let wanted = into.room().min(piece.len());
            let place = piece.get_mut(..wanted).unwrap_or_default();
            let taken = if !state.input_is_terminal {
                match state.stream.take(place) {
                    None => Taken::Nothing,
                    Some(0) => Taken::EndOfFile,
                    Some(count) => Taken::Bytes(count),
                }
            } else if into.stored() > start || state.input.is_readable(&state.settings) {
                state.input.take(&state.settings, place)
            } else {
                Taken::Nothing
            };
            match taken {
                Taken::Bytes(count) => {
                    let bytes = place.get(..count).unwrap_or_default();
                    into.put(bytes)?;
                    // A line is read by one read, and a read takes no more than one.
                    let line_ends = state.input_is_terminal && state.settings.has(local::CANONICAL);
                    if count < wanted || (line_ends && bytes.ends_with(b"\n")) {
                        break;
                    }
                }
                Taken::EndOfFile => break,
                Taken::Nothing if into.stored() > start => break,
                Taken::Nothing if state.input_is_terminal && at_once(&state.settings) => break,
                Taken::Nothing => return Err(Errno::EAGAIN),
            }
        }
        Ok(into.stored() - start)
    }

    fn write(&self, from: &mut Source<'_>) -> Result<usize, Errno> {
        self.pump();
        let mut state = self.state.lock();
        let state = &mut *state;
        let as_terminal = state.output_is_terminal;
        if as_terminal && state.input_is_terminal && state.input.output_stopped() {
            return Err(Errno::EAGAIN);
        }
        // Nobody has it who does not hold the terminal's lock.
        let mut piece = PIECE.lock();
        let start = from.taken();
        while from.left() > 0 {
            let bytes = match from.take(&mut *piece) {
                Ok(bytes) => bytes,
                Err(_) if from.taken() > start => break,
                Err(error) => return Err(error),
            };
            if as_terminal {
                state.show(bytes)?;
            } else {
                device::write(bytes)?;
            }
        }
        Ok(from.taken() - start)
    }

    fn readiness(&self) -> u32 {
        self.pump();
        let state = self.state.lock();
        let mut ready = 0;
        if state.is_readable() {
            ready |= readiness::IN;
        }
        if !state.input.output_stopped() {
            ready |= readiness::OUT;
        }
        ready
    }

    fn activity(&self) -> u64 {
        self.state.lock().activity
    }

    /// Nanoseconds after which a read answers without a byte, if the settings say so.
    fn longest_wait(&self) -> Option<u64> {
        let settings = self.state.lock().settings;
        let tenths = settings.count(character::TIME);
        let timed = !settings.has(local::CANONICAL)
            && settings.count(character::MINIMUM) == 0
            && tenths > 0;
        timed.then_some(tenths as u64 * 100_000_000)
    }
}

/// Whether a read that finds nothing answers zero at once.
fn at_once(settings: &Settings) -> bool {
    !settings.has(local::CANONICAL)
        && settings.count(character::MINIMUM) == 0
        && settings.count(character::TIME) == 0
}

#[cfg(test)]
mod tests;
