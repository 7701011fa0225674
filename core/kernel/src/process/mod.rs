//! Processes: address spaces with entries, objects and a dispatcher per CPU.
//!
//! A process has a place in a fixed table; its identity is the place and an incarnation number, so
//! that a name of a process that ended never means another one. Finding one takes no lock.

mod dispatcher;
mod entries;
mod initial;
mod inside;
mod life;
mod limits;
mod load;
mod page_waits;
mod progress;
mod roster;
mod supervisor;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use kiln_object::trace::directory::Counter;
use kiln_object::{Dispatch, Error, ObjectName, ProcessId, Rights, primitives};
use spin::{Mutex, Once};

pub use dispatcher::{Dispatcher, offset as dispatcher_offset};
pub use entries::Entries;
pub use initial::{console_owner, start};
pub(crate) use roster::TABLE;
pub use roster::{PROCESSES, at, ending, find, for_each};
pub use supervisor::{ended, post_mortem, tell_of_death};

use crate::memory::address_space::AddressSpace;
use crate::memory::frames::Frame;
use crate::object::{Share, Table};
use crate::processor::PerCpu;
use crate::{schedule, trace};
use life::Life;
use limits::Limits;

/// CPUs that a process can have dispatchers on.
pub const CPUS: usize = 64;

/// One process. It is never freed, only emptied, so that references to it stay valid; a server that
/// is started again is the same process in its next incarnation.
pub struct Process {
    /// Raw identity; it changes under the lock of `space`.
    id: AtomicU64,
    name: &'static [u8],
    program: bool,
    root: AtomicU64,
    life: Life,
    space: Mutex<AddressSpace>,
    /// Made at the first use, never freed; null before.
    dispatchers: [AtomicPtr<Dispatcher>; CPUS],
    /// CPUs whose dispatcher is being made, as bits.
    making: AtomicU64,
    /// CPUs on which it has an activation, as bits.
    started: AtomicU64,
    /// The only CPU on which it runs, plus one; zero if it runs on any.
    only: AtomicU32,
    /// Its resource domain.
    domain: AtomicU8,
    limits: Limits,
    /// This incarnation has been ready.
    was_ready: AtomicBool,
    /// CPUs that have not let go of it since it ended, as bits.
    pub(crate) awaited: AtomicU64,
    /// The next process that has ended and that some CPU has not let go of.
    next_ending: AtomicPtr<Process>,
    /// Where the kernel enters it.
    pub entries: Entries,
    /// Kernel objects that were given to it.
    pub objects: Table,
    /// The kernel objects that it pays for, whoever has them, and those of earlier incarnations.
    pub share: Share,
    /// The page with its startup block.
    startup: Once<Frame>,
    /// It is told when others end.
    watches: AtomicBool,
    /// It is not told of pages that it is to bring: the boot command line says so.
    deaf: AtomicBool,
}

/// Offsets in a [`Process`] for the straight line of a call.
pub mod offset {
    use super::{Entries, Process, offset_of};

    /// Its identity.
    pub const ID: usize = offset_of!(Process, id);
    /// What CR3 is loaded with.
    pub const ROOT: usize = offset_of!(Process, root);
    /// Its dispatchers by CPU.
    pub const DISPATCHERS: usize = offset_of!(Process, dispatchers);
    /// CPUs on which it has an activation, as bits.
    pub const STARTED: usize = offset_of!(Process, started);
    /// Where calls enter.
    pub const CALL_ENTRY: usize = offset_of!(Process, entries) + Entries::CALL_OFFSET;
    /// Where foreign system calls are reflected to.
    pub const REFLECTED_ENTRY: usize = offset_of!(Process, entries) + Entries::REFLECTED_OFFSET;
}

