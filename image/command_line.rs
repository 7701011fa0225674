//! The command line: what can be asked of `kiln`, and how it answers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands;
use crate::manifest::MachineModel;
use crate::progress::{Progress, say};
use crate::run::KILN_FAILED;

/// Composes a kernel, chosen servers and a Linux personality into one bootable image made for
/// one application.
#[derive(Debug, Parser)]
#[command(
    name = "kiln",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit status: the program's own for `run` (128+N if signal N ended it), \
    124 when the time was up, 125 when Kiln itself failed."
)]
pub struct CommandLine {
    /// Say what is done, step by step
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a manifest to start from
    New(New),
    /// Make the image that a manifest describes
    Build(Build),
    /// Make an image and run it under QEMU
    Run(Run),
    /// Run an image and write down its calls, switches, faults and interrupts
    Trace(Trace),
    /// Run an image and show what its processes do
    Top(Top),
    /// Show what is inside an image, or would be
    Inspect(Inspect),
    /// Show what the system's objects can be asked
    Interfaces(Interfaces),
    /// Make an image in the form that a boot loader or a cloud wants
    Export(Export),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `kiln new`
#[derive(Debug, Args)]
pub struct New {
    /// Name of the image; the manifest is NAME.toml
    pub name: String,
    /// Where to write the manifest
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `kiln build`
#[derive(Debug, Args)]
pub struct Build {
    /// The manifest
    pub manifest: PathBuf,
    /// Where to write the image [default: NAME.elf beside the manifest]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `kiln run`
#[derive(Debug, Args)]
#[command(
    after_help = "Without a manifest, PROGRAM is a path (or the name of a program) in the root \
    file system made of --deb and --dir. Without those it is a program of this host, whose loader \
    and libraries are taken along.\n\nWith a manifest, the words after -- are added to the \
    program's arguments, and the options change what the manifest says.\n\nWhile a program has the \
    terminal, Ctrl-A x stops the machine and Ctrl-A a types Ctrl-A.\n\n\
    Exit status: the program's own (128+N if signal N ended it), 124 when the time was up, \
    125 when Kiln itself failed."
)]
pub struct Run {
    /// The manifest, or an image made before; without one, give a program after --
    pub manifest: Option<PathBuf>,
    /// Add a Debian package and what it depends on
    #[arg(long, value_name = "PACKAGE")]
    pub deb: Vec<String>,
    /// Add a file of this host
    #[arg(long, value_name = "HOST:GUEST")]
    pub file: Vec<String>,
    /// Add a directory of this host
    #[arg(long, value_name = "HOST:GUEST")]
    pub dir: Vec<String>,
    /// Set a variable of the program's environment
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Memory of the machine, such as 64M
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<String>,
    /// Processors of the machine
    #[arg(long, value_name = "N")]
    pub cpus: Option<u32>,
    /// The machine model
    #[arg(long, value_name = "MODEL")]
    pub machine: Option<MachineModel>,
    /// Stop after so many seconds, with status 124
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Write the manifest that this command line equals
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Show the program's system calls
    #[arg(long)]
    pub strace: bool,
    /// Wait for a debugger before the first instruction
    #[arg(long)]
    pub gdb: bool,
    /// End a server after so many milliseconds, or when it (`call`) or another was called N times
    #[arg(long, value_name = "SERVER@MS|SERVER@call:N|SERVER@OTHER:N")]
    pub end: Vec<String>,
    /// Keep a server from hearing which pages of mapped files it is to bring
    #[arg(long, value_name = "SERVER")]
    pub deaf: Vec<String>,
    /// The program and its arguments; with a manifest, more arguments
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub words: Vec<String>,
}

/// `kiln trace`
#[derive(Debug, Args)]
#[command(
    after_help = "The trace is a JSON file in the format of Chrome's trace events: open it at \
    ui.perfetto.dev or in chrome://tracing.\n\nEvents: all, none, or names between commas: calls, \
    kernel-calls, switches, faults, interrupts, messages, processes, user, objects.\n\n\
    Everything else is as with `kiln run`."
)]
pub struct Trace {
    /// Where to write the trace [default: NAME.trace.json, beside the manifest if there is one]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which events to note
    #[arg(long, value_name = "NAMES", default_value = "all")]
    pub events: String,
    /// Room for events of each process on each processor [default: 256K]
    #[arg(long, value_name = "SIZE")]
    pub ring: Option<String>,
    /// What to run
    #[command(flatten)]
    pub run: Run,
}

