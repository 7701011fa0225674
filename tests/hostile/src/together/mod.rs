//! Several hostile processes at once, each with a dispatcher on every processor.
//!
//! The program and the servers `attack_second` to `attack_fourth` attack; the server `attack_victim` is called, ended
//! and started again meanwhile. All go through batches together: the program begins one, every
//! dispatcher makes its calls, gives back what they brought and stops; then all is checked.
//!
//! Which calls a dispatcher makes in a batch follows from the seed, the process, the processor and the
//! batch; what they answer also depends on the others. The words are `seed=S`, `calls=N`, `from=B` (the
//! first batch), `batch=N` (calls of a dispatcher in one) and `show=N` (batches between two lines about them).

mod attacker;
mod buffers;
pub mod known;
pub mod pager;
mod shapes;
pub mod tally;

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};

use alloc::boxed::Box;
use alloc::vec::Vec;
use kiln_interface::file::FileTree;
use kiln_interface::kernel::{Machine as _, Process as _};
use kiln_interface::name_space::NameSpace;
use kiln_object::call::{CALL_WORDS, universal};
use kiln_object::configuration::key;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ObjectName, ProcessId, RawReference};
use kiln_runtime::{configuration, dispatcher, machine, process, startup, time};

use crate::memory;
use crate::report::{attack, failed, line};
use crate::server::{self, Answer, Command};
use crate::storm::files;
use attacker::Attacker;
pub use attacker::{is_given_away, offered};

/// Calls of all, and of one dispatcher between two checks, if nothing is said.
const CALLS: u64 = 200_000;
const BATCH: u64 = 1000;

/// Batches between two lines about them, if nothing is said.
const SHOWN: u64 = 10;

/// Batches after which servers and kernel have what they keep for good.
const SETTLING: u64 = 4;

/// Bytes of memory that come and go with caches and heaps, and more for each processor: what is free moves in
/// steps of 128 KiB, of which three were seen between the batches of a run.
const SLACK_BYTES: u64 = 512 << 10;
const SLACK_OF_PROCESSOR_BYTES: u64 = 256 << 10;

/// Nanoseconds that a batch can take at most, however slow the machine is.
const LONGEST_BATCH_NS: u64 = 60_000_000_000;

/// Nanoseconds between two looks at what others do.
const LOOK_NS: u64 = 1_000_000;

/// The batch that runs or ran last, and calls of each dispatcher in it.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static LENGTH: AtomicU64 = AtomicU64::new(0);
/// The last batch of which this process is done.
static OVER: AtomicU64 = AtomicU64::new(0);
/// Batches that the dispatchers here have behind them, added up.
static DONE: AtomicU64 = AtomicU64::new(0);
/// Dispatchers that are set up.
static PRESENT: AtomicU64 = AtomicU64::new(0);
/// Calls that were made here, and that succeeded.
static MADE: AtomicU64 = AtomicU64::new(0);
static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// What each dispatcher here does: a [`Phase`] in the low byte, then 32 bits of calls in this batch, and
/// during one the process that is called (8 bits) and the method.
static STATES: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// What a dispatcher does, for the message of a run that stands still.
#[derive(Clone, Copy)]
enum Phase {
    Waiting = 1,
    Preparing = 2,
    Calling = 3,
    TakingBack = 4,
    Releasing = 5,
    Done = 6,
    InCall = 7,
}

/// Whether the image is one of this kind.
pub fn is_wanted() -> bool {
    configuration().value(key::PERSONALITY) == Some(b"attack")
}

/// Whether this process is one of those that attack.
pub fn is_attacker() -> bool {
    is_wanted() && startup().hosted().all(|name| name != "attack_victim")
}

/// The processes that attack; the program is the last.
pub fn attackers() -> impl Iterator<Item = ProcessId> {
    let (first, program) = (1 + victim_place(), program_place());
    (first..=program).map(|place| ProcessId::new(place, 1))
}

/// The program.
fn program() -> ProcessId {
    ProcessId::new(program_place(), 1)
}

/// The kernel makes the servers in order, and the program last.
fn program_place() -> u32 {
    1 + configuration().values(key::SERVER).count() as u32
}

fn victim_place() -> u32 {
    let configuration = configuration();
    let mut servers = configuration.values(key::SERVER);
    1 + servers
        .position(|name| name == b"attack_victim")
        .unwrap_or(0) as u32
}

