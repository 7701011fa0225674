//! Loads programs: the first one, and those that take its place.
//!
//! The configuration says which is the first; a path that leads to a `#!` script is followed to its
//! interpreter. Whatever is wrong with the file is said on the log, and the image ends with the
//! status that a shell would give: 127 if there is no such file, 126 if it cannot be run.

mod execute;
mod image;
mod laid_out;
pub mod plan;
pub mod script;
mod start;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use kiln_linux_start::laid_out::Pieces;
use kiln_linux_start::{Content, InitialStack, LaidOut, Strings};
use kiln_object::configuration::key;

pub use execute::{execve, execveat};
pub use start::STACK_GAP;

use crate::LINUX;
use crate::entry::start::start_program;
use crate::errno::Errno;
use crate::files::{self, Readable, files as open_files};
use crate::memory::STACK_NAME;
use crate::process::exit_image;
use image::Image;
use plan::Refusal;
use script::BadScript;
use start::{Placed, Randomness};

/// Why the program cannot be started.
#[derive(Debug)]
enum Failure {
    /// The file cannot be opened.
    Open(Errno),
    /// The file cannot be read.
    Read(Errno),
    /// The file is none that can be run.
    Refused(Refusal),
    /// A script whose interpreter cannot be made out.
    Script(BadScript),
    /// Scripts run scripts, more than [`script::DEPTH`] deep.
    TooDeep,
    /// A file that this one needs: its path, and what is wrong with it.
    Interpreter(Vec<u8>, Errno),
    /// The interpreter is there but cannot be run.
    InterpreterRefused(Vec<u8>, Refusal),
    /// Memory for it cannot be mapped.
    Map(Errno),
    /// Arguments and environment are too large.
    Arguments,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

impl Failure {
    /// What `execve` answers.
    fn errno(&self) -> Errno {
        match self {
            Failure::Open(errno) | Failure::Read(errno) | Failure::Map(errno) => *errno,
            Failure::Interpreter(_, errno) => *errno,
            Failure::Refused(_) | Failure::Script(_) => Errno::ENOEXEC,
            Failure::InterpreterRefused(..) => Errno::ELIBBAD,
            Failure::TooDeep => Errno::ELOOP,
            Failure::Arguments => Errno::E2BIG,
        }
    }

    /// What a shell would exit with.
    fn status(&self) -> u32 {
        match self {
            Failure::Open(Errno::ENOENT | Errno::ENOTDIR) | Failure::Interpreter(..) => 127,
            _ => 126,
        }
    }

    fn text(&self) -> String {
        let show = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        match self {
            Failure::Open(Errno::ENOENT | Errno::ENOTDIR) => {
                String::from("not found in the image's root file system")
            }
            Failure::Open(Errno::EACCES) => {
                String::from("not an executable file: it is no regular file or has no execute bit")
            }
            Failure::Open(errno) => alloc::format!("cannot be opened: {errno}"),
            Failure::Read(errno) => alloc::format!("cannot be read: {errno}"),
            Failure::Refused(refusal) => alloc::format!("{refusal}"),
            Failure::Script(BadScript::NoInterpreter) => {
                String::from("the #! line of this script names no interpreter")
            }
            Failure::Script(BadScript::LineTooLong) => alloc::format!(
                "the #! line of this script is longer than {} bytes",
                script::LINE_BYTES
            ),
            Failure::TooDeep => {
                alloc::format!("more than {} scripts interpret each other", script::DEPTH)
            }
            Failure::Interpreter(path, errno) => alloc::format!(
                "missing interpreter {}: {}",
                show(path),
                if *errno == Errno::ENOENT {
                    "not found in the image's root file system"
                } else {
                    errno.text()
                }
            ),
            Failure::InterpreterRefused(path, refusal) => {
                alloc::format!("its interpreter {} cannot be run: {refusal}", show(path))
            }
            Failure::Map(Errno::ENOMEM) => {
                String::from("there is not enough memory or address space to load it")
            }
            Failure::Map(errno) => alloc::format!("cannot be mapped: {errno}"),
            Failure::Arguments => String::from("its arguments and environment are too large"),
        }
    }
}

/// What the configuration says of a program that is to be found and loaded.
pub struct Wanted {
    path: Option<&'static [u8]>,
    directory: &'static [u8],
    arguments: Strings,
    environment: Strings,
    traced: bool,
}

impl Wanted {
    /// Reads the configuration, once from end to end.
    fn read() -> Self {
        let room = kiln_runtime::startup().configuration_bytes as usize;
        let mut wanted = Self {
            path: None,
            directory: b"/",
            arguments: Strings::with_room(room),
            environment: Strings::with_room(room),
            traced: false,
        };
        for record in kiln_runtime::configuration().records() {
            if record.is(key::PROGRAM_ARGUMENT) {
                wanted.arguments.push(record.value);
            } else if record.is(key::PROGRAM_ENVIRONMENT) {
                wanted.environment.push(record.value);
            } else if record.is(key::PROGRAM_PATH) {
                wanted.path = Some(record.value);
            } else if record.is(key::PROGRAM_DIRECTORY) {
                wanted.directory = record.value;
            } else if record.is(key::TRACE_SYSTEM_CALLS) {
                wanted.traced = record.value == b"1";
            }
        }
        wanted
    }
}

/// What the image's configuration says of the first program.
pub enum First {
    /// It is in the process already.
    LaidOut(LaidOut, Pieces<'static>),
    /// It is to be found and loaded.
    Wanted(Wanted),
}

impl First {
    /// Reads the configuration.
    #[must_use]
    pub fn read() -> Self {
        let laid_out = kiln_runtime::configuration().first(key::PROGRAM_LAID_OUT);
        match laid_out.and_then(LaidOut::parse) {
            Some((program, pieces)) => Self::LaidOut(program, pieces),
            None => Self::Wanted(Wanted::read()),
        }
    }

