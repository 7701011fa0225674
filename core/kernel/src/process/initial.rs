//! The first processes: the servers that the image names, then the program.
//!
//! Which processes there are, and who may bind to whom, is worked out when the image is made: the
//! configuration has a record for each, and each process learns only its own part.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_image_format::{ImageTable, Kind, LaterEntries, Segments};
use kiln_object::configuration::{Configuration, key};
use kiln_object::home::Given;
use kiln_object::layout::{MAIN_STACK_TOP, ROOT_BASE};
use kiln_object::process_record::{
    self, KERNEL, LIMITED, Name, ON_CALL, PLACED, PROGRAM, ProcessRecord, ROOT,
};
use kiln_object::startup::{
    ClientEntry, InitialObject, KernelInformation, Peer, ServerEntry, Startup,
};
use kiln_object::{Dispatch, Error, ObjectName, ProcessId, RawReference, Rights};
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U32;

use super::{Process, load, supervisor};
use crate::call::activation::Entry;
use crate::home;
use crate::memory::cache::Cache;
use crate::memory::frames::{self, Frame};
use crate::object;
use crate::power::{self, ExitStatus};
use crate::processor::PerCpu;
use crate::schedule;
use crate::schedule::domain::{self, Class, Domain};
use crate::set_once::SetOnce;

/// Raw identity of the process that is told about console input.
static CONSOLE_OWNER: AtomicU64 = AtomicU64::new(0);

/// The process that is told about console input, while it lives.
#[must_use]
pub fn console_owner() -> Option<&'static Process> {
    super::find(ProcessId::from_raw(CONSOLE_OWNER.load(Ordering::Acquire)))
}

/// The image as it lies in memory.
struct Image {
    physical: u64,
    configuration: Cache,
    records: Configuration<'static>,
    records_bytes: &'static [u8],
    root: Cache,
    root_bytes: &'static [u8],
    program: Option<Segments<'static>>,
    information: Frame,
    time: &'static KernelInformation,
    command_line: &'static [u8],
}

/// What was started, so that it can be again.
static STARTED: SetOnce<(Image, Vec<Home>)> = SetOnce::new();

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
    let table = crate::image::table().ok_or(Problem::NoTable)?;
    let (mut configuration, mut root, mut program) = (None, None, None);
    for component in table.components() {
        match component.kind {
            Kind::Config => configuration = Some(component.segments),
            Kind::Root => root = Some(component.segments),
            Kind::Program => program = Some(component.segments),
            _ => {}
        }
    }
    let (configuration, records) = blob(configuration).ok_or(Problem::NoConfiguration)?;
    let (root, root_bytes) = blob(root).unwrap_or((Cache::new(physical, 0), &[]));
    let (information, time) = information_page().ok_or(Problem::NoMemory)?;
    let homes = create_all(&table, Configuration::new(records))?;
    let image = Image {
        physical,
        configuration,
        records: Configuration::new(records),
        records_bytes: records,
        root,
        root_bytes,
        program,
        information,
        time,
        command_line: boot.command_line(),
    };
    let (image, homes) = STARTED.get_or_set((image, homes));
    supervisor::prepare_drill(image.command_line, |name| server(homes, name));
    for home in homes {
        let process = home.process;
        if home.record.is(ON_CALL) {
            process.put_on_call();
            continue;
        }
        image
            .furnish(home, homes)
            .and_then(|()| match &home.part {
                Some(part) => {
                    let cpu = image.rule(home);
                    process.begin_start();
                    schedule::start_activation(process, cpu, part.entry())
                }
                None => Ok(()),
            })
            .map_err(|error| Problem::Refused(process.name().into(), error))?;
    }
    object::announce_input();
    Ok(())
}

