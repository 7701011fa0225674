//! A process on one CPU: the page it shares with the kernel, and its call slots.
//!
//! A call slot is a stack and two message pages at a fixed place. The kernel picks the lowest free
//! one for each call, so that the warm one is used again, and trusts nothing in user memory for it.

use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};

use alloc::boxed::Box;
use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::dispatcher::DispatcherPage;
use kiln_object::layout::{
    CALL_SLOT_BASE, CALL_SLOT_BYTES, CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_BYTES,
    CALL_SLOT_STACK_TOP, CALL_SLOTS, TRAP_STACK_BYTES, call_slot, dispatcher_page, message_ring,
    trap_stack_top,
};
use kiln_object::message_ring::{Message, MessageRing};
use kiln_object::{Error, ProcessId};

use super::Process;
use super::inside::Inside;
use super::page_waits::PageWaits;
use crate::memory::DIRECT_MAP_BASE;
use crate::memory::address_space::AddressSpace;
use crate::memory::frames::{self, Frame};
use crate::memory::paged_file::Asked;
use crate::memory::region::Backing;
use crate::schedule::remote::Calls;
use crate::schedule::waiters::Waiters;
use crate::trace::{self, Account};

// A slot's pages share a page table: see `place`.
const _: () =
    assert!(CALL_SLOT_BASE.is_multiple_of(CALL_SLOT_BYTES) && (2 << 20) % CALL_SLOT_BYTES == 0);

/// A process on one CPU. Only that CPU uses it, inside the kernel, which is not interrupted.
#[repr(C, align(64))]
pub struct Dispatcher {
    /// What callees are told.
    process_id: Cell<ProcessId>,
    /// What CR3 is loaded with.
    root: Cell<u64>,
    page: *mut u8,
    process: &'static Process,
    /// Address of the first call slot.
    slots: u64,
    /// Slots that are free and have their pages, by bit.
    free: Cell<u16>,
    /// Slots that were never used, by bit.
    unfurnished: Cell<u16>,
    cpu: u32,
    /// As the field `processor` of a call has it, with nothing beside it.
    processor: u64,
    /// Direct-map addresses of the slots' pages for bytes in.
    inputs: [Cell<*mut u8>; CALL_SLOTS],
    /// And for bytes out.
    outputs: [Cell<*mut u8>; CALL_SLOTS],
    /// Whether a call of it is in an object of the kernel.
    inside: Inside,
    /// Its ring of one-way messages; null before the first.
    ring: AtomicPtr<MessageRing>,
    /// Messages that were sent.
    sent: AtomicU64,
    /// Who waits for a call slot of it or room in its ring.
    waiters: Waiters,
    /// When its timer expires: monotonic ns; `u64::MAX` for never.
    pub timer: Cell<u64>,
    account: Account,
    /// Waits of its threads for pages, by bit.
    waits: PageWaits,
    /// Pages that it is to bring.
    asked: Asked,
    /// Its calls to other processors.
    calls: Calls,
}

/// Offsets in a [`Dispatcher`] for the straight line.
pub mod offset {
    use kiln_object::trace::directory::Counter;

    use super::{Account, Dispatcher, offset_of};

    /// The process's identity.
    pub const PROCESS_ID: usize = offset_of!(Dispatcher, process_id);
    /// What CR3 is loaded with.
    pub const ROOT: usize = offset_of!(Dispatcher, root);
    /// The shared page.
    pub const PAGE: usize = offset_of!(Dispatcher, page);
    /// The process.
    pub const PROCESS: usize = offset_of!(Dispatcher, process);
    /// Address of the first call slot.
    pub const SLOTS: usize = offset_of!(Dispatcher, slots);
    /// Free slots, by bit.
    pub const FREE: usize = offset_of!(Dispatcher, free);
    /// Pages for bytes in.
    pub const INPUTS: usize = offset_of!(Dispatcher, inputs);
    /// Pages for bytes out.
    pub const OUTPUTS: usize = offset_of!(Dispatcher, outputs);
    /// Its ring of messages.
    pub const RING: usize = offset_of!(Dispatcher, ring);
    /// Messages that were sent.
    pub const SENT: usize = offset_of!(Dispatcher, sent);
    /// Counter of the calls that it made.
    pub const CALLS_OUT: usize =
        offset_of!(Dispatcher, account) + Account::counter_offset(Counter::CallsOut);
    /// Its processor, as the second word of 16 bits.
    pub const PROCESSOR: usize = offset_of!(Dispatcher, processor);
    /// Whether it is in an object of the kernel.
    pub const INSIDE: usize = offset_of!(Dispatcher, inside);
    /// Counter of its calls to objects of the kernel.
    pub const KERNEL_CALLS: usize =
        offset_of!(Dispatcher, account) + Account::counter_offset(Counter::KernelCalls);
    /// Counter of the calls that it served.
    pub const CALLS_IN: usize =
        offset_of!(Dispatcher, account) + Account::counter_offset(Counter::CallsIn);
    /// Its account.
    pub const ACCOUNT: usize = offset_of!(Dispatcher, account);
}

