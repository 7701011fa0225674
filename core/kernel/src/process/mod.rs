//! Processes: address spaces with entries, objects and a dispatcher per CPU.
//!
//! A process has a place in a fixed table; its identity is the place and an incarnation number, so
//! that a name of a process that ended never means another one. Finding one takes no lock.

mod dispatcher;
mod entries;
mod initial;
mod load;

use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use kiln_object::{Error, ProcessId};
use spin::{Mutex, Once};

pub use dispatcher::Dispatcher;
pub use entries::Entries;
pub use initial::{CONSOLE_OWNER, start};

use crate::memory::address_space::AddressSpace;
use crate::object::{Share, Table};

/// Processes at a time.
pub const PROCESSES: usize = 1024;

/// CPUs that a process can have dispatchers on.
pub const CPUS: usize = 64;

static TABLE: [AtomicPtr<Process>; PROCESSES] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; PROCESSES];

/// Incarnation that the next process in a place gets; place 0 is the kernel's.
static INCARNATIONS: [AtomicU32; PROCESSES] = [const { AtomicU32::new(1) }; PROCESSES];

const STARTING: u32 = 0;
const READY: u32 = 1;
const ENDED: u32 = 2;

/// One process. It is never freed, only emptied, so that references to it stay valid.
pub struct Process {
    id: ProcessId,
    name: String,
    program: bool,
    root: u64,
    state: AtomicU32,
    space: Mutex<AddressSpace>,
    dispatchers: [Once<Box<Dispatcher>>; CPUS],
    /// Where the kernel enters it.
    pub entries: Entries,
    /// Kernel objects that were given to it.
    pub objects: Table,
    /// The kernel objects that it pays for, whoever has them.
    pub share: Share,
}

impl Process {
    /// Makes a process without a thread; `program` marks the one whose end is the machine's.
    ///
    /// # Errors
    /// `Exhausted` without a place or memory.
    pub fn create(name: String, program: bool) -> Result<&'static Process, Error> {
        let place = (1..PROCESSES)
            .find(|place| {
                TABLE
                    .get(*place)
                    .is_some_and(|slot| slot.load(Ordering::Acquire).is_null())
            })
            .ok_or(Error::Exhausted)?;
        let slot = TABLE.get(place).ok_or(Error::Exhausted)?;
        let incarnation = INCARNATIONS
            .get(place)
            .ok_or(Error::Exhausted)?
            .fetch_add(1, Ordering::Relaxed);
        let space = AddressSpace::new(program)?;
        let process: &'static Process = Box::leak(Box::new(Process {
            id: ProcessId::new(place as u32, incarnation),
            name,
            program,
            root: space.root(),
            state: AtomicU32::new(STARTING),
            space: Mutex::new(space),
            dispatchers: [const { Once::new() }; CPUS],
            entries: Entries::default(),
            objects: Table::new(),
            share: Share::new(program),
        }));
        slot.store(core::ptr::from_ref(process).cast_mut(), Ordering::Release);
        crate::event!(ProcessStart, 0, process.id.raw());
        Ok(process)
    }

    /// Who it is.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// What the image calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the machine ends with it.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.program
    }

    /// What CR3 is loaded with.
    #[inline(always)]
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Its memory; the lock is held for one request at a time and never across a call.
    #[must_use]
    pub fn space(&self) -> spin::MutexGuard<'_, AddressSpace> {
        self.space.lock()
    }

    /// Its dispatcher on `cpu`, made at the first use.
    ///
    /// # Errors
    /// `Exhausted` without memory for it.
    #[inline(always)]
    pub fn dispatcher(&'static self, cpu: u32) -> Result<&'static Dispatcher, Error> {
        let place = self.dispatchers.get(cpu as usize).ok_or(Error::Exhausted)?;
        match place.get() {
            Some(dispatcher) => Ok(dispatcher),
            None => place
                .try_call_once(|| Dispatcher::create(self, cpu))
                .map(|made| &**made),
        }
    }

    /// Says that it takes calls; of one that has ended it changes nothing.
    pub fn mark_ready(&self) {
        // An error means that it is ready or has ended.
        let _ = self
            .state
            .compare_exchange(STARTING, READY, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Ends it: nobody finds it any more.
    pub fn mark_ended(&self, status: u32) {
        self.state.store(ENDED, Ordering::Release);
        crate::event!(ProcessEnd, status, self.id.raw());
        for dispatcher in self.dispatchers.iter().filter_map(Once::get) {
            dispatcher.account().set_ended();
        }
        crate::info!("{} ended with status {status}", self.name);
        if let Some(slot) = TABLE.get(self.id.index() as usize) {
            slot.store(core::ptr::null_mut(), Ordering::Release);
        }
    }

    /// Gives its memory and objects back. No CPU runs in it any more.
    pub fn release(&self) {
        self.objects.clear();
        self.space.lock().destroy();
    }
}

/// The living process of that identity.
#[inline(always)]
#[must_use]
pub fn find(id: ProcessId) -> Option<&'static Process> {
    let pointer = TABLE.get(id.index() as usize)?.load(Ordering::Acquire);
    // SAFETY: the table holds pointers of leaked boxes only, which are never freed.
    let process = unsafe { pointer.as_ref() }?;
    (process.id == id).then_some(process)
}