/// What a component that is not run consists of, and its bytes.
#[inline(never)]
fn blob(segments: Option<Segments<'_>>) -> Option<(Cache, &'static [u8])> {
    let segment = segments?.next()?;
    let physical = crate::boot::information().image_start() + segment.image_offset;
    let cache = Cache::new(physical, segment.file_bytes);
    Some((cache, segment.bytes(crate::image::bytes())?))
}

/// The process in which the server `name` lives, unless that is the kernel or the program's.
fn server(homes: &[Home], name: &str) -> Option<&'static Process> {
    let is_there = |home: &&Home| {
        let mut hosted = home.record.hosted.iter();
        let named = |hosted: &Name| process_record::trim(hosted) == name.as_bytes();
        home.part.is_some() && !home.record.is(PROGRAM) && hosted.any(named)
    };
    homes.iter().find(is_there).map(|home| home.process)
}

/// The image's configuration, and its processes.
pub(super) fn started() -> Option<(
    Configuration<'static>,
    impl Iterator<Item = &'static Process>,
)> {
    let (image, homes) = STARTED.get()?;
    Some((image.records, homes.iter().map(|home| home.process)))
}

/// Gives `process`, which is empty, what the image has for it, and lets it begin before all others on
/// its CPU.
///
/// # Errors
/// What loading and starting answer; `NotFound` for a process that is not the image's.
pub(super) fn start_again(process: &'static Process) -> Result<(), Error> {
    let (image, homes) = STARTED.get().ok_or(Error::NotFound)?;
    let same = |home: &&Home| core::ptr::eq(home.process, process);
    let home = homes.iter().find(same).ok_or(Error::NotFound)?;
    let part = home.part.as_ref().ok_or(Error::NotFound)?;
    image.furnish(home, homes)?;
    let cpu = image.rule(home);
    process.begin_start();
    schedule::start_activation_first(process, cpu, part.entry())
}

/// Makes the page that tells all processes the time.
fn information_page() -> Option<(Frame, &'static KernelInformation)> {
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
    supervisor::publish(information);
    Some((frame, information))
}

/// Makes the processes that the image names, which are empty.
fn create_all(
    table: &ImageTable<'static>,
    records: Configuration<'static>,
) -> Result<Vec<Home>, Problem> {
    let mut flags = 0;
    // Most are components.
    let mut homes = Vec::with_capacity(table.len());
    for value in records.values(key::PROCESS) {
        let record = ProcessRecord::parse(value).ok_or(Problem::NoConfiguration)?;
        let name = record.name_bytes();
        let part = match record.is(KERNEL) {
            true => None,
            false => {
                let found = table.named(name);
                let found = found.ok_or_else(|| Problem::NoComponent(record.name().into()))?;
                Some(Part {
                    entry: found.entry,
                    later: found.later,
                    segments: found.segments,
                })
            }
        };
        flags |= record.head.flags.get();
        let process = Process::create(name, record.is(PROGRAM))
            .map_err(|error| Problem::Refused(record.name().into(), error))?;
        homes.push(Home {
            process,
            part,
            record,
        });
    }
    if flags & PLACED != 0 {
        define_domains(records);
    }
    if flags & PROGRAM != 0 {
        Ok(homes)
    } else {
        Err(Problem::NoPersonality)
    }
}

/// Tells the scheduler of the image's resource domains.
fn define_domains(records: Configuration<'_>) {
    let domain = |record: &[u8]| {
        let mut words = core::str::from_utf8(record).ok()?.split('\0');
        Some(Domain {
            class: Class::from_name(words.next()?)?,
            share: words.next()?.parse().ok()?,
            limit: words.next()?.parse().ok()?,
        })
    };
    // One that makes no sense keeps its number.
    let all = records.values(key::DOMAIN);
    domain::define(all.map(|record| domain(record).unwrap_or(domain::ORDINARY)));
}