/// The life of a process of such an image.
pub fn main() {
    crate::caught::keep_apart();
    if !is_attacker() {
        // Whoever calls its next incarnation waits until that is ready.
        server::serve_calls();
        pager::prepare();
        pager::stay_here();
        let _ = process().ready();
        server::main();
        return;
    }
    server::serve_calls();
    let own = set_up();
    if startup().object(InitialObject::Machine).is_none() {
        if process().ready().is_err() {
            failed(format_args!("the process cannot be ready"));
        }
        let mut batch = 0;
        loop {
            batch = wait_for(batch);
            run(own, batch);
        }
    }
    if process().ready().is_err() {
        failed(format_args!("the process cannot be ready"));
    }
    lead(own);
}

/// Starts the dispatchers; answers the one of this processor.
fn set_up() -> &'static mut Attacker {
    let cpus = startup().cpus as u32;
    let here = dispatcher::page().cpu.load(Ordering::Relaxed);
    let mut all: Vec<_> = (0..cpus).map(Attacker::new).collect();
    let own = all.swap_remove(here as usize);
    for attacker in all {
        let (cpu, stack) = (attacker.cpu(), attacker.stack_top());
        let argument = core::ptr::from_mut(Box::leak(Box::new(attacker))) as u64;
        let started = process().start_dispatcher(cpu, other as *const () as u64, stack, argument);
        if let Err(error) = started {
            failed(format_args!("no dispatcher on {cpu}: {error}"));
        }
    }
    let own = Box::leak(Box::new(own));
    own.arrive();
    while PRESENT.fetch_add(0, Ordering::SeqCst) < u64::from(cpus) - 1 {
        pause();
    }
    memory::remember();
    own
}

/// A dispatcher on another processor than the first of its process.
extern "sysv64" fn other(argument: u64) -> ! {
    // SAFETY: `set_up` leaked it for this dispatcher alone.
    let attacker = unsafe { &mut *(argument as *mut Attacker) };
    attacker.arrive();
    PRESENT.fetch_add(1, Ordering::SeqCst);
    let mut batch = 0;
    loop {
        attacker.show(Phase::Waiting);
        batch = wait_for(batch);
        attacker.run(batch, LENGTH.load(Ordering::SeqCst));
        DONE.fetch_add(1, Ordering::SeqCst);
    }
}

/// The part of a process's first dispatcher in a batch.
fn run(own: &mut Attacker, batch: u64) {
    own.run(batch, LENGTH.load(Ordering::SeqCst));
    let others = startup().cpus - 1;
    let started = time::monotonic_ns();
    while DONE.load(Ordering::SeqCst) < others {
        if time::monotonic_ns() > started + LONGEST_BATCH_NS {
            stands_still(
                batch,
                &attackers()
                    .filter(|one| *one != startup().process)
                    .collect::<Vec<_>>(),
            );
        }
        pause();
    }
    DONE.store(0, Ordering::SeqCst);
    own.show(Phase::Done);
    memory::clean_own_part();
    OVER.store(batch, Ordering::SeqCst);
}

/// Waits until another batch than `last` has begun; answers which.
fn wait_for(last: u64) -> u64 {
    loop {
        let batch = BEGUN.load(Ordering::SeqCst);
        if batch != last {
            return batch;
        }
        pause();
    }
}

/// Lets others run for a moment.
pub fn pause() {
    dispatcher::page().pending.store(0, Ordering::SeqCst);
    pager::bring();
    let _ = process().wait(time::monotonic_ns() + LOOK_NS);
}

/// Serves [`Command::Begin`], which only the program may ask for.
pub fn begin(caller: u64, batch: u64, length: u64) -> Answer {
    if caller != ProcessId::new(program_place(), 1).raw() {
        return Err(Error::Denied);
    }
    LENGTH.store(length, Ordering::SeqCst);
    BEGUN.store(batch, Ordering::SeqCst);
    for cpu in 0..startup().cpus as u32 {
        let _ = process().wake(cpu);
    }
    Ok(([0; 4], 0))
}

