//! Runs an image under QEMU: the program's output is ours, its exit status too.
//!
//! Two channels lead out of the machine. The first serial port carries the program's
//! bytes and nothing else. The debug console carries lines of Kiln's own: see
//! [`messages`].

pub mod functions;
mod input;
mod machine;
mod memory;
pub mod messages;
pub mod qemu;
mod terminal;

use std::path::PathBuf;

pub use machine::{check_memory, run};
pub use memory::{GuestMemory, Memory, Watch};
pub use terminal::is_raw;

use crate::manifest::MachineModel;

/// The status of a run that Kiln itself could not carry through.
pub const KILN_FAILED: u8 = 125;
/// The status of a run that was stopped because its time was up.
pub const TIMED_OUT: u8 = 124;

/// Why a machine could not be run, or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// QEMU is missing.
    #[error(
        "cannot find `{0}`\n  = help: install the package qemu-system-x86, or set KILN_QEMU to the program"
    )]
    NoQemu(String),
    /// A variable of the environment says something unknown.
    #[error("{variable} cannot be `{value}`\n  = help: {remedy}")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it can be.
        remedy: &'static str,
    },
    /// The image does not fit into the machine: no loader could even put it there.
    #[error(
        "the image ends at {needed} KiB of the machine's memory, which is {given} KiB\n  = help: give the machine more than that (--mem, or `memory` under [machine])"
    )]
    TooLittleMemory {
        /// Where the loaded image ends, in KiB.
        needed: u64,
        /// The machine's memory, in KiB.
        given: u64,
    },
    /// The host did not let us.
    #[error("cannot {doing}: {error}")]
    Host {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// QEMU ended without the image having said how the program ended.
    #[error(
        "the machine stopped without saying how the program ended ({status}){output}\n  = help: run with -v to see what it reported; the machine may need more memory (--mem)"
    )]
    NoStatus {
        /// How QEMU ended.
        status: String,
        /// What QEMU wrote to its standard error, as indented lines.
        output: String,
    },
}

impl RunError {
    pub(crate) fn host(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Host { doing, error }
    }
}

/// Where the program's console is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Kiln's own standard input and output.
    Shared,
    /// Nowhere: its input has ended, and its output is dropped.
    Hidden,
}

/// How to run an image.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The machine model.
    pub model: MachineModel,
    /// Memory, in bytes.
    pub memory: u64,
    /// Number of processors.
    pub cpus: u32,
    /// Seconds after which the run is stopped.
    pub timeout: Option<std::time::Duration>,
    /// Show the system calls that the image reports.
    pub strace: bool,
    /// What is done to servers on purpose, as words of the kernel's command line.
    pub drills: Vec<String>,
    /// Where the program's console is.
    pub console: Console,
    /// Give the machine an entropy source.
    pub entropy: bool,
    /// Wait for a debugger on this socket.
    pub debugger: Option<PathBuf>,
    /// Show everything that the image and QEMU report.
    pub verbose: bool,
    /// What functions the image's components have.
    pub functions: functions::Functions,
}