impl Image {
    fn furnish(&self, home: &Home, all: &[Home]) -> Result<(), Error> {
        let startup = load::blank_startup(home.process)?;
        self.fill(startup, home, all);
        self.give_to_all(startup, home)?;
        let process = home.process;
        let memory = object::address_space(process);
        give(startup, process, InitialObject::AddressSpace, memory)?;
        // Servers in the kernel can ask who lives; what else a process does to itself they cannot do.
        let rights = if home.part.is_some() {
            Rights::ALL
        } else {
            Rights::READ
        };
        let itself = object::process(process);
        give_with(startup, process, InitialObject::Process, itself, rights)?;
        match &home.part {
            Some(part) => self.furnish_process(home, part, startup),
            None => self.start_in_kernel(home, startup),
        }
    }

    /// Starts the servers that live in the kernel.
    fn start_in_kernel(&self, home: &Home, startup: &'static Startup) -> Result<(), Error> {
        let root = if home.serves_root() {
            self.root_bytes
        } else {
            &[]
        };
        let given = Given {
            startup: load::show_startup(home.process, startup)?,
            configuration: self.records_bytes,
            information: self.time,
            root,
            call: home::call_kernel,
            processor: PerCpu::number,
            relax: schedule::answer_flushes,
            note_object: crate::trace::wants_objects().then_some(home::note_object),
        };
        if home::start(home.process, given) {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }

    /// Puts everything into the address space of a process.
    fn furnish_process(
        &self,
        home: &Home,
        part: &Part,
        startup: &'static mut Startup,
    ) -> Result<(), Error> {
        let process = home.process;
        // The program lies in the personality's process.
        let program = self.program.filter(|_| process.is_program());
        let parts = [Some(part.segments), program];
        load::memory(process, parts, self.physical, self.information)?;
        let LaterEntries { reflected, trap } = part.later;
        process.entries.set(0, reflected, trap)?;
        load::configuration(process, self.configuration)?;
        if home.serves_root() {
            load::show(process, ROOT_BASE, self.root)?;
        }
        if process.is_program() {
            give(startup, process, InitialObject::Console, object::console())?;
            give(startup, process, InitialObject::Machine, object::machine())?;
            give(startup, process, InitialObject::Clock, object::clock())?;
            crate::random::fill(startup.random.as_mut_bytes());
            CONSOLE_OWNER.store(process.id().raw(), Ordering::Release);
        }
        load::show_startup(process, startup).map(|_| ())
    }

    /// Fills in the start-up block of a home, but for objects.
    fn fill(&self, startup: &mut Startup, home: &Home, all: &[Home]) {
        startup.process = home.process.id();
        startup.cpus = crate::firmware::machine().processors().len().max(1) as u64;
        startup.configuration_bytes = self.configuration.length();
        startup.memory_bytes = frames::total_bytes();
        let length = self.command_line.len().min(startup.command_line.len() - 1);
        let place = startup.command_line.get_mut(..length);
        if let Some((to, from)) = place.zip(self.command_line.get(..length)) {
            to.copy_from_slice(from);
            startup.command_line_bytes = length as u64;
        }
        for (to, name) in startup.hosted.iter_mut().zip(home.record.hosted) {
            *to = *name;
        }
        if home.serves_root() {
            startup.root_bytes = self.root.length();
        }
        self.grant(startup, home, all);
    }

    /// Gives the objects that every home has, in the kernel or not.
    fn give_to_all(&self, startup: &mut Startup, home: &Home) -> Result<(), Error> {
        let process = home.process;
        give(startup, process, InitialObject::Log, object::log(process))?;
        give(startup, process, InitialObject::Random, object::random())?;
        if home.serves_root() {
            let pages = object::file_cache(self.root);
            give(startup, process, InitialObject::RootPages, pages)?;
        }
        Ok(())
    }

    /// The number that records of `key` give the process, as `component\0number`.
    fn number_of(&self, key: &str, process: &Process) -> Option<u32> {
        self.records.values(key).find_map(|record| {
            let mut parts = record.splitn(2, |byte| *byte == 0);
            let (name, number) = (parts.next()?, parts.next()?);
            let number = core::str::from_utf8(number).ok()?.parse::<u32>().ok()?;
            (name == process.name_bytes()).then_some(number)
        })
    }

    /// Puts the process where the image says: into its domain, and on a CPU, which is answered; and
    /// limits the time that it takes for what others wait for.
    fn rule(&self, home: &Home) -> u32 {
        let process = home.process;
        if home.record.is(LIMITED) {
            let limit = |key| u64::from(self.number_of(key, process).unwrap_or(0)) * 1_000_000;
            process.set_call_limit(limit(key::CALL_LIMIT));
            process.set_answer_limit(limit(key::ANSWER_LIMIT));
            process.set_start_limit(limit(key::START_LIMIT));
        }
        if !home.record.is(PLACED) {
            return 0;
        }
        let cpu = self.first_cpu(process);
        let name = process.name_bytes();
        if self
            .records
            .values(key::PINNED)
            .any(|pinned| pinned == name)
        {
            process.pin(cpu);
        }
        let domain = self.number_of(key::IN_DOMAIN, process).unwrap_or(0);
        process.set_domain(u8::try_from(domain).unwrap_or(domain::DEFAULT));
        cpu
    }

    /// The CPU on which the process starts: what the image says, if the machine has it.
    fn first_cpu(&self, process: &Process) -> u32 {
        let cpus = crate::firmware::machine().processors().len().max(1);
        match self.number_of(key::CPU, process) {
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

    /// Fills in whom the process may bind to, and who may bind to servers in it.
    fn grant(&self, startup: &mut Startup, home: &Home, all: &[Home]) {
        let process = |place: U32| match all.get(place.get() as usize) {
            Some(home) => home.process.id(),
            None => ProcessId::NONE,
        };
        for (entry, server) in startup.servers.iter_mut().zip(home.record.servers) {
            *entry = ServerEntry {
                name: server.name,
                process: Peer::new(process(server.process)),
                object: ObjectName::bootstrap(server.number.get()),
            };
        }
        for (entry, client) in startup.clients.iter_mut().zip(home.record.clients) {
            *entry = ClientEntry {
                process: Peer::new(process(client.process)),
                rights: u64::from(client.rights.get()),
                server: u64::from(client.server.get()),
            };
        }
    }
}

/// A process that is being started, and the servers that live in it.
struct Home {
    process: &'static Process,
    /// Its code and data; none in the kernel.
    part: Option<Part>,
    /// What the image says of it.
    record: ProcessRecord<'static>,
}

/// A component of the image.
struct Part {
    /// Its first instruction.
    entry: u64,
    /// Where else it is entered, until it says otherwise. Calls it takes only when it says where.
    later: LaterEntries,
    segments: Segments<'static>,
}

impl Part {
    /// How the first activation of its process begins.
    fn entry(&self) -> Entry {
        Entry {
            address: self.entry,
            stack: MAIN_STACK_TOP,
            argument: 0,
        }
    }
}

impl Home {
    /// Whether the server of the root file system lives here.
    fn serves_root(&self) -> bool {
        self.record.is(ROOT)
    }
}

fn give(
    startup: &mut Startup,
    process: &'static Process,
    place: InitialObject,
    object: Arc<dyn Dispatch>,
) -> Result<(), Error> {
    give_with(startup, process, place, object, Rights::ALL)
}

#[inline(never)]
fn give_with(
    startup: &mut Startup,
    process: &'static Process,
    place: InitialObject,
    object: Arc<dyn Dispatch>,
    rights: Rights,
) -> Result<(), Error> {
    let name: ObjectName = process.give(object, rights, &process.share)?;
    if let Some(slot) = startup.objects.get_mut(place as usize) {
        *slot = RawReference {
            process: ProcessId::KERNEL,
            object: name,
        };
    }
    Ok(())
}

const _: () = assert!(MAIN_STACK_TOP.is_multiple_of(16));