    /// Whether system calls are to be reported.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        match self {
            Self::LaidOut(program, _) => program.traced != 0,
            Self::Wanted(wanted) => wanted.traced,
        }
    }

    fn directory(&self) -> &'static [u8] {
        match self {
            Self::LaidOut(_, pieces) => pieces.directory,
            Self::Wanted(wanted) => wanted.directory,
        }
    }

    /// Starts it; ends the image if that cannot be.
    pub fn start(&self) -> ! {
        let directory = self.directory();
        LINUX
            .terminal
            .initialise(kiln_runtime::startup().command_line());
        if let Err(errno) = files::initialise(open_files(), &LINUX.terminal, directory) {
            kiln_runtime::log_line!(
                "working directory {}: {errno}",
                String::from_utf8_lossy(directory)
            );
            exit_image(126);
        }
        let (path, loaded) = match self {
            Self::LaidOut(program, pieces) => (pieces.path, laid_out::complete(program, pieces)),
            Self::Wanted(wanted) => wanted.load(),
        };
        match loaded {
            Ok((entry, stack)) => start_program(entry, stack),
            Err(failure) => {
                kiln_runtime::log_line!("{}: {}", String::from_utf8_lossy(path), failure.text());
                exit_image(failure.status())
            }
        }
    }
}

/// Where a program starts, and its stack pointer.
type Loaded = Result<(u64, u64), Failure>;

impl Wanted {
    /// Loads the program; answers its path, too. Ends the image if there is none.
    fn load(&self) -> (&'static [u8], Loaded) {
        let Some(path) = self.path else {
            kiln_runtime::log_line!("the image's configuration names no program");
            exit_image(127);
        };
        let mut arguments = self.arguments.clone();
        if arguments.count() == 0 {
            arguments.push(path);
        }
        let (environment, random) = (self.environment.clone(), Randomness::of_first_program());
        let loaded = Prepared::find(path, arguments, environment, random).and_then(Prepared::map);
        (path, loaded)
    }
}

/// A program whose files were opened and looked at; nothing is mapped yet.
struct Prepared<'a> {
    /// The path that was asked for.
    path: &'a [u8],
    /// The absolute path of the file.
    executable: Vec<u8>,
    arguments: Strings,
    environment: Strings,
    /// What its layout is drawn from.
    random: Randomness,
    file: Readable,
    program: Image,
    interpreter: Option<(Readable, Vec<u8>, Image)>,
}