// SAFETY: see the type: the cells are used by one CPU, and only in the kernel.
unsafe impl Sync for Dispatcher {}
// SAFETY: as above.
unsafe impl Send for Dispatcher {}

impl Dispatcher {
    /// Makes the dispatcher with its shared page.
    pub(super) fn create(process: &'static Process, cpu: u32) -> Result<Box<Dispatcher>, Error> {
        let page = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        let furnished = process.change(|space| furnish(space, cpu, page));
        if let Err(error) = furnished {
            frames::free(page);
            return Err(error);
        }
        let dispatcher = Box::new(Dispatcher {
            process_id: Cell::new(process.id()),
            root: Cell::new(process.root()),
            page: page.pointer(),
            process,
            slots: call_slot(cpu, 0),
            free: Cell::new(0),
            unfurnished: Cell::new(!0),
            cpu,
            processor: u64::from(cpu as u16) << 16,
            inputs: [const { Cell::new(null_mut()) }; CALL_SLOTS],
            outputs: [const { Cell::new(null_mut()) }; CALL_SLOTS],
            inside: Inside::new(),
            ring: AtomicPtr::new(null_mut()),
            sent: AtomicU64::new(0),
            waiters: Waiters::new(),
            timer: Cell::new(u64::MAX),
            account: Account::new(),
            waits: PageWaits::new(),
            asked: Asked::new(),
            calls: Calls::new(),
        });
        dispatcher.sign();
        trace::enter_dispatcher(&dispatcher);
        Ok(dispatcher)
    }

    /// Pages that it is to bring.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Takes a number for the wait of one of its threads, which is not in use; only its own CPU does.
    #[must_use]
    pub fn begin_wait(&self) -> Option<u32> {
        self.waits.begin(&self.page().faults_done)
    }

    /// Gives a number back of which nobody was told.
    pub fn cancel_wait(&self, number: u32) {
        self.waits.cancel(number);
    }

    /// Says in the shared page that the wait of that number is over.
    pub fn end_wait(&self, number: u32) {
        self.waits.end(number, &self.page().faults_done);
    }

