//! Loads programs: the first one, and those that take its place.
//!
//! The configuration says which is the first; a path that leads to a `#!` script is followed to its
//! interpreter. Whatever is wrong with the file is said on the log, and the image ends with the
//! status that a shell would give: 127 if there is no such file, 126 if it cannot be run.

mod execute;
mod image;
pub mod plan;
pub mod script;
pub mod stack;

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_object::configuration::key;
use kiln_object::layout::{PAGE_BYTES, USER_END};
use linux_raw_sys::auxvec;

pub use execute::{execve, execveat};

use crate::entry::start::start_program;
use crate::errno::Errno;
use crate::files::{self, Readable, files as open_files};
use crate::memory::{Break, Range};
use crate::process::{self, STACK_BYTES, exit_image, has_fsgsbase};
use crate::{LINUX, program_memory, time};
use image::Image;
use plan::Refusal;
use script::BadScript;

/// Bytes below the stack that are kept free, so that running over its end is a fault.
pub const STACK_GAP: u64 = 1 << 20;

/// Distance of mappings from the top of the stack, as Linux keeps it at the least.
const STACK_RESERVE: u64 = 128 << 20;

/// Randomness of the stack's top (16 GiB, as Linux) and of the mappings below it.
const STACK_SPREAD: u64 = 1 << 34;
const MAPPING_SPREAD: u64 = 1 << 40;

/// Where a program that may lie anywhere is put at the least, as Linux does.
const PROGRAM_BASE: u64 = 0x5555_5555_4000;
const PROGRAM_SPREAD: u64 = 1 << 40;

/// Randomness of the heap's start behind the program.
const BREAK_SPREAD: u64 = 1 << 25;

/// Entries that [`auxiliary_vector`] makes.
const AUXILIARY_ENTRIES: usize = 17;

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

/// Starts what the configuration names; ends the image if that cannot be.
pub fn run_first_program() -> ! {
    let configuration = kiln_runtime::configuration();
    let startup = kiln_runtime::startup();
    LINUX.terminal.initialise(startup.command_line());
    let directory = configuration.value(key::PROGRAM_DIRECTORY).unwrap_or(b"/");
    if let Err(errno) = files::initialise(open_files(), &LINUX.terminal, directory) {
        kiln_runtime::log_line!(
            "working directory {}: {errno}",
            String::from_utf8_lossy(directory)
        );
        exit_image(126);
    }
    let Some(path) = configuration.value(key::PROGRAM_PATH) else {
        kiln_runtime::log_line!("the image's configuration names no program");
        exit_image(127);
    };
    let mut arguments: Vec<Vec<u8>> = configuration
        .values(key::PROGRAM_ARGUMENT)
        .map(<[u8]>::to_vec)
        .collect();
    if arguments.is_empty() {
        arguments.push(path.to_vec());
    }
    let environment: Vec<Vec<u8>> = configuration
        .values(key::PROGRAM_ENVIRONMENT)
        .map(<[u8]>::to_vec)
        .collect();
    let loaded = Prepared::find(path, arguments, environment).and_then(Prepared::map);
    match loaded {
        Ok((entry, stack)) => start_program(entry, stack),
        Err(failure) => {
            kiln_runtime::log_line!("{}: {}", String::from_utf8_lossy(path), failure.text());
            exit_image(failure.status())
        }
    }
}

/// A program whose files were opened and looked at; nothing is mapped yet.
struct Prepared {
    /// The path that was asked for.
    path: Vec<u8>,
    file: Readable,
    /// Absolute path of `file`.
    executable: Vec<u8>,
    program: Image,
    interpreter: Option<(Readable, Vec<u8>, Image)>,
    arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
    random: Randomness,
}