/// Serves [`Command::Progress`].
pub fn progress(batch: u64, cpu: u64) -> Answer {
    let is_over = OVER.load(Ordering::SeqCst) == batch;
    let (made, answered) = (MADE.load(Ordering::SeqCst), ANSWERED.load(Ordering::SeqCst));
    let state = STATES
        .get(cpu as usize)
        .map_or(0, |state| state.load(Ordering::SeqCst));
    Ok(([u64::from(is_over), made, answered, state], 0))
}

/// Serves [`Command::Held`]. Only the program may ask, between batches: the count waits for servers, and
/// takes soft interrupts away that this process's own thread may wait for.
pub fn held_by_this(caller: u64) -> Answer {
    if caller != ProcessId::new(program_place(), 1).raw() {
        return Err(Error::Denied);
    }
    held()
}

fn held() -> Answer {
    let objects = [
        startup().object(InitialObject::Process),
        known::bound::<dyn NameSpace>("name_space")?,
        known::bound::<dyn FileTree>("image_root")?,
        known::bound::<dyn FileTree>("memory_fs")?,
    ];
    let mut held = [0; 4];
    for (held, object) in held.iter_mut().zip(objects) {
        *held = known::ask_word(object, universal::HELD, 0)?;
    }
    Ok((held, 0))
}

/// Checks that every process pays for as many references as it did when all had settled.
fn nothing_is_held(seed: u64, batch: u64, others: &[ProcessId], settled: &mut Vec<[u64; 4]>) {
    let own = patiently("references", held).0;
    let others = others
        .iter()
        .map(|one| command(*one, Command::Held, [0; CALL_WORDS]));
    let now: Vec<_> = core::iter::once(own).chain(others).collect();
    if settled.is_empty() {
        *settled = now;
    } else if *settled != now {
        failed(format_args!(
            "seed {seed}, batch {batch}: references to kernel, name space, image root and memory files, \
             by process: {settled:?} became {now:?}"
        ));
    }
}

/// Has another attacker do something; a server may have no room for a call just now.
fn command(to: ProcessId, what: Command, words: [u64; CALL_WORDS]) -> [u64; 4] {
    let reference = RawReference {
        process: to,
        object: ObjectName::BOOTSTRAP,
    };
    patiently(&alloc::format!("{to:?}"), || {
        crate::attacks::command(reference, what, words)
    })
}

/// Tries until there is room.
fn patiently<T>(whom: &str, mut ask: impl FnMut() -> Result<T, Error>) -> T {
    let started = time::monotonic_ns();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(Error::Busy | Error::Exhausted | Error::TooDeep)
                if time::monotonic_ns() < started + LONGEST_BATCH_NS =>
            {
                pause();
            }
            Err(error) => failed(format_args!("{whom}: {error}")),
        }
    }
}

fn show(text: &mut alloc::string::String, name: &str, cpu: u64, state: u64) {
    let (call, phase) = (state >> 8 & 0xffff_ffff, state & 0xff);
    let _ = write!(text, " {name}.{cpu}: {call}/{phase}");
    if phase == Phase::InCall as u64 {
        let _ = write!(
            text,
            " of process {}, method {:#x}",
            state >> 40 & 0xff,
            state >> 48
        );
    }
}

/// Says who does not come to the end of the batch.
fn stands_still(batch: u64, others: &[ProcessId]) -> ! {
    let mut text = alloc::string::String::new();
    for cpu in 0..startup().cpus {
        let own = STATES
            .get(cpu as usize)
            .map_or(0, |state| state.load(Ordering::SeqCst));
        show(&mut text, "here", cpu, own);
        for one in others {
            if startup().object(InitialObject::Machine).is_none() {
                break;
            }
            let state = command(*one, Command::Progress, [batch, cpu, 0, 0, 0, 0])[3];
            show(&mut text, &alloc::format!("{}", one.index()), cpu, state);
        }
    }
    failed(format_args!(
        "seed {}, batch {batch} does not end:{text}",
        seed()
    ))
}

/// The number that the program's arguments or the command line give `name`.
fn setting(name: &str) -> Option<u64> {
    let configuration = configuration();
    let arguments = configuration.values(key::PROGRAM_ARGUMENT);
    arguments
        .filter_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .filter_map(|digits| core::str::from_utf8(digits).ok()?.parse().ok())
        .last()
        .or_else(|| crate::setting(name))
}

/// What the calls follow from.
fn seed() -> u64 {
    setting("seed").unwrap_or(1)
}

