//! The first processes: the servers that the image names, then the program.
//!
//! Grants come from the image's configuration: who may bind to whom is decided when the image is
//! made, and each process learns only its own part.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_image_format::{Component, ImageTable, Kind};
use kiln_object::configuration::{Configuration, key};
use kiln_object::layout::{MAIN_STACK_TOP, ROOT_BASE};
use kiln_object::startup::{
    ClientEntry, InitialObject, KernelInformation, STARTUP_MAGIC, ServerEntry, Startup,
};
use kiln_object::{Dispatch, Error, ObjectName, ProcessId, RawReference, Rights};
use zerocopy::FromZeros;

use super::{Process, load};
use crate::call::activation::Entry;
use crate::memory::cache::Cache;
use crate::memory::frames::{self, Frame};
use crate::object;
use crate::power::{self, ExitStatus};
use crate::schedule;

/// Raw identity of the process that is told about console input.
static CONSOLE_OWNER: AtomicU64 = AtomicU64::new(0);

/// The process that is told about console input, while it lives.
#[must_use]
pub fn console_owner() -> Option<&'static Process> {
    super::find(ProcessId::from_raw(CONSOLE_OWNER.load(Ordering::Acquire)))
}

/// The image as it lies in memory.
struct Image<'a> {
    table: ImageTable<'a>,
    physical: u64,
    configuration: Cache,
    records: Configuration<'a>,
    root: Cache,
    information: Frame,
    command_line: &'a [u8],
}

/// Starts the servers and the program, and runs them; what is wrong with the image ends the
/// machine with a message.
pub fn start() -> ! {
    schedule::prepare();
    match prepare() {
        Ok(()) => schedule::start(),
        Err(problem) => {
            crate::error!("the image cannot be started: {problem}");
            power::off(ExitStatus::Panic)
        }
    }
}

#[derive(Debug)]
enum Problem {
    NoTable,
    NoConfiguration,
    NoPersonality,
    NoComponent(String),
    Refused(String, Error),
    NoMemory,
}

impl core::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Problem::NoTable => write!(formatter, "its table is missing or damaged"),
            Problem::NoConfiguration => write!(formatter, "it has no configuration"),
            Problem::NoPersonality => write!(formatter, "its configuration names no personality"),
            Problem::NoComponent(name) => write!(formatter, "it has no component \"{name}\""),
            Problem::Refused(name, error) => {
                write!(formatter, "{name} could not be loaded: {error}")
            }
            Problem::NoMemory => write!(formatter, "there is too little memory"),
        }
    }
}

fn prepare() -> Result<(), Problem> {
    let boot = crate::boot::information();
    let physical = boot.image_start();
    let bytes = crate::image::bytes();
    let table = crate::image::table().ok_or(Problem::NoTable)?;
    let blob = |kind| {
        let segment = table.first(kind)?.segments.next()?;
        let cache = Cache::new(physical + segment.image_offset, segment.file_bytes);
        Some((cache, segment.bytes(bytes)?))
    };
    let (configuration, records) = blob(Kind::Config).ok_or(Problem::NoConfiguration)?;
    let root = blob(Kind::Root).map_or(Cache::new(physical, 0), |(cache, _)| cache);
    let image = Image {
        table,
        physical,
        configuration,
        records: Configuration::new(records),
        root,
        information: information_page().ok_or(Problem::NoMemory)?,
        command_line: boot.command_line(),
    };
    image.start_all()
}

/// Makes the page that tells all processes the time.
fn information_page() -> Option<Frame> {
    let frame = frames::allocate_zeroed()?;
    // SAFETY: the frame is fresh, page-aligned, zeroed, never freed, and all fields are atomic.
    let information: &'static KernelInformation =
        unsafe { &*frame.pointer().cast::<KernelInformation>() };
    crate::time::publish(information);
    let cpus = crate::firmware::machine().processors().len().max(1) as u64;
    information.cpus_online.store(cpus, Ordering::Relaxed);
    let features = crate::processor::features();
    information.features.store(
        u64::from(features.contains(crate::processor::Features::FSGSBASE)),
        Ordering::Relaxed,
    );
    frames::publish(information);
    Some(frame)
}