impl Prepared {
    fn find(
        path: &[u8],
        mut arguments: Vec<Vec<u8>>,
        environment: Vec<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let random = Randomness::draw().map_err(Failure::Map)?;
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
            path: path.to_vec(),
            file,
            executable,
            program,
            interpreter,
            arguments,
            environment,
            random,
        };
        // Whether the stack is too large does not depend on where it is.
        prepared.stack(USER_END, &[(0, 0); AUXILIARY_ENTRIES])?;
        Ok(prepared)
    }

    fn stack(&self, top: u64, auxiliary: &[(u64, u64)]) -> Result<stack::InitialStack, Failure> {
        let content = stack::Content {
            arguments: &self.arguments,
            environment: &self.environment,
            file_name: &self.path,
            random: self.random.key,
            platform: b"x86_64",
            auxiliary,
        };
        stack::lay_out(&content, top).map_err(|_| Failure::Arguments)
    }

    /// Maps everything in an address space without a program; answers where it starts and its stack
    /// pointer.
    fn map(self) -> Result<(u64, u64), Failure> {
        let random = &self.random;
        let stack_top = (USER_END - random.below(0, STACK_SPREAD)) & !15;
        let ceiling = stack_top - STACK_BYTES - STACK_RESERVE - random.below(1, MAPPING_SPREAD);
        *LINUX.memory.ceiling.lock() = ceiling & !(PAGE_BYTES - 1);
        let preferred = PROGRAM_BASE + random.below(2, PROGRAM_SPREAD);
        let program_bias = self
            .program
            .place(&self.file, &self.executable, Some(preferred))
            .map_err(Failure::Map)?;
        let program_entry = self.program.plan.entry.wrapping_add(program_bias);
        let mut entry = program_entry;
        let mut interpreter_base = 0;
        if let Some((file, path, image)) = &self.interpreter {
            let bias = image.place(file, path, None).map_err(Failure::Map)?;
            interpreter_base = image.plan.extent().0.wrapping_add(bias);
            entry = image.plan.entry.wrapping_add(bias);
        }
        let (_, program_end) = self.program.plan.extent();
        let break_start = program_end.wrapping_add(program_bias) + random.below(3, BREAK_SPREAD);
        *LINUX.memory.program_break.lock() = Break::at(break_start & !(PAGE_BYTES - 1));

        map_stack(stack_top.next_multiple_of(PAGE_BYTES))?;
        let table = match self.program.plan.table_address {
            0 => 0,
            address => address.wrapping_add(program_bias),
        };
        let auxiliary = auxiliary_vector(&self.program, table, interpreter_base, program_entry);
        let initial = self.stack(stack_top, &auxiliary)?;
        program_memory::copy_out(initial.pointer, &initial.bytes).map_err(Failure::Map)?;
        remember(
            self.executable,
            &self.arguments,
            &self.environment,
            &initial,
        );
        Ok((entry, initial.pointer))
    }
}

/// Follows scripts to a program; `arguments` become what the program gets. Answers the file, its
/// absolute path and its first bytes.
fn find_program(
    path: &[u8],
    arguments: &mut Vec<Vec<u8>>,
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
        let part = |range: core::ops::Range<usize>| start.get(range).unwrap_or_default().to_vec();
        let interpreter: Vec<u8> = part(script.interpreter);
        // The script's path takes the place of its name, behind the interpreter and its argument.
        let mut before = Vec::from([interpreter.clone()]);
        before.extend(script.argument.map(part));
        before.push(core::mem::replace(&mut path, interpreter));
        arguments.splice(0..1.min(arguments.len()), before);
    }
    Err(Failure::TooDeep)
}

/// Random numbers for the layout, drawn at once.
struct Randomness {
    offsets: [u64; 4],
    key: [u8; 16],
}

impl Randomness {
    fn draw() -> Result<Self, Errno> {
        let mut bytes = [0; 48];
        process::random_bytes(&mut bytes)?;
        let (words, key) = bytes.split_at(32);
        let mut drawn = Self {
            offsets: [0; 4],
            key: [0; 16],
        };
        drawn.key.copy_from_slice(key);
        for (offset, word) in drawn.offsets.iter_mut().zip(words.as_chunks::<8>().0) {
            *offset = u64::from_le_bytes(*word);
        }
        Ok(drawn)
    }