/// Ends the victim, with all that others did to it: by a message, as it may take no calls any more, or by a
/// call, as its memory may have got others' messages.
fn end_victim() {
    let Some(victim) = startup().server("attack_victim") else {
        return;
    };
    let lives = || process().lives(victim.process).unwrap_or(false);
    let started = time::monotonic_ns();
    while lives() {
        if time::monotonic_ns() > started + LONGEST_BATCH_NS {
            failed(format_args!("the victim does not end"));
        }
        // Once there is room.
        pager::send(victim.process, pager::END);
        let _ = known::ask_word(victim, Command::Exit as u16, 0);
        pause();
    }
}

/// Says what was called and what the answers were, by all processes.
fn say_answers(others: &[ProcessId]) {
    let ask = |row, column| {
        let own = core::iter::once(tally::words(row, column));
        own.chain(
            others
                .iter()
                .map(|one| command(*one, Command::Tally, [row, column, 0, 0, 0, 0])),
        )
        .collect()
    };
    tally::lines(ask, |text| line(format_args!("\nanswers of {text}")));
}

/// The program: goes through the batches, and checks.
fn lead(own: &mut Attacker) {
    let (seed, calls) = (seed(), setting("calls").unwrap_or(CALLS));
    let length = setting("batch").unwrap_or(BATCH);
    let first = setting("from").unwrap_or(1).max(1);
    let shown = setting("show").unwrap_or(SHOWN).max(1);
    let cpus = startup().cpus;
    let slack = SLACK_BYTES + cpus * SLACK_OF_PROCESSOR_BYTES;
    let others: Vec<_> = attackers()
        .filter(|one| *one != startup().process)
        .collect();
    line(format_args!(
        "\nseed {seed}: {calls} calls of {} processes on {cpus} processors, {length} in a batch",
        others.len() + 1
    ));
    let (mut settled, mut least) = (0, 0);
    let mut references = Vec::new();
    for batch in first.. {
        attack("calls of several processes");
        let started = time::monotonic_ns();
        LENGTH.store(length, Ordering::SeqCst);
        BEGUN.store(batch, Ordering::SeqCst);
        for one in &others {
            command(*one, Command::Begin, [batch, length, 0, 0, 0, 0]);
        }
        run(own, batch);
        let (mut made, mut answered) =
            (MADE.load(Ordering::SeqCst), ANSWERED.load(Ordering::SeqCst));
        for one in &others {
            let [_, more, good, _] = loop {
                let found = command(*one, Command::Progress, [batch, 0, 0, 0, 0, 0]);
                if found[0] != 0 {
                    break found;
                }
                if time::monotonic_ns() > started + LONGEST_BATCH_NS {
                    stands_still(batch, &others);
                }
                pause();
            };
            made += more;
            answered += good;
        }
        attack("after calls of several processes");
        if is_given_away(batch) {
            end_victim();
        }
        files::remove_all();
        crate::attacks::still_well();
        let free = memory::free();
        nothing_is_held(seed, batch, &others, &mut references);
        if batch < first + SETTLING {
            settled = free;
        } else if free + slack < settled {
            failed(format_args!(
                "seed {seed}, batch {batch}: {} KiB were free after {SETTLING} batches and {} KiB are now",
                settled >> 10,
                free >> 10
            ));
        }
        least = if batch < first + SETTLING {
            free
        } else {
            least.min(free)
        };
        let is_over = made >= calls;
        if is_over || batch.is_multiple_of(shown) {
            line(format_args!(
                "\nseed {seed}, batch {batch}: {made} calls, {answered} of them answered, {} KiB free, {} ms",
                free >> 10,
                time::monotonic_ns() / 1_000_000
            ));
        }
        if is_over {
            say_answers(&others);
            line(format_args!(
                "\nreferences of each process to kernel, name space, image root and memory files, at the \
                 first check and at the last: {references:?}"
            ));
            line(format_args!(
                "\nfree memory: {} KiB after {SETTLING} batches, {} KiB at the least, {} KiB at the end",
                settled >> 10,
                least >> 10,
                free >> 10
            ));
            line(format_args!(
                "\n{made} calls, seed {seed}, {cpus} processors: ok"
            ));
            // It does not come back.
            let _ = machine().power_off(0);
        }
    }
}