/// `kiln top`
#[derive(Debug, Args)]
#[command(
    after_help = "The program's own output is dropped, and its input has ended.\n\n\
    time: share of a processor; memory: what only the process uses; calls, served: between \
    processes; kernel: calls to the kernel's objects.\n\nWith --methods: how often each method was \
    called, how many of these calls failed, how long one took, and for which share of the time somebody \
    was in it. Calls and waits within it count. The fifteen with most time are shown, with --json all."
)]
pub struct Top {
    /// Print one JSON object per line
    #[arg(long)]
    pub json: bool,
    /// Show one picture, after the interval or when the machine ends, and stop the machine
    #[arg(long)]
    pub once: bool,
    /// Show the busiest methods, too, for which the machine notes its calls
    #[arg(long)]
    pub methods: bool,
    /// Time between two pictures
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub interval: f64,
    /// What to run
    #[command(flatten)]
    pub run: Run,
}

/// `kiln inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    /// A manifest, or an image made before
    pub subject: PathBuf,
    /// Print JSON
    #[arg(long, conflicts_with = "dot")]
    pub json: bool,
    /// Print the dependency graph for Graphviz
    #[arg(long)]
    pub dot: bool,
}

/// `kiln interfaces`
#[derive(Debug, Args)]
#[command(
    after_help = "A method is shown with its number, its arguments, its result and the right that a \
    caller's reference must carry. The hash is what both ends of a call have in common."
)]
pub struct Interfaces {
    /// Show those with this in their names, with their documentation
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `kiln export`
#[derive(Debug, Args)]
pub struct Export {
    /// The manifest
    pub manifest: PathBuf,
    /// The form
    #[arg(long, value_name = "FORM")]
    pub to: Form,
    /// Where to write it [default: NAME.FORM beside the manifest]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The forms in which an image can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The image itself: for multiboot loaders, `qemu -kernel` and PVH
    Elf,
    /// A CD image that boots with GRUB, by BIOS and by UEFI
    Iso,
}

/// Does what the process's command line asks for.
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            let failed = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if failed { KILN_FAILED } else { 0 });
        }
    };
    let progress = Progress::new(command_line.verbose);
    let done = match command_line.command {
        Command::New(new) => commands::new(&new).map(|()| 0),
        Command::Build(build) => commands::build(&build, progress).map(|()| 0),
        Command::Run(run) => commands::run(&run, progress),
        Command::Trace(trace) => commands::trace(&trace, progress),
        Command::Top(top) => commands::top(&top, progress),
        Command::Interfaces(interfaces) => commands::interfaces(&interfaces).map(|()| 0),
        Command::Inspect(inspect) => commands::inspect(&inspect, progress).map(|()| 0),
        Command::Export(export) => commands::export(&export, progress).map(|()| 0),
        Command::Completions { shell } => commands::completions(shell).map(|()| 0),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::from(KILN_FAILED)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    fn run(words: &[&str]) -> Run {
        let words = ["kiln", "run"].iter().chain(words);
        match CommandLine::try_parse_from(words).unwrap().command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_program_and_its_options_come_after_two_dashes() {
        let run = run(&[
            "--deb", "python3", "--mem", "1G", "--", "python3", "-c", "1", "--mem",
        ]);
        assert_eq!(run.manifest, None);
        assert_eq!(run.deb, ["python3"]);
        assert_eq!(run.words, ["python3", "-c", "1", "--mem"]);
    }

    #[test]
    fn a_manifest_takes_more_arguments() {
        let run = run(&["m.toml", "--timeout", "2.5", "--", "-x"]);
        assert_eq!(run.manifest, Some("m.toml".into()));
        assert_eq!(run.timeout, Some(2.5));
        assert_eq!(run.words, ["-x"]);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for words in [
            &["kiln", "run", "--machine", "vax", "--", "x"][..],
            &["kiln", "export", "m.toml", "--to", "floppy"],
            &["kiln", "inspect", "m.toml", "--json", "--dot"],
            &["kiln", "bake"],
        ] {
            assert!(CommandLine::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
