//! The directory by which a reader of the machine's memory finds everything.
//!
//! An entry is complete before the count says that it is there, and its accounts are never freed.
//! What there is no room for is counted and otherwise works as without tracing.

use core::sync::atomic::{AtomicU64, Ordering};

use kiln_interface::kernel::Protection;
use kiln_object::ProcessId;
use kiln_object::layout::{PAGE_BYTES, trace_ring};
use kiln_object::trace::directory::{
    DIRECTORY_WORDS, DISPATCHER, Directory, ENTRY_WORDS, Entry, MAGIC, NAME_BYTES, PAGE_ENTRIES,
    PAGES, PROCESS, PROCESSOR,
};
use kiln_object::trace::{EVENT_BYTES, Groups, USER_RING_BYTES};
use spin::Mutex;

use super::account::{Account, physical};
use super::{RING_BYTES, groups, is_observed};
use crate::memory::frames::{self, Frame, Purpose};
use crate::process::Dispatcher;
use crate::processor::PerCpu;
use crate::time;

#[repr(C, align(64))]
struct Words([AtomicU64; DIRECTORY_WORDS]);

static DIRECTORY: Words = Words([const { AtomicU64::new(0) }; DIRECTORY_WORDS]);

/// One enters at a time.
static ENTERING: Mutex<()> = Mutex::new(());

fn word(place: Directory) -> &'static AtomicU64 {
    &DIRECTORY.0[place as usize]
}

/// Fills the directory's own words.
pub(super) fn open(groups: Groups) {
    let time = time::information();
    for (place, value) in [
        (Directory::Address, physical(&raw const DIRECTORY)),
        (Directory::Groups, u64::from(groups.bits())),
        (Directory::CounterBase, time.tsc_base),
        (Directory::Multiplier, time.multiplier),
    ] {
        word(place).store(value, Ordering::Relaxed);
    }
    word(Directory::Magic).store(MAGIC, Ordering::Release);
}

/// The words of the entries so far.
fn entries() -> impl Iterator<Item = &'static [AtomicU64; ENTRY_WORDS]> {
    let count = word(Directory::Entries).load(Ordering::Acquire) as usize;
    (0..count).map_while(entry)
}

/// The words of an entry whose page is there.
fn entry(index: usize) -> Option<&'static [AtomicU64; ENTRY_WORDS]> {
    let page = DIRECTORY
        .0
        .get(Directory::Pages as usize + index / PAGE_ENTRIES)?;
    let page = page.load(Ordering::Relaxed);
    if page == 0 {
        return None;
    }
    let entries = Frame::at(page).pointer().cast::<[AtomicU64; ENTRY_WORDS]>();
    // SAFETY: the page was taken zeroed for entries, for good, and holds so many.
    Some(unsafe { &*entries.add(index % PAGE_ENTRIES) })
}

/// The dispatchers that were entered.
pub(super) fn dispatchers() -> impl Iterator<Item = &'static Dispatcher> {
    entries().filter_map(|words| {
        let token = words[Entry::Token as usize].load(Ordering::Relaxed) as *const Dispatcher;
        // SAFETY: null in a processor's entry, else what `enter_dispatcher` was given for good.
        unsafe { token.as_ref() }
    })
}

/// Adds an entry; false if there is no room.
fn add(words: [u64; ENTRY_WORDS]) -> bool {
    let _entering = ENTERING.lock();
    let count = word(Directory::Entries).load(Ordering::Relaxed);
    let index = count as usize;
    let room = index / PAGE_ENTRIES < PAGES
        && (!index.is_multiple_of(PAGE_ENTRIES) || {
            let page = frames::allocate_zeroed_for(Purpose::Notes);
            let place = &DIRECTORY.0[Directory::Pages as usize + index / PAGE_ENTRIES];
            place.store(page.map_or(0, Frame::physical), Ordering::Relaxed);
            page.is_some()
        });
    let Some(entry) = entry(index).filter(|_| room) else {
        word(Directory::Missed).fetch_add(1, Ordering::Relaxed);
        return false;
    };
    for (place, value) in entry.iter().zip(words) {
        place.store(value, Ordering::Relaxed);
    }
    word(Directory::Entries).store(count + 1, Ordering::Release);
    true
}

