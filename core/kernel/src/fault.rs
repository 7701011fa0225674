//! What becomes of the processor's exceptions.
//!
//! A page fault that the regions allow is resolved and never seen by anyone. Everything else that
//! user code does is told to its process at its trap entry; a process without one, or one that
//! traps again meanwhile, is ended. In the kernel only the user copies may fault.

use core::sync::atomic::Ordering;

use kiln_object::dispatcher::{PARKED_FAULT_VECTOR, SOFT_INTERRUPT_VECTOR, fault_cause};
use kiln_object::layout::{USER_END, dispatcher_page, trap_stack_top};
use kiln_object::trace::Reason;
use kiln_object::trace::directory::Counter;

use crate::call::{current_dispatcher, run};
use crate::interrupt::InterruptFrame;
use crate::memory::address_space::{Access, WAITS};
use crate::memory::paged_file::{Fill, Wait};
use crate::memory::{fixup, frames};
use crate::process::{Dispatcher, post_mortem};
use crate::schedule::page_wait::{self, PageWait};
use crate::soft_interrupt;

/// The page-fault exception.
const PAGE_FAULT: u64 = 14;

/// Handles an exception other than those with a stack of their own.
pub fn exception(frame: &mut InterruptFrame) {
    let address = if frame.vector == PAGE_FAULT {
        fault_address()
    } else {
        0
    };
    let in_copy = if frame.from_user() {
        None
    } else {
        fixup::lookup(frame.rip)
    };
    if !frame.from_user() && in_copy.is_none() {
        crate::panic::exception(frame);
    }
    if let Some(dispatcher) = current_dispatcher() {
        dispatcher.account().count(Counter::Faults);
    }
    crate::event!(Fault, fault_small(frame), address, frame.rip);
    let cause = if frame.vector == PAGE_FAULT {
        match resolve(address, frame.error, frame.from_user()) {
            Ok(()) => {
                crate::event!(FaultDone, 0);
                return;
            }
            Err(cause) => cause,
        }
    } else {
        fault_cause::NONE
    };
    unresolved(frame, address, in_copy, cause);
}

/// Sees to an exception that is not over with a page that was made present.
#[cold]
#[inline(never)]
fn unresolved(frame: &mut InterruptFrame, address: u64, in_copy: Option<u64>, cause: u64) {
    let mut cause = cause;
    if cause == WAITS {
        // While it waits it is not in the fault.
        crate::event!(FaultDone, 0);
        match wait_for_page(frame, address, in_copy.is_some()) {
            Ok(()) => return,
            Err(other) => cause = other,
        }
    } else {
        crate::event!(FaultDone, 1);
    }
    match in_copy {
        Some(fixup) => frame.rip = fixup,
        None if cause == fault_cause::NO_MEMORY => out_of_memory(),
        None => deliver(frame, address, cause),
    }
}

/// Sees to a touch of a page that a server has to bring: has the thread parked, lets the activation wait,
/// or notes for a copy of the kernel what it would wait for and answers [`WAITS`].
fn wait_for_page(frame: &mut InterruptFrame, address: u64, in_copy: bool) -> Result<(), u64> {
    let Some(dispatcher) = current_dispatcher() else {
        return Err(fault_cause::UNMAPPED);
    };
    let mapped = dispatcher.process().change(|space| space.paged_at(address));
    // What was mapped there may have changed meanwhile.
    let Some((file, number)) = mapped else {
        return Ok(());
    };
    let wait = match file.wait(number) {
        Wait::Over => return Ok(()),
        Wait::NoMemory => return Err(fault_cause::NO_MEMORY),
        Wait::For(fill) => {
            if !in_copy && park(frame, dispatcher, address, &fill) {
                return Ok(());
            }
            PageWait::until(fill, address)
        }
        Wait::Later => PageWait::for_a_while(address),
    };
    // Whoever waits long may be the last to have the file.
    drop(file);
    if in_copy {
        page_wait::note(wait);
        return Err(WAITS);
    }
    page_wait::wait(frame, wait);
    Err(fault_cause::NO_MEMORY)
}

/// Tells the process that its running thread waits for `fill`, if it can be told.
fn park(
    frame: &mut InterruptFrame,
    dispatcher: &'static Dispatcher,
    address: u64,
    fill: &Fill,
) -> bool {
    let page = dispatcher.page();
    let entry = dispatcher.process().entries.trap();
    if entry == 0
        || !page.attention().is_preemptible()
        || !soft_interrupt::may_be_stopped(dispatcher, frame.rip)
        || page.waits_whole.swap(0, Ordering::Relaxed) != 0
        || !page.attention().take_save_area()
    {
        return false;
    }
    let number = dispatcher.begin_wait().filter(|number| {
        let noted = fill.park(dispatcher, *number);
        if !noted {
            dispatcher.cancel_wait(*number);
        }
        noted
    });
    let Some(number) = number else {
        page.attention().leave_save_area();
        return false;
    };
    crate::event!(Park, Reason::Page as u32, address);
    let told = [
        PARKED_FAULT_VECTOR,
        u64::from(number),
        address,
        fault_cause::NONE,
    ];
    enter(frame, dispatcher, entry, told);
    true
}