impl<'a> Prepared<'a> {
    fn find(
        path: &'a [u8],
        mut arguments: Strings,
        environment: Strings,
        random: Randomness,
    ) -> Result<Self, Failure> {
        let (file, executable, start) = find_program(path, &mut arguments)?;
        let program = Image::prepare(&file, start)?;
        let interpreter = match &program.interpreter {
            Some(path) => {
                let wrong = |errno| Failure::Interpreter(path.clone(), errno);
                let (file, full_path) = files::open_program(path).map_err(wrong)?;
                let start = image::read_start(&file).map_err(wrong)?;
                let image = Image::prepare(&file, start).map_err(|failure| match failure {
                    Failure::Refused(refusal) => Failure::InterpreterRefused(path.clone(), refusal),
                    other => other,
                })?;
                Some((file, full_path, image))
            }
            None => None,
        };
        let prepared = Self {
            path,
            executable,
            arguments,
            environment,
            random,
            file,
            program,
            interpreter,
        };
        // Whether it fits on a stack does not depend on where it comes to lie.
        let content = prepared.content(0, 0);
        content.words().map_err(|_| Failure::Arguments)?;
        Ok(prepared)
    }

    /// What the program moved by `bias` is started with, its interpreter lying at `interpreter_base`.
    fn content(&self, bias: u64, interpreter_base: u64) -> Content<'_> {
        let plan = &self.program.plan;
        Content {
            arguments: &self.arguments,
            environment: &self.environment,
            file_name: self.path,
            table_address: match plan.table_address {
                0 => 0,
                address => address.wrapping_add(bias),
            },
            table_entries: plan.table_entries as u64,
            interpreter_base,
            entry: plan.entry.wrapping_add(bias),
        }
    }

    /// Maps everything in an address space without a program; answers where it starts and its stack
    /// pointer.
    fn map(self) -> Loaded {
        let random = &self.random;
        let stack_top = random.stack_top();
        let preferred = random.program();
        let plan = &self.program.plan;
        let bias = self
            .program
            .place(&self.file, &self.executable, Some(preferred))
            .map_err(Failure::Map)?;
        let mut entry = plan.entry.wrapping_add(bias);
        let mut interpreter_base = 0;
        if let Some((file, path, image)) = &self.interpreter {
            let bias = image.place(file, path, None).map_err(Failure::Map)?;
            interpreter_base = image.plan.extent().0.wrapping_add(bias);
            entry = image.plan.entry.wrapping_add(bias);
        }
        let content = self.content(bias, interpreter_base);
        let stack = InitialStack::make(&content).map_err(|_| Failure::Arguments)?;
        let placed = Placed {
            end: plan.extent().1.wrapping_add(bias),
            executable: Cow::Owned(self.executable),
            stack,
        };
        let (pointer, pages) = placed.finish(stack_top, random)?;
        LINUX.memory.names.lock().insert(pages, STACK_NAME);
        Ok((entry, pointer))
    }
}

/// Follows scripts to a program; `arguments` become what the program gets. Answers the file, its
/// absolute path and its first bytes.
fn find_program(
    path: &[u8],
    arguments: &mut Strings,
) -> Result<(Readable, Vec<u8>, Vec<u8>), Failure> {
    let mut path = path.to_vec();
    for depth in 0..=script::DEPTH {
        let opened = files::open_program(&path);
        let (file, full_path) = match (opened, depth) {
            (Ok(opened), _) => opened,
            (Err(errno), 0) => return Err(Failure::Open(errno)),
            (Err(errno), _) => return Err(Failure::Interpreter(path, errno)),
        };
        let start = image::read_start(&file).map_err(Failure::Read)?;
        let Some(script) = script::parse(&start) else {
            return Ok((file, full_path, start));
        };
        let script = script.map_err(Failure::Script)?;
        let part = |range: core::ops::Range<usize>| start.get(range).unwrap_or_default();
        let interpreter = part(script.interpreter);
        // The script's path takes the place of its name, behind the interpreter and its argument.
        let mut all = Strings::default();
        all.push(interpreter);
        if let Some(argument) = script.argument {
            all.push(part(argument));
        }
        all.push(&path);
        all.push_rest(arguments);
        *arguments = all;
        path = interpreter.to_vec();
    }
    Err(Failure::TooDeep)
}
