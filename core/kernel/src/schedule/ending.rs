//! The end of a process, on however many processors it is.
//!
//! Whoever ends it takes its name away and asks every processor to let go of it; each does so when it
//! is not in the kernel on anybody's behalf. The last one gives its memory back: by then no processor
//! runs it, calls it, or holds a reference to it that was found by name.

use core::sync::atomic::Ordering;

use kiln_object::ObjectName;
use kiln_object::call::ReturnWord;
use spin::Mutex;

use super::cpu::{self, Here, Request};
use super::flush::bits;
use super::{remote, run, start};
use crate::call::activation::{Activation, Handed, State};
use crate::call::entry::CallFrame;
use crate::call::local::{clear_current, current_activation, set_thread_pointer};
use crate::call::native::clear;
use crate::call::{current_dispatcher, set_current};
use crate::power::{self, ExitStatus};
use crate::process::{Dispatcher, Process, post_mortem};
use crate::processor::{self, PerCpu};
use crate::time;

/// The first of the processes that some processor has not let go of yet; they are linked.
static ENDING: Mutex<Option<&'static Process>> = Mutex::new(None);

/// Ends the current process with a status that it chose.
pub fn exit_current(status: u32) -> ! {
    let Some(dispatcher) = current_dispatcher() else {
        power::off(ExitStatus::Panic)
    };
    post_mortem::exit(status);
    end(dispatcher.process(), status);
    run::leave()
}

/// Ends the current process because of what it did.
pub fn end_current(what: &str, status: u32) -> ! {
    let Some(dispatcher) = current_dispatcher() else {
        power::off(ExitStatus::Panic)
    };
    let process = dispatcher.process();
    crate::error!("{} {what} and was ended", process.name());
    end(process, status);
    run::leave()
}

/// Ends `process`. If it is the running one, the caller leaves it at once.
pub(super) fn end(process: &'static Process, status: u32) {
    announce_end(process, status);
    if let Some(here) = cpu::here() {
        // Even if it is another processor that ends it, and has not come to ask this one yet.
        leave_process(here, process);
        let_go(here);
    }
}

/// Ends `process`, of which this processor lets go, as the others do, when it leaves whatever it is
/// doing now.
pub fn end_later(process: &'static Process, status: u32) {
    announce_end(process, status);
    let own = PerCpu::number();
    cpu::ask(own, Request::End);
    // Others wait for this one, which may be going back to a program that computes.
    processor::wake(own);
}

fn announce_end(process: &'static Process, status: u32) {
    if process.is_program() {
        power::off(ExitStatus::Code((status & 0xff) as u8));
    }
    let own = PerCpu::number();
    if process.mark_ended(status) {
        crate::process::tell_of_death();
        let cpus = start::scheduling() | 1 << own;
        process.awaited.store(cpus, Ordering::SeqCst);
        let mut first = ENDING.lock();
        process.set_next_ending(first.replace(process));
        drop(first);
        for number in bits(cpus & !(1 << own)) {
            cpu::ask(number, Request::End);
        }
    }
}

/// Takes the running activation out of `process`, which has ended, if it is there.
fn leave_process(here: Here, process: &'static Process) {
    let Some(running) = current_dispatcher() else {
        return;
    };
    if !core::ptr::eq(running.process(), process) {
        return;
    }
    running.inside().abandon();
    // The tables that are loaded go away.
    clear_current();
    if let Some(activation) = current_activation()
        && matches!(activation.state(), State::Running)
    {
        here.queue().account(activation, time::monotonic_ns());
        activation.strand(process);
    }
}

/// Lets go of all processes that this processor has not let go of yet.
pub(super) fn let_go(here: Here) {
    let own = 1 << PerCpu::number();
    while let Some(process) = first_awaiting(own) {
        leave_process(here, process);
        here.queue().forget(process);
        remote::abandon(process);
        // Whoever waits for room there is told the same as other callers.
        if let Some(dispatcher) = process.made_dispatcher(PerCpu::number()) {
            dispatcher.waiters().wake();
        }
        if process.awaited.fetch_and(!own, Ordering::SeqCst) == own {
            unlink(process);
            process.release();
            crate::process::ended(process);
        }
    }
}

fn first_awaiting(cpu: u64) -> Option<&'static Process> {
    let first = ENDING.lock();
    let mut next = *first;
    while let Some(process) = next {
        if process.awaited.load(Ordering::SeqCst) & cpu != 0 {
            return next;
        }
        next = process.next_ending();
    }
    None
}

fn unlink(process: &'static Process) {
    let mut first = ENDING.lock();
    if first.is_some_and(|first| core::ptr::eq(first, process)) {
        *first = process.next_ending();
        return;
    }
    let mut before = *first;
    while let Some(other) = before {
        before = other.next_ending();
        if before.is_some_and(|next| core::ptr::eq(next, process)) {
            other.set_next_ending(process.next_ending());
            return;
        }
    }
}

/// Ends a call whose caller has ended meanwhile, or is on another processor: those further out are told,
/// or he is.
#[cold]
pub fn give_back_to_nobody(
    frame: &mut CallFrame,
    callee: &Dispatcher,
    activation: &'static Activation,
    slot: u16,
) {
    if remote::answered(activation, callee, slot, frame) {
        callee.free_slot(slot);
        return run::next(frame);
    }
    callee.free_slot(slot);
    if !unwind(activation, frame) {
        run::next(frame);
    }
}

/// Takes back what was given to `process` in a call that is not answered: it will never know the names.
pub(super) fn take_back(process: &Process, handed: Handed) {
    for name in handed.into_iter().flatten() {
        // One that it gave back by a guess is gone already.
        let _ = process.release_object(ObjectName::from_raw(name.get()));
    }
}

/// Answers the innermost caller that still lives; without one the activation has ended.
pub(super) fn unwind(activation: &Activation, frame: &mut CallFrame) -> bool {
    loop {
        let handed = activation.take_handed();
        let Some(record) = activation.pop() else {
            activation.set_state(State::Ended);
            return false;
        };
        let Some(caller) = record.caller else {
            // Its callee has ended with it or was left before: the slot is nobody's.
            continue;
        };
        take_back(caller.process(), handed);
        set_current(caller);
        set_thread_pointer(record.thread_pointer);
        record.extended.reveal();
        frame.rip = record.rip;
        frame.rsp = record.rsp;
        clear(frame);
        let reason = activation.take_reason().code();
        frame.rax = ReturnWord::answer(reason, 0);
        crate::event!(
            Return,
            u32::from(reason) | (activation.depth() as u32) << 16
        );
        return true;
    }
}