fn first_words(
    kind: u32,
    cpu: u32,
    process: ProcessId,
    name: &[u8],
    account: &Account,
) -> [u64; ENTRY_WORDS] {
    let mut words = [0; ENTRY_WORDS];
    words[Entry::Kind as usize] = u64::from(cpu) << 32 | u64::from(kind);
    words[Entry::Process as usize] = process.raw();
    [
        words[Entry::Counters as usize],
        words[Entry::Ring as usize],
        words[Entry::Position as usize],
        words[Entry::Events as usize],
    ] = account.addresses();
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes.iter_mut().zip(name.iter().copied()) {
        *to = from;
    }
    for (word, bytes) in words[Entry::Name as usize..]
        .iter_mut()
        .zip(bytes.as_chunks::<8>().0)
    {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Takes zeroed memory for `bytes` that lies together.
fn ring(bytes: u64) -> Option<Frame> {
    let pages = bytes / PAGE_BYTES;
    let first = frames::allocate_contiguous_for(pages, Purpose::Notes)?;
    for page in 0..pages {
        frames::zero(Frame::at(first.physical() + page * PAGE_BYTES));
    }
    Some(first)
}

/// Gives the account a ring, if events are noted and there is memory.
fn furnish(account: &Account) {
    let bytes = RING_BYTES.load(Ordering::Relaxed);
    if !groups().is_empty()
        && let Some(first) = ring(bytes)
    {
        account.furnish(first, bytes / EVENT_BYTES as u64);
    }
}

/// Lets processor `number` note events from now on; its `block` is not in use yet or the running
/// processor's.
pub fn enter_processor(number: u32, block: &PerCpu) {
    if !is_observed() {
        return;
    }
    let account: &'static Account = alloc::boxed::Box::leak(alloc::boxed::Box::new(Account::new()));
    furnish(account);
    let mut words = first_words(PROCESSOR, number, ProcessId::KERNEL, b"kernel", account);
    words[Entry::Current as usize] = physical(block.current.as_ptr());
    add(words);
    block.own_trace.set(account);
    block.trace.set(groups().bits());
}

/// Tells the name of a process, which may never have a dispatcher: it may live in the kernel.
pub fn enter_process(process: ProcessId, name: &[u8]) {
    if is_observed() {
        add(first_words(PROCESS, 0, process, name, &Account::new()));
    }
}

/// Lets events be noted for a dispatcher, which stays where it is for good.
pub fn enter_dispatcher(dispatcher: &Dispatcher) {
    if !is_observed() {
        return;
    }
    let (process, cpu) = (dispatcher.process(), dispatcher.cpu());
    let account = dispatcher.account();
    furnish(account);
    let mut words = first_words(DISPATCHER, cpu, process.id(), process.name_bytes(), account);
    words[Entry::Token as usize] = core::ptr::from_ref(dispatcher) as u64;
    words[Entry::Pages as usize] = physical(process.change(|space| space.resident_pages_place()));
    if groups().intersects(Groups::USER | Groups::OBJECTS)
        && let Some(first) = give_ring(dispatcher)
    {
        words[Entry::UserRing as usize] = first.physical();
        words[Entry::UserPosition as usize] = physical(&dispatcher.page().trace.position);
        words[Entry::UserEvents as usize] = USER_RING_BYTES / EVENT_BYTES as u64;
    }
    add(words);
}

/// Takes notice that a dispatcher's process was started again: it goes on in the same rings.
pub fn renew_dispatcher(dispatcher: &Dispatcher) {
    let token = core::ptr::from_ref(dispatcher) as u64;
    let is_it = |words: &&[AtomicU64; ENTRY_WORDS]| {
        words[Entry::Token as usize].load(Ordering::Relaxed) == token
    };
    let Some(words) = entries().find(is_it) else {
        return;
    };
    let process = dispatcher.process().id().raw();
    words[Entry::Process as usize].store(process, Ordering::Relaxed);
    dispatcher.account().set_alive();
    let ring = words[Entry::UserRing as usize].load(Ordering::Relaxed);
    if ring != 0 {
        // Without memory for the tables the process notes no events.
        let _ = show_ring(dispatcher, Frame::at(ring));
    }
}

/// Gives the process a ring for its own events.
fn give_ring(dispatcher: &Dispatcher) -> Option<Frame> {
    show_ring(dispatcher, ring(USER_RING_BYTES)?)
}

fn show_ring(dispatcher: &Dispatcher, first: Frame) -> Option<Frame> {
    let address = trace_ring(dispatcher.cpu());
    for offset in (0..USER_RING_BYTES).step_by(PAGE_BYTES as usize) {
        let frame = Frame::at(first.physical() + offset);
        dispatcher
            .process()
            .change(|space| {
                let protection = Protection::READ | Protection::WRITE;
                space.pin(address + offset, frame, protection)
            })
            .ok()?;
    }
    let trace = &dispatcher.page().trace;
    let events = USER_RING_BYTES / EVENT_BYTES as u64;
    trace.slots.store(address, Ordering::Relaxed);
    trace.mask.store(events - 1, Ordering::Relaxed);
    trace
        .groups
        .store(u64::from(groups().bits()), Ordering::Release);
    Some(first)
}