    /// Its counters and events.
    #[inline(always)]
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The processor that it is on.
    #[inline(always)]
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Whose it is.
    #[inline(always)]
    #[must_use]
    pub fn process(&self) -> &'static Process {
        self.process
    }

    /// Whether a call of it is in an object of the kernel.
    #[inline(always)]
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Says in the shared page whose it is.
    fn sign(&self) {
        let shared = self.page();
        shared
            .self_address
            .store(dispatcher_page(self.cpu), Relaxed);
        shared.cpu.store(self.cpu, Relaxed);
    }

    /// Makes the dispatcher that of the process's next incarnation.
    pub(super) fn renew(&self) -> Result<(), Error> {
        self.process_id.set(self.process.id());
        self.root.set(self.process.root());
        let page = Frame::at(self.page as u64 - DIRECT_MAP_BASE);
        frames::zero(page);
        self.sign();
        self.process
            .change(|space| furnish(space, self.cpu, page))?;
        trace::renew_dispatcher(self);
        Ok(())
    }

    /// Puts a one-way message into its ring; whoever sent it is not told what becomes of it.
    ///
    /// # Errors
    /// `Busy` if the ring is full, `Exhausted` without memory for it.
    #[inline(always)]
    pub fn send(&self, message: &Message) -> Result<(), Error> {
        // SAFETY: null, or what `make_ring` was given for as long as the process lives.
        let ring = match unsafe { self.ring.load(Acquire).as_ref() } {
            Some(ring) => ring,
            None => self.make_ring()?,
        };
        ring.send(&self.sent, message).map_err(|_| Error::Busy)
    }

    /// As [`Dispatcher::send`] to a ring that was full, once more after the sender was noted among the
    /// waiters: if it still is, its process will say when there is room.
    ///
    /// # Errors
    /// As [`Dispatcher::send`].
    pub fn send_again(&self, message: &Message) -> Result<(), Error> {
        // SAFETY: as in `send`.
        if let Some(ring) = unsafe { self.ring.load(Acquire).as_ref() } {
            ring.want();
        }
        self.send(message)
    }

    #[cold]
    fn make_ring(&self) -> Result<&MessageRing, Error> {
        let page = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        let pinned = self
            .process
            .change(|space| space.pin(message_ring(self.cpu), page, READ_WRITE));
        match pinned {
            Ok(()) => self.ring.store(page.pointer().cast(), Release),
            Err(error) => {
                frames::free(page);
                // Another CPU may just be making it.
                if error != Error::Occupied {
                    return Err(error);
                }
            }
        }
        // SAFETY: as in `send`.
        unsafe { self.ring.load(Acquire).as_ref() }.ok_or(Error::Busy)
    }

    /// Gives its pages back but the shared one, which the next incarnation has again. Its process
    /// has ended and no CPU uses it any more.
    pub(super) fn release(&self) {
        self.free.set(0);
        self.unfurnished.set(!0);
        self.timer.set(u64::MAX);
        self.sent.store(0, Relaxed);
        self.waits.clear();
        let ring = self.ring.swap(null_mut(), Relaxed);
        if !ring.is_null() {
            give_back(ring.cast());
        }
        for page in self.inputs.iter().chain(&self.outputs) {
            let page = page.replace(null_mut());
            if !page.is_null() {
                give_back(page);
            }
        }
    }

    /// The process's identity.
    #[inline(always)]
    #[must_use]
    pub fn process_id(&self) -> ProcessId {
        self.process_id.get()
    }

    /// What CR3 is loaded with.
    #[inline(always)]
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root.get()
    }

    /// The shared page.
    #[must_use]
    pub fn page(&self) -> &DispatcherPage {
        // SAFETY: the frame is the dispatcher's for good, page-aligned, and every field is atomic.
        unsafe { &*self.page.cast::<DispatcherPage>() }
    }

    /// The shared page for entry code.
    #[inline(always)]
    #[must_use]
    pub fn page_pointer(&self) -> *mut u8 {
        self.page
    }

    /// Takes the lowest free call slot that was used before, else one that was not; answers its bit.
    ///
    /// # Errors
    /// `Busy` if all are in use, `Exhausted` without memory for a slot used for the first time.
    #[inline(always)]
    pub fn take_slot(&self) -> Result<u16, Error> {
        if self.free.get() == 0 {
            self.furnish()?;
        }
        let free = self.free.get();
        let left = free & free.wrapping_sub(1);
        self.free.set(left);
        Ok(free ^ left)
    }

    /// Gives the slot of that bit back. The straight line does so in place: no return takes it while
    /// somebody waits for a slot.
    #[inline(always)]
    pub fn free_slot(&self, slot: u16) {
        self.free.set(self.free.get() | slot);
        self.waiters.wake();
    }

    /// Who waits for a call slot of it or room in its ring.
    #[inline(always)]
    #[must_use]
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Its calls to other processors.
    #[inline(always)]
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The address of the slot of that bit.
    #[inline(always)]
    #[must_use]
    pub fn slot_address(&self, slot: u16) -> u64 {
        self.slots + u64::from(slot.trailing_zeros()) * CALL_SLOT_BYTES
    }

    /// Gives a slot its stack and message pages; all of them or none, so that it can be tried again.
    #[cold]
    fn furnish(&self) -> Result<(), Error> {
        let index = self.unfurnished.get().trailing_zeros() as usize;
        let (Some(to_input), Some(to_output)) = (self.inputs.get(index), self.outputs.get(index))
        else {
            return Err(Error::Busy);
        };
        let input = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        let Some(output) = frames::allocate_zeroed() else {
            frames::free(input);
            return Err(Error::Exhausted);
        };
        if let Err(error) = self.place(call_slot(self.cpu, index), input, output) {
            frames::free(input);
            frames::free(output);
            return Err(error);
        }
        to_input.set(input.pointer());
        to_output.set(output.pointer());
        let bit = 1 << index;
        self.unfurnished.set(self.unfurnished.get() & !bit);
        self.free.set(self.free.get() | bit);
        Ok(())
    }

    fn place(&self, base: u64, input: Frame, output: Frame) -> Result<(), Error> {
        self.process
            .change(|space| place(space, base, input, output))
    }

    /// The first `bytes` of a taken slot's page for bytes in.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the page is outside the dispatcher")]
    pub fn input(&self, slot: u16, bytes: usize) -> &mut [u8] {
        match self.inputs.get(slot.trailing_zeros() as usize) {
            // SAFETY: the slot was taken, so it has its page. The call has it alone, and user code does
            // not run meanwhile on this CPU, the only one that knows the slot.
            Some(page) => unsafe { core::slice::from_raw_parts_mut(page.get(), bytes.min(4096)) },
            None => &mut [],
        }
    }

    /// The first `bytes` of a taken slot's page for bytes out.
    #[inline(always)]
    #[must_use]
    pub fn output(&self, slot: u16, bytes: usize) -> &[u8] {
        match self.outputs.get(slot.trailing_zeros() as usize) {
            // SAFETY: as in `input`; another CPU running the same process may write the page
            // meanwhile and change what is copied out, but no more than the bytes of its own answer.
            Some(page) => unsafe { core::slice::from_raw_parts(page.get(), bytes.min(4096)) },
            None => &[],
        }
    }
}

