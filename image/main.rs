//! The `kiln` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln::command_line::main()
}