impl Image<'_> {
    fn component(&self, name: &str) -> Result<Component<'_>, Problem> {
        self.table
            .named(name)
            .ok_or_else(|| Problem::NoComponent(name.into()))
    }

    fn start_all(&self) -> Result<(), Problem> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut names: Vec<String> = self.records.values(key::SERVER).map(text).collect();
        let personality = self
            .records
            .value(key::PERSONALITY)
            .ok_or(Problem::NoPersonality)?;
        names.push(text(personality));
        let program = names.len() - 1;
        let mut processes: Vec<(&'static Process, Component<'_>)> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let component = self.component(name)?;
            let process = Process::create(name.clone(), index == program)
                .map_err(|error| Problem::Refused(name.clone(), error))?;
            processes.push((process, component));
        }
        for (process, component) in &processes {
            self.furnish(process, component, &processes)
                .map_err(|error| Problem::Refused(process.name().into(), error))?;
        }
        Ok(())
    }

    fn furnish(
        &self,
        process: &'static Process,
        component: &Component<'_>,
        all: &[(&'static Process, Component<'_>)],
    ) -> Result<(), Error> {
        // The program lies in the personality's process.
        let program = self
            .table
            .first(Kind::Program)
            .map(|program| program.segments);
        let program = program
            .into_iter()
            .flatten()
            .take_while(|_| process.is_program());
        let segments = component.segments.chain(program);
        load::memory(process, segments, self.physical, self.information)?;
        load::configuration(process, self.configuration)?;
        let mut startup = Startup::new_zeroed();
        startup.magic = STARTUP_MAGIC;
        startup.process = process.id();
        startup.cpus = crate::firmware::machine().processors().len().max(1) as u64;
        startup.configuration_bytes = self.configuration.length();
        startup.memory_bytes = frames::total_bytes();
        for (to, from) in startup
            .command_line
            .iter_mut()
            .zip(self.command_line.iter().take(511))
        {
            *to = *from;
        }
        self.grant(&mut startup, process, all);
        let serves_root = process.name() == "image_root";
        if serves_root {
            load::show(process, ROOT_BASE, self.root)?;
            startup.root_bytes = self.root.length();
        }
        give(
            &mut startup,
            process,
            InitialObject::AddressSpace,
            object::address_space(process),
        )?;
        give(
            &mut startup,
            process,
            InitialObject::Process,
            object::process(process),
        )?;
        give(
            &mut startup,
            process,
            InitialObject::Log,
            object::log(process),
        )?;
        give(
            &mut startup,
            process,
            InitialObject::Random,
            object::random(),
        )?;
        if serves_root {
            give(
                &mut startup,
                process,
                InitialObject::RootPages,
                object::file_cache(self.root),
            )?;
        }
        if process.is_program() {
            give(
                &mut startup,
                process,
                InitialObject::Console,
                object::console(),
            )?;
            give(
                &mut startup,
                process,
                InitialObject::Machine,
                object::machine(),
            )?;
            give(&mut startup, process, InitialObject::Clock, object::clock())?;
            CONSOLE_OWNER.store(process.id().raw(), Ordering::Release);
        }
        load::startup(process, &startup)?;
        let entry = Entry {
            address: component.entry,
            stack: MAIN_STACK_TOP,
            argument: 0,
        };
        schedule::start_activation(process, self.first_cpu(process), entry)
    }

    /// The CPU on which the process starts: what the image says, if the machine has it.
    fn first_cpu(&self, process: &Process) -> u32 {
        let cpus = crate::firmware::machine().processors().len().max(1);
        let named = self.records.values(key::CPU).find_map(|record| {
            let mut parts = record.splitn(2, |byte| *byte == 0);
            let (name, cpu) = (parts.next()?, parts.next()?);
            let cpu = core::str::from_utf8(cpu).ok()?.parse::<u32>().ok()?;
            (name == process.name().as_bytes()).then_some(cpu)
        });
        match named {
            Some(cpu) if (cpu as usize) < cpus => cpu,
            Some(cpu) => {
                crate::error!(
                    "{} is to start on CPU {cpu}, which this machine does not have: it starts on CPU 0",
                    process.name()
                );
                0
            }
            None => 0,
        }
    }

    /// Fills in whom the process may bind to, and who may bind to it.
    fn grant(
        &self,
        startup: &mut Startup,
        process: &Process,
        all: &[(&'static Process, Component<'_>)],
    ) {
        let named = |name: &[u8]| {
            all.iter()
                .map(|(other, _)| *other)
                .find(|other| other.name().as_bytes() == name)
        };
        let mut servers = startup.servers.iter_mut();
        let mut clients = startup.clients.iter_mut();
        for grant in self.records.values(key::GRANT) {
            let mut parts = grant.split(|byte| *byte == 0);
            let (Some(server), Some(client)) = (parts.next(), parts.next()) else {
                continue;
            };
            let rights = parts
                .next()
                .and_then(|text| core::str::from_utf8(text).ok())
                .and_then(|text| text.parse::<u32>().ok())
                .unwrap_or(Rights::ALL.bits());
            if client == process.name().as_bytes()
                && let Some(server_process) = named(server)
                && let Some(entry) = servers.next()
            {
                *entry = ServerEntry {
                    name: padded(server),
                    process: server_process.id(),
                };
            }
            if server == process.name().as_bytes()
                && let Some(client_process) = named(client)
                && let Some(entry) = clients.next()
            {
                *entry = ClientEntry {
                    process: client_process.id(),
                    rights: u64::from(rights),
                };
            }
        }
    }
}

fn padded(name: &[u8]) -> [u8; 24] {
    let mut padded = [0; 24];
    for (to, from) in padded.iter_mut().zip(name) {
        *to = *from;
    }
    padded
}

fn give(
    startup: &mut Startup,
    process: &'static Process,
    place: InitialObject,
    object: Arc<dyn Dispatch>,
) -> Result<(), Error> {
    let name: ObjectName = process
        .objects
        .insert(object, Rights::ALL, &process.share)?;
    if let Some(slot) = startup.objects.get_mut(place as usize) {
        *slot = RawReference {
            process: ProcessId::KERNEL,
            object: name,
        };
    }
    Ok(())
}

const _: () = assert!(MAIN_STACK_TOP.is_multiple_of(16));