impl Process {
    /// Makes a process without a thread; `program` marks the one whose end is the machine's.
    ///
    /// # Errors
    /// `Exhausted` without a place or memory.
    pub fn create(name: &'static [u8], program: bool) -> Result<&'static Process, Error> {
        let id = roster::next_incarnation(roster::free_place()?)?;
        let space = AddressSpace::new(program)?;
        let process: &'static Process = Box::leak(Box::new(Process {
            id: AtomicU64::new(id.raw()),
            name,
            program,
            root: AtomicU64::new(space.root()),
            life: Life::new(),
            space: Mutex::new(space),
            dispatchers: [const { AtomicPtr::new(null_mut()) }; CPUS],
            making: AtomicU64::new(0),
            started: AtomicU64::new(0),
            only: AtomicU32::new(0),
            domain: AtomicU8::new(schedule::domain::DEFAULT),
            limits: Limits::default(),
            was_ready: AtomicBool::new(false),
            awaited: AtomicU64::new(0),
            next_ending: AtomicPtr::new(core::ptr::null_mut()),
            entries: Entries::default(),
            objects: Table::new(),
            share: Share::new(program),
            startup: Once::new(),
            watches: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
        }));
        roster::enter(process);
        trace::enter_process(id, process.name_bytes());
        crate::event!(ProcessStart, 0, id.raw());
        Ok(process)
    }

    /// Who it is.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> ProcessId {
        ProcessId::from_raw(self.id.load(Ordering::Relaxed))
    }

    /// Whether that incarnation of it has not ended.
    #[must_use]
    pub fn lives_as(&self, id: ProcessId) -> bool {
        self.id() == id && !self.has_ended()
    }

    /// What the image calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        core::str::from_utf8(self.name).unwrap_or_default()
    }

    /// The bytes of its name.
    #[must_use]
    pub fn name_bytes(&self) -> &'static [u8] {
        self.name
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
        self.root.load(Ordering::Relaxed)
    }

    /// Gives it a reference to an object of the kernel's, which `payer` pays for.
    ///
    /// # Errors
    /// As [`Table::insert`].
    pub fn give(
        &self,
        object: Arc<dyn Dispatch>,
        rights: Rights,
        payer: &'static Share,
    ) -> Result<ObjectName, Error> {
        let interface = trace::wants_objects().then(|| object.interface_hash());
        let name = self.objects.insert(object, rights, payer)?;
        if let Some(interface) = interface {
            trace::object(self.id(), name, interface);
        }
        Ok(name)
    }

    /// Asks something about its memory, or for a change, and waits until no CPU sees what was there
    /// before. The lock is held for one request at a time, never across a call, and not while
    /// waiting; the caller holds no other lock.
    pub fn change<R>(&self, request: impl FnOnce(&mut AddressSpace) -> R) -> R {
        let mut space = self.space.lock();
        while space.is_settling() {
            drop(space);
            schedule::answer_flushes();
            core::hint::spin_loop();
            space = self.space.lock();
        }
        let outcome = request(&mut space);
        if space.is_settling() {
            drop(space);
            self.settle();
        }
        outcome
    }

    /// As [`Process::change`], if `id` is the incarnation that has the memory.
    ///
    /// # Errors
    /// `ServerDied` if it is another one; else what the request answers.
    pub fn change_as<R>(
        &self,
        id: ProcessId,
        request: impl FnOnce(&mut AddressSpace) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.change(|space| {
            if self.id() == id {
                request(space)
            } else {
                Err(Error::ServerDied)
            }
        })
    }

    /// Waits until no CPU has translations of what a request took out, and gives the memory back.
    /// Other requests wait meanwhile.
    #[cold]
    fn settle(&self) {
        loop {
            let cpus = self.space.lock().cpus();
            schedule::flush_others(self, cpus);
            let tables = self.space.lock().give_back();
            if tables.is_empty() {
                return;
            }
            // What the processors cache of the tables themselves, and walk through.
            schedule::leave_tables(cpus);
            tables.free();
        }
    }

    /// Its dispatcher on `cpu`, made at the first use.
    ///
    /// # Errors
    /// `Exhausted` without memory for it.
    #[inline(always)]
    pub fn dispatcher(&'static self, cpu: u32) -> Result<&'static Dispatcher, Error> {
        let place = self.dispatchers.get(cpu as usize).ok_or(Error::Exhausted)?;
        // SAFETY: only `make_dispatcher` stores here, from a leaked box.
        match unsafe { place.load(Ordering::Acquire).as_ref() } {
            Some(dispatcher) => Ok(dispatcher),
            None => self.make_dispatcher(place, cpu),
        }
    }

    /// Makes the dispatcher of `cpu`, which belongs in `place`. Who comes while another CPU makes it
    /// holds no lock and does what other CPUs wait for.
    #[cold]
    fn make_dispatcher(
        &'static self,
        place: &AtomicPtr<Dispatcher>,
        cpu: u32,
    ) -> Result<&'static Dispatcher, Error> {
        let bit = 1 << cpu;
        while self.making.fetch_or(bit, Ordering::Acquire) & bit != 0 {
            schedule::answer_flushes();
            core::hint::spin_loop();
        }
        // SAFETY: as in `dispatcher`.
        let made = match unsafe { place.load(Ordering::Acquire).as_ref() } {
            Some(made) => Ok(made),
            None => Dispatcher::create(self, cpu).map(|made| {
                let made = Box::leak(made);
                place.store(made, Ordering::Release);
                &*made
            }),
        };
        self.making.fetch_and(!bit, Ordering::Release);
        made
    }

    /// Its dispatcher on `cpu`, if that was made.
    pub fn made_dispatcher(&self, cpu: u32) -> Option<&'static Dispatcher> {
        let place = self.dispatchers.get(cpu as usize)?;
        // SAFETY: as in `dispatcher`.
        unsafe { place.load(Ordering::Acquire).as_ref() }
    }

    /// All its dispatchers that were made.
    fn made_dispatchers(&self) -> impl Iterator<Item = &'static Dispatcher> {
        self.dispatchers.iter().filter_map(|place| {
            // SAFETY: as in `dispatcher`.
            unsafe { place.load(Ordering::Acquire).as_ref() }
        })
    }

    /// Notes that it has an activation on `cpu`, which stays so.
    ///
    /// # Errors
    /// `Exists` if it had one; `ServerDied` if it has ended.
    pub fn claim_cpu(&self, cpu: u32) -> Result<(), Error> {
        if self.has_ended() {
            return Err(Error::ServerDied);
        }
        let bit = 1_u64.checked_shl(cpu).ok_or(Error::NotFound)?;
        if self.only_cpu().is_some_and(|only| only != cpu) {
            return Err(Error::Denied);
        }
        if self.started.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            return Err(Error::Exists);
        }
        Ok(())
    }

    /// Takes back what [`Process::claim_cpu`] noted: the activation was not made.
    pub fn unclaim_cpu(&self, cpu: u32) {
        let bit = 1_u64.checked_shl(cpu).unwrap_or(0);
        self.started.fetch_and(!bit, Ordering::AcqRel);
    }

    /// Has it told from now on when others end.
    pub fn watch_deaths(&self) {
        self.watches.store(true, Ordering::Release);
    }

    /// Has it not told of pages that it is to bring.
    fn set_deaf(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Whether it is not told of pages that it is to bring.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// Calls that it has served, its earlier incarnations included.
    fn calls_served(&self) -> u64 {
        let served = |dispatcher: &Dispatcher| dispatcher.account().counted(Counter::CallsIn);
        self.made_dispatchers().map(served).sum()
    }

    /// The only CPU on which it runs; `None` if it runs on any.
    #[must_use]
    pub fn only_cpu(&self) -> Option<u32> {
        self.only.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Makes `cpu` the only one on which it runs, before it does.
    pub fn pin(&self, cpu: u32) {
        self.only.store(cpu + 1, Ordering::Relaxed);
    }

    /// The number of its resource domain.
    #[must_use]
    pub fn domain(&self) -> u8 {
        self.domain.load(Ordering::Relaxed)
    }

    /// Puts it into a resource domain, before it runs.
    pub fn set_domain(&self, number: u8) {
        self.domain.store(number, Ordering::Relaxed);
    }

    /// Whether this incarnation of it has been ready.
    fn was_ready(&self) -> bool {
        self.was_ready.load(Ordering::Relaxed)
    }

    /// CPUs on which it has an activation, as bits.
    #[must_use]
    pub fn started_cpus(&self) -> u64 {
        self.started.load(Ordering::Acquire)
    }

    /// The process after it in the list of those that have ended.
    pub(crate) fn next_ending(&self) -> Option<&'static Process> {
        // SAFETY: null, or a leaked process.
        unsafe { self.next_ending.load(Ordering::Acquire).as_ref() }
    }

    /// Puts `next` after it in that list.
    pub(crate) fn set_next_ending(&self, next: Option<&'static Process>) {
        let next = next.map_or(core::ptr::null_mut(), |next| {
            core::ptr::from_ref(next).cast_mut()
        });
        self.next_ending.store(next, Ordering::Release);
    }

    /// Takes a kernel object from the process. The running processor is in none of its objects and
    /// holds no lock.
    ///
    /// # Errors
    /// `BadReference` if the name means nothing.
    pub fn release_object(&self, name: ObjectName) -> Result<(), Error> {
        let own = PerCpu::number();
        self.objects.remove(name, || {
            for dispatcher in self.made_dispatchers() {
                if dispatcher.cpu() != own {
                    dispatcher.inside().wait(|| {
                        schedule::answer_flushes();
                        core::hint::spin_loop();
                    });
                }
            }
        })
    }
}
