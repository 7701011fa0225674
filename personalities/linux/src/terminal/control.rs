//! What `ioctl` asks of the terminal.
//!
//! Job control needs a process tree: the foreground group is remembered and means nothing yet.

use linux_raw_sys::ioctl::{
    FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSETS, TCSETS2, TCSETSF, TCSETSF2, TCSETSW,
    TCSETSW2, TCXONC, TIOCEXCL, TIOCGDEV, TIOCGETD, TIOCGPGRP, TIOCGSID, TIOCGWINSZ, TIOCNOTTY,
    TIOCNXCL, TIOCOUTQ, TIOCSBRK, TIOCSCTTY, TIOCSPGRP, TIOCSWINSZ,
};

use super::Terminal;
use super::settings::{Settings, SettingsWithSpeeds, WindowSize, local};
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// What the console's line runs at, as far as anybody can tell.
const SPEED: u32 = 38400;

impl Terminal {
    /// An `ioctl` on the terminal.
    ///
    /// # Errors
    /// `ENOTTY` for what it does not know; `EFAULT`, `EINVAL`.
    pub fn control(&self, request: u32, argument: u64) -> Answer {
        match request {
            TCGETS => program_memory::write(argument, &self.state.lock().settings)?,
            TCGETS2 => {
                let answer = SettingsWithSpeeds {
                    settings: self.state.lock().settings,
                    input_speed: SPEED,
                    output_speed: SPEED,
                };
                program_memory::write(argument, &answer)?;
            }
            TCSETS | TCSETSW => self.set(program_memory::read(argument)?, false),
            TCSETSF => self.set(program_memory::read(argument)?, true),
            TCSETS2 | TCSETSW2 => {
                self.set(
                    program_memory::read::<SettingsWithSpeeds>(argument)?.settings,
                    false,
                );
            }
            TCSETSF2 => {
                self.set(
                    program_memory::read::<SettingsWithSpeeds>(argument)?.settings,
                    true,
                );
            }
            TIOCGWINSZ => program_memory::write(argument, &self.state.lock().window)?,
            TIOCSWINSZ => {
                let size: WindowSize = program_memory::read(argument)?;
                self.state.lock().window = size;
            }
            TIOCGPGRP => {
                let group = match self.state.lock().group {
                    0 => crate::pseudo::process_number(),
                    group => group,
                };
                program_memory::write(argument, &group)?;
            }
            TIOCSPGRP => {
                let group: i32 = program_memory::read(argument)?;
                if group <= 0 {
                    return Err(Errno::EINVAL);
                }
                self.state.lock().group = group;
            }
            TIOCGSID => program_memory::write(argument, &crate::pseudo::process_number())?,
            FIONREAD => return self.available(argument),
            // All that was written is with the device already.
            TIOCOUTQ => program_memory::write(argument, &0_i32)?,
            TIOCGETD => program_memory::write(argument, &0_i32)?,
            // Major 5, minor 1.
            TIOCGDEV => program_memory::write(argument, &0x0501_u32)?,
            TCFLSH => match argument {
                0 | 2 => self.state.lock().input.flush(),
                1 => {}
                _ => return Err(Errno::EINVAL),
            },
            TCSBRK | TIOCSBRK | TCXONC | TIOCEXCL | TIOCNXCL | TIOCSCTTY | TIOCNOTTY => {}
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    /// An `ioctl` on standard input that is a stream.
    ///
    /// # Errors
    /// `ENOTTY` for all but the one that every pipe knows.
    pub fn control_stream(&self, request: u32, argument: u64) -> Answer {
        match request {
            FIONREAD => self.available(argument),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// Whether the input stream ended and all of it was read.
    #[must_use]
    pub fn input_is_finished(&self) -> bool {
        self.state.lock().stream.is_finished()
    }

    fn available(&self, argument: u64) -> Answer {
        self.pump();
        let state = self.state.lock();
        let count = if state.input_is_terminal {
            state.input.available(&state.settings)
        } else {
            state.stream.available()
        };
        program_memory::write(argument, &(count as i32))?;
        Ok(0)
    }

    fn set(&self, new: Settings, flush: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if flush {
            state.input.flush();
        }
        let old = core::mem::replace(&mut state.settings, new);
        if old.has(local::CANONICAL) != new.has(local::CANONICAL) || old.input != new.input {
            state.input.settings_changed(&old, &new);
        }
    }
}
