//! A process on one CPU: the page it shares with the kernel, and its call slots.
//!
//! A call slot is a stack and two message pages at a fixed place. The kernel picks the lowest free
//! one for each call, so that the warm one is used again, and trusts nothing in user memory for it.

use core::cell::{Cell, UnsafeCell};

use alloc::boxed::Box;
use kiln_interface::kernel::{MapFlags, Protection};
use kiln_object::Error;
use kiln_object::dispatcher::DispatcherPage;
use kiln_object::layout::{
    CALL_SLOT_BASE, CALL_SLOT_BYTES, CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, CALL_SLOT_STACK_BYTES,
    CALL_SLOT_STACK_TOP, CALL_SLOTS, TRAP_STACK_BYTES, call_slot, dispatcher_page, trap_stack_top,
};

use super::Process;
use crate::memory::address_space::AddressSpace;
use crate::memory::frames::{self, Frame};
use crate::memory::region::Backing;
use crate::trace::{self, Account};

// A slot's pages share a page table: see `place`.
const _: () =
    assert!(CALL_SLOT_BASE.is_multiple_of(CALL_SLOT_BYTES) && (2 << 20) % CALL_SLOT_BYTES == 0);

#[derive(Clone, Copy)]
struct Pages {
    input: Frame,
    output: Frame,
}

/// A process on one CPU. Only that CPU uses it, inside the kernel, which is not interrupted.
pub struct Dispatcher {
    process: &'static Process,
    cpu: u32,
    page: Frame,
    free_slots: Cell<u16>,
    /// When its timer expires: monotonic ns; `u64::MAX` for never.
    pub timer: Cell<u64>,
    slots: UnsafeCell<[Option<Pages>; CALL_SLOTS]>,
    account: Account,
}

// SAFETY: see the type: the cells are used by one CPU, and only in the kernel.
unsafe impl Sync for Dispatcher {}
// SAFETY: as above.
unsafe impl Send for Dispatcher {}

impl Dispatcher {
    /// Makes the dispatcher with its shared page.
    pub(super) fn create(process: &'static Process, cpu: u32) -> Result<Box<Dispatcher>, Error> {
        let page = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        let address = dispatcher_page(cpu);
        let furnished = process.change(|space| furnish(space, cpu, page));
        if let Err(error) = furnished {
            frames::free(page);
            return Err(error);
        }
        let dispatcher = Dispatcher {
            process,
            cpu,
            page,
            free_slots: Cell::new(!0),
            timer: Cell::new(u64::MAX),
            slots: UnsafeCell::new([None; CALL_SLOTS]),
            account: Account::new(),
        };
        let shared = dispatcher.page();
        shared
            .self_address
            .store(address, core::sync::atomic::Ordering::Relaxed);
        shared.cpu.store(cpu, core::sync::atomic::Ordering::Relaxed);
        let dispatcher = Box::new(dispatcher);
        trace::enter_dispatcher(&dispatcher);
        Ok(dispatcher)
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

    /// Gives its pages back. Its process has ended and no CPU uses it any more.
    pub(super) fn release(&self) {
        frames::free(self.page);
        // SAFETY: by the contract nobody uses the slots.
        for pages in unsafe { &mut *self.slots.get() }
            .iter_mut()
            .filter_map(Option::take)
        {
            frames::free(pages.input);
            frames::free(pages.output);
        }
    }

    /// The shared page.
    #[must_use]
    pub fn page(&self) -> &DispatcherPage {
        // SAFETY: the frame is the dispatcher's for good, page-aligned, and every field is atomic.
        unsafe { &*self.page.pointer().cast::<DispatcherPage>() }
    }

    /// The shared page for entry code.
    #[inline(always)]
    #[must_use]
    pub fn page_pointer(&self) -> *mut u8 {
        self.page.pointer()
    }

    /// Takes the lowest free call slot.
    ///
    /// # Errors
    /// `Busy` if all are in use, `Exhausted` without memory for a slot used for the first time.
    #[inline(always)]
    pub fn take_slot(&self) -> Result<u8, Error> {
        let free = self.free_slots.get();
        if free == 0 {
            return Err(Error::Busy);
        }
        let slot = free.trailing_zeros() as u8;
        if self.pages(slot).is_none() {
            self.furnish(slot)?;
        }
        self.free_slots.set(free & (free - 1));
        Ok(slot)
    }

    /// Gives a slot back.
    #[inline(always)]
    pub fn free_slot(&self, slot: u8) {
        self.free_slots.set(self.free_slots.get() | 1 << slot);
    }

    #[inline(always)]
    fn pages(&self, slot: u8) -> Option<Pages> {
        // SAFETY: this CPU alone touches the slots; no `&mut` to them outlives `furnish`.
        unsafe { &*self.slots.get() }
            .get(usize::from(slot))
            .copied()
            .flatten()
    }

    /// Gives a slot its stack and message pages; all of them or none, so that it can be tried again.
    #[cold]
    fn furnish(&self, slot: u8) -> Result<(), Error> {
        let input = frames::allocate_zeroed().ok_or(Error::Exhausted)?;
        let Some(output) = frames::allocate_zeroed() else {
            frames::free(input);
            return Err(Error::Exhausted);
        };
        if let Err(error) = self.place(call_slot(self.cpu, usize::from(slot)), input, output) {
            frames::free(input);
            frames::free(output);
            return Err(error);
        }
        // SAFETY: as in `pages`.
        if let Some(place) = unsafe { &mut *self.slots.get() }.get_mut(usize::from(slot)) {
            *place = Some(Pages { input, output });
        }
        Ok(())
    }

    fn place(&self, base: u64, input: Frame, output: Frame) -> Result<(), Error> {
        self.process
            .change(|space| place(space, base, input, output))
    }

    /// The first `bytes` of a taken slot's page for bytes in.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the page is outside the dispatcher")]
    pub fn input(&self, slot: u8, bytes: usize) -> &mut [u8] {
        match self.pages(slot) {
            // SAFETY: the frame is pinned for the slot, the slot was taken by this call alone, and
            // user code does not run meanwhile on this CPU, the only one that knows the slot.
            Some(pages) => unsafe {
                core::slice::from_raw_parts_mut(pages.input.pointer(), bytes.min(4096))
            },
            None => &mut [],
        }
    }

    /// The first `bytes` of a taken slot's page for bytes out.
    #[inline(always)]
    #[must_use]
    pub fn output(&self, slot: u8, bytes: usize) -> &[u8] {
        match self.pages(slot) {
            // SAFETY: as in `input`; another CPU running the same process may write the page
            // meanwhile and change what is copied out, but no more than the bytes of its own answer.
            Some(pages) => unsafe {
                core::slice::from_raw_parts(pages.output.pointer(), bytes.min(4096))
            },
            None => &[],
        }
    }
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