    /// The `n`-th offset: below `spread`, a power of two, in steps of 16 bytes.
    fn below(&self, n: usize, spread: u64) -> u64 {
        self.offsets.get(n).copied().unwrap_or(0) & (spread - 1) & !15
    }
}

fn map_stack(top: u64) -> Result<(), Failure> {
    let space = kiln_runtime::address_space();
    let bottom = top - STACK_BYTES;
    let protection = Protection::READ | Protection::WRITE;
    space
        .map_anonymous(
            bottom,
            STACK_BYTES,
            protection.bits(),
            MapFlags::EXACT.bits(),
        )
        .map_err(|error| Failure::Map(error.into()))?;
    LINUX.memory.stack_bottom.store(bottom, Relaxed);
    let range = Range {
        start: bottom,
        length: STACK_BYTES,
    };
    LINUX.memory.names.lock().insert(range, b"[stack]");
    Ok(())
}

fn auxiliary_vector(
    program: &Image,
    table: u64,
    interpreter_base: u64,
    program_entry: u64,
) -> [(u64, u64); AUXILIARY_ENTRIES] {
    use core::arch::x86_64::__cpuid;
    /// `AT_HWCAP2`: FSGSBASE may be used in user mode.
    const HWCAP2_FSGSBASE: u64 = 2;
    // While system calls are traced, clocks are read by them.
    let shared_object = match crate::entry::TRACING.load(Relaxed) {
        true => (auxvec::AT_IGNORE, 0),
        false => (auxvec::AT_SYSINFO_EHDR, crate::entry::vdso::range().start),
    };
    [
        shared_object,
        (auxvec::AT_HWCAP, u64::from(__cpuid(1).edx)),
        (auxvec::AT_PAGESZ, PAGE_BYTES),
        (auxvec::AT_CLKTCK, time::TICKS_PER_SECOND),
        (auxvec::AT_PHDR, table),
        (auxvec::AT_PHENT, plan::PROGRAM_HEADER_BYTES as u64),
        (auxvec::AT_PHNUM, program.plan.table_entries as u64),
        (auxvec::AT_BASE, interpreter_base),
        (auxvec::AT_FLAGS, 0),
        (auxvec::AT_ENTRY, program_entry),
        (auxvec::AT_UID, u64::from(process::identity::USER)),
        (auxvec::AT_EUID, u64::from(process::identity::USER)),
        (auxvec::AT_GID, u64::from(process::identity::GROUP)),
        (auxvec::AT_EGID, u64::from(process::identity::GROUP)),
        (auxvec::AT_SECURE, 0),
        (
            auxvec::AT_HWCAP2,
            if has_fsgsbase() { HWCAP2_FSGSBASE } else { 0 },
        ),
        (auxvec::AT_MINSIGSTKSZ, crate::signal::minimum_stack_bytes()),
    ]
    .map(|(kind, value)| (u64::from(kind), value))
}

/// Keeps what `/proc/self` tells.
fn remember(
    executable: Vec<u8>,
    arguments: &[Vec<u8>],
    environment: &[Vec<u8>],
    initial: &stack::InitialStack,
) {
    let joined = |strings: &[Vec<u8>]| {
        let mut all = Vec::new();
        for string in strings {
            all.extend_from_slice(string);
            all.push(0);
        }
        all
    };
    let (address, length) = initial.auxiliary;
    let start = (address - initial.pointer) as usize;
    let mut program = open_files().program.lock();
    let name = executable
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    program.name = name.get(..15).unwrap_or(name).to_vec();
    program.arguments = joined(arguments);
    program.environment = joined(environment);
    program.auxiliary = initial
        .bytes
        .get(start..start + length)
        .unwrap_or_default()
        .to_vec();
    program.path = executable;
}
