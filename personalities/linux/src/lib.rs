//! The library that is Linux to an unmodified program.
//!
//! It lies at a fixed place in the program's own address space and shares nothing with the program
//! but the bytes that a system call names: it has its own stacks, heap and registers. A call comes
//! in through [`entry`], is looked up in [`table`] and runs as an ordinary function here; what needs
//! a truth shared with other processes is asked of a server by an object call.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod call;
pub mod entry;
pub mod errno;
pub mod files;
pub mod futex;
pub mod load;
pub mod memory;
pub mod process;
pub mod program_memory;
pub mod pseudo;
pub mod rewrite;
pub mod signal;
pub mod strace;
pub mod table;
pub mod terminal;
pub mod time;

/// All that Linux remembers about its process: each family's part, behind the part's own locks.
#[derive(Debug)]
pub struct Linux {
    /// Descriptors, open files, the working directory.
    pub files: files::Files,
    /// The console as a terminal.
    pub terminal: terminal::Terminal,
    /// The program's address space.
    pub memory: memory::Memory,
    /// Identity, limits, what was executed.
    pub process: process::Process,
    /// Signal actions, mask and stack.
    pub signal: signal::Signals,
    /// Timers.
    pub time: time::Time,
}

/// The state of this process.
pub static LINUX: Linux = Linux {
    files: files::Files::new(),
    terminal: terminal::Terminal::new(),
    memory: memory::Memory::new(),
    process: process::Process::new(),
    signal: signal::Signals::new(),
    time: time::Time::new(),
};