/// Frees the frame that lies at `page` in the direct map.
fn give_back(page: *mut u8) {
    frames::free(Frame::at(page as u64 - DIRECT_MAP_BASE));
}

const READ_WRITE: Protection = Protection::READ.union(Protection::WRITE);

/// Puts the shared page and the trap stack of `cpu` in place, or neither.
fn furnish(space: &mut AddressSpace, cpu: u32, page: Frame) -> Result<(), Error> {
    let stack = trap_stack_top(cpu) - TRAP_STACK_BYTES;
    let (flags, backing) = (MapFlags::EXACT, Backing::Anonymous);
    space.map(stack, TRAP_STACK_BYTES, READ_WRITE, flags, backing)?;
    let pinned = space.pin(dispatcher_page(cpu), page, READ_WRITE);
    if pinned.is_err() {
        // It was just mapped whole, so nothing has to be split.
        let _ = space.unmap(stack, TRAP_STACK_BYTES);
        return pinned;
    }
    space.join(cpu);
    Ok(())
}

/// Puts a call slot's stack and pages in place, or nothing.
fn place(space: &mut AddressSpace, base: u64, input: Frame, output: Frame) -> Result<(), Error> {
    if !space.regions().is_free(base, base + CALL_SLOT_BYTES) {
        return Err(Error::Occupied);
    }
    let stack = base + CALL_SLOT_STACK_TOP - CALL_SLOT_STACK_BYTES;
    let (flags, backing) = (MapFlags::EXACT, Backing::Anonymous);
    space.map(stack, CALL_SLOT_STACK_BYTES, READ_WRITE, flags, backing)?;
    let pinned = space.pin(base + CALL_SLOT_INPUT, input, Protection::READ);
    if pinned.is_err() {
        // It was just mapped whole, so nothing has to be split.
        let _ = space.unmap(stack, CALL_SLOT_STACK_BYTES);
        return pinned;
    }
    // This cannot fail: the other page made the table, and the place is free.
    space.pin(base + CALL_SLOT_OUTPUT, output, READ_WRITE)
}