/// Ends the process that needs a page when there is none: its own handlers would need one, too.
fn out_of_memory() -> ! {
    const KILLED: u32 = 128 + 9;
    crate::error!(
        "out of memory: all {} KiB that the image and the kernel leave are in use",
        frames::total_bytes() >> 10
    );
    run::end_current("needed another page", KILLED)
}

/// The exception's number and the low byte of its error code, as events have them.
fn fault_small(frame: &InterruptFrame) -> u32 {
    (frame.error as u32 & 0xff) << 16 | frame.vector as u32 & 0xffff
}

fn fault_address() -> u64 {
    let address: u64;
    // SAFETY: reads CR2 only.
    unsafe {
        core::arch::asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags));
    }
    address
}

/// Makes the page present if the process may touch it so. Error code bits: SDM volume 3, 4.7.
fn resolve(address: u64, error: u64, from_user: bool) -> Result<(), u64> {
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const RESERVED: u64 = 1 << 3;
    const FETCH: u64 = 1 << 4;
    const KEY: u64 = 1 << 5;
    if address >= USER_END || error & (RESERVED | KEY) != 0 {
        return Err(fault_cause::UNMAPPED);
    }
    if from_user && error & (PRESENT | USER) == PRESENT {
        // User code whose access counts as the kernel's (emulators do so with far returns): the page is
        // there and will be refused again, for ever if it were tried.
        return Err(fault_cause::PROTECTION);
    }
    let access = if error & WRITE != 0 {
        Access::Write
    } else if error & FETCH != 0 {
        Access::Execute
    } else {
        Access::Read
    };
    let dispatcher = current_dispatcher().ok_or(fault_cause::UNMAPPED)?;
    dispatcher
        .process()
        .change(|space| space.resolve(address, access))
}

/// Tells the process at its trap entry.
fn deliver(frame: &mut InterruptFrame, address: u64, cause: u64) {
    let Some(dispatcher) = current_dispatcher() else {
        crate::panic::exception(frame);
    };
    let entry = dispatcher.process().entries.trap();
    if entry == 0 || !dispatcher.page().attention().take_save_area() {
        post_mortem::exception(frame, address, cause);
        run::end_current("could not handle it", 128 + 11);
    }
    let (vector, error) = (frame.vector, frame.error);
    enter(frame, dispatcher, entry, [vector, error, address, cause]);
}

/// Tells the process at its trap entry that soft interrupts are pending; false if it has none or is
/// in it.
pub(crate) fn deliver_soft_interrupt(frame: &mut InterruptFrame, dispatcher: &Dispatcher) -> bool {
    let entry = dispatcher.process().entries.trap();
    if entry == 0 || !dispatcher.page().attention().take_save_area() {
        return false;
    }
    crate::event!(
        SoftInterrupt,
        0,
        dispatcher.process().id().raw(),
        dispatcher.page().attention().pending()
    );
    let told = [SOFT_INTERRUPT_VECTOR, 0, 0, fault_cause::NONE];
    enter(frame, dispatcher, entry, told);
    true
}

/// Saves the context with `told` (vector, error, address, cause), and goes on at `entry`.
fn enter(frame: &mut InterruptFrame, dispatcher: &Dispatcher, entry: u64, told: [u64; 4]) {
    save(frame, dispatcher);
    let trap = &dispatcher.page().trap;
    let words = [&trap.vector, &trap.error, &trap.address, &trap.cause];
    for (word, value) in words.into_iter().zip(told) {
        word.store(value, Ordering::Relaxed);
    }
    let cpu = dispatcher.cpu();
    let page = dispatcher_page(cpu);
    *frame = InterruptFrame {
        rip: entry,
        rsp: trap_stack_top(cpu),
        rdi: page,
        ..InterruptFrame::default()
    };
    frame.set_user_mode();
}

fn save(frame: &InterruptFrame, dispatcher: &Dispatcher) {
    let saved = &dispatcher.page().trap.registers;
    for (register, value) in [
        (&saved.r15, frame.r15),
        (&saved.r14, frame.r14),
        (&saved.r13, frame.r13),
        (&saved.r12, frame.r12),
        (&saved.r11, frame.r11),
        (&saved.r10, frame.r10),
        (&saved.r9, frame.r9),
        (&saved.r8, frame.r8),
        (&saved.rbp, frame.rbp),
        (&saved.rdi, frame.rdi),
        (&saved.rsi, frame.rsi),
        (&saved.rdx, frame.rdx),
        (&saved.rcx, frame.rcx),
        (&saved.rbx, frame.rbx),
        (&saved.rax, frame.rax),
        (&saved.rip, frame.rip),
        (&saved.rflags, frame.rflags),
        (&saved.rsp, frame.rsp),
    ] {
        register.store(value, Ordering::Relaxed);
    }
}
