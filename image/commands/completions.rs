//! `kiln completions`: a completion script for a shell, on standard output.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Error;
use crate::command_line::CommandLine;

/// Prints the script.
///
/// # Errors
/// None; a reader that went away is no failure.
pub fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "kiln", &mut script);
    super::inspect::print(&String::from_utf8_lossy(&script));
    Ok(())
}
