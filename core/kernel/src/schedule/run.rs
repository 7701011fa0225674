//! What a CPU does when the running activation cannot go on: the next one, or nothing.

use kiln_object::Error;
use kiln_object::call::{CallWord, Operation, ReturnWord};
use kiln_object::trace::Reason;

use super::cpu::{self, Here};
use super::ending::unwind;
use super::queue::Verdict;
use super::remote::RemoteCall;
use super::{limit, page_wait, remote, start};
use crate::call::activation::{Activation, Context, State, Until};
use crate::call::crossing::again;
use crate::call::entry::{CallFrame, USER_FLAGS, enter_user};
use crate::call::extended_state;
use crate::call::local::{
    clear_current, current_activation, set_activation, set_thread_pointer, take_thread_pointer,
};
use crate::call::native::{answer_error, clear};
use crate::call::{current_dispatcher, set_current};
use crate::interrupt::{self, InterruptFrame};
use crate::process::{Dispatcher, Process};
use crate::processor::{self, PerCpu};
use crate::{soft_interrupt, time};

/// Leaves whatever ran, which has ended: whoever was started in its place goes first.
pub(super) fn leave() -> ! {
    let mut frame = CallFrame {
        rflags: USER_FLAGS,
        ..CallFrame::default()
    };
    next(&mut frame);
    // SAFETY: the current dispatcher is set and the frame filled with a user context.
    unsafe { enter_user(&frame) }
}

/// Lets the caller wait: its activation goes on when a soft interrupt is pending for the calling
/// dispatcher or at `deadline` (monotonic ns).
pub fn wait(frame: &mut CallFrame, deadline: u64) {
    let (Some(dispatcher), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return;
    };
    let extended = match activation.hide_extended_state() {
        Ok(extended) => extended,
        Err(error) => return answer_error(frame, error),
    };
    crate::event!(Wait, Reason::SoftInterrupt as u32, deadline);
    let now = time::monotonic_ns();
    if let Some(here) = cpu::here() {
        here.queue().account(activation, now);
    }
    let give_up = limit::patience(activation, dispatcher, now);
    activation.set_give_up(give_up);
    activation.set_state(State::Waiting {
        dispatcher,
        deadline: deadline.min(give_up),
        rip: frame.rip,
        rsp: frame.rsp,
        thread_pointer: take_thread_pointer(),
        extended,
    });
    next(frame);
}

/// Lets the caller, which calls `target`, wait until that is ready or has ended; then it makes its
/// call again.
///
/// # Errors
/// `Exhausted` without memory for its vector state.
pub fn wait_for_start(frame: &mut CallFrame, target: &'static Process) -> Result<(), Error> {
    call_later(frame, Until::Ready(target, target.id()))
}

/// Stops the caller until then; it makes its call again.
///
/// # Errors
/// `Exhausted` without memory for its vector state; `TimedOut` if it has waited for room for too long.
pub(super) fn call_later(frame: &mut CallFrame, until: Until) -> Result<(), Error> {
    let (Some(dispatcher), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return Err(Error::BadMethod);
    };
    let now = time::monotonic_ns();
    let give_up = match until {
        Until::Room(_, target) if activation.depth() != 0 => {
            let first = limit::patience_for_room(dispatcher.process(), target, now);
            let is_call = CallWord(frame.rax).tag() == Operation::Call as u16;
            if is_call {
                activation.wait_for_room(target.id(), first)
            } else {
                first
            }
        }
        _ if activation.depth() != 0 => u64::MAX,
        _ => dispatcher.process().start_deadline(),
    };
    if activation.depth() != 0 && give_up <= now {
        activation.end_wait_for_room();
        return Err(Error::TimedOut);
    }
    let extended = activation.hide_extended_state()?;
    crate::event!(Wait, until.reason() as u32, until.whom().raw());
    if let Some(here) = cpu::here() {
        here.queue().account(activation, now);
    }
    activation.set_give_up(give_up);
    activation.set_call(*frame);
    activation.set_state(State::Calling {
        dispatcher,
        until,
        thread_pointer: take_thread_pointer(),
        extended,
    });
    next(frame);
    Ok(())
}

/// Fills `frame` with the next activation that can go on, waiting for one if there is none.
pub(super) fn next(frame: &mut CallFrame) {
    loop {
        let Some(here) = cpu::here() else {
            processor::stop()
        };
        here.attend();
        if let Some(activation) = here.queue().take_turn(time::monotonic_ns()) {
            if resume(activation, frame) {
                return;
            }
            continue;
        }
        if !start::scheduling().is_power_of_two() && here.poll() {
            continue;
        }
        clear_current();
        let deadline = here.queue().earliest_deadline(time::monotonic_ns());
        crate::event!(Idle, 0, deadline);
        time::timer::arm(deadline);
        processor::wait_for_interrupt();
    }
}

/// After an interrupt that came from user mode: does what other processors ask for, and goes on with
/// something else if what was interrupted has ended or its turn is over.
pub fn after_interrupt(frame: &mut InterruptFrame) {
    let Some(here) = cpu::here() else { return };
    here.attend();
    if current_dispatcher().is_none() {
        leave();
    }
    if here.reconsider().take() {
        reconsider(here, frame);
    }
    soft_interrupt::after_interrupt(frame);
}

/// The scheduler's timer: what is to be done is done on the way out of the interrupt.
pub(super) fn expired() {
    if let Some(here) = cpu::here() {
        here.reconsider().set(true);
    }
}

/// Tells the scheduler that `dispatcher`, on this processor, has a reason to run.
pub fn woken(dispatcher: &Dispatcher) {
    let (Some(here), Some(running)) = (cpu::here(), current_activation()) else {
        return;
    };
    if !matches!(running.state(), State::Running) || core::ptr::eq(running.home(), dispatcher) {
        return;
    }
    here.reconsider().set(true);
    let now = time::monotonic_ns();
    let turn = here.queue().turn_of(dispatcher, running, now);
    if turn < here.armed().get() {
        here.armed().set(turn);
        time::timer::arm(turn);
    }
}

/// Has all calls that `server` may serve on the running processor return in the general way.
pub fn watch_returns_from(server: &Dispatcher) {
    let Some(here) = cpu::here() else { return };
    let now = time::monotonic_ns();
    here.queue().for_each(|activation| {
        let (innermost, busy) = match activation.state() {
            State::Running => (current_dispatcher(), activation.busy(now)),
            State::Waiting { dispatcher, .. }
            | State::Calling { dispatcher, .. }
            | State::Faulted { dispatcher, .. }
            | State::Preempted { dispatcher } => (Some(dispatcher), activation.busy_so_far()),
            _ => (None, activation.busy_so_far()),
        };
        activation.watch_returns_from(server, innermost, busy);
    });
}

/// Has the processors in `cpus`, a mask, look whether an activation of theirs that was stopped can go on.
pub fn wake_stopped(cpus: u64) {
    let own = 1 << PerCpu::number();
    if cpus & own != 0 {
        look_again();
    }
    cpu::wake(cpus & !own);
}

/// Another activation of this processor can go on: finds out when it does.
fn look_again() {
    let (Some(here), Some(running)) = (cpu::here(), current_activation()) else {
        return;
    };
    if matches!(running.state(), State::Running) {
        here.reconsider().set(true);
        arm(here, running, time::monotonic_ns());
    }
}

fn arm(here: Here, activation: &Activation, now: u64) {
    let until = match here.queue().judge(activation, now) {
        Verdict::Stop => now,
        Verdict::RunUntil(until) => until.min(limit::next_look(here, now)),
    };
    here.armed().set(until);
    time::timer::arm(until);
}

/// Stops what was interrupted if another is to run.
fn reconsider(here: Here, frame: &InterruptFrame) {
    let (Some(dispatcher), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return;
    };
    let now = time::monotonic_ns();
    here.queue().account(activation, now);
    if limit::look(activation, dispatcher, frame, now) {
        leave();
    }
    if here.queue().judge(activation, now) == Verdict::Stop
        && let Ok(extended) = activation.hide_extended_state()
    {
        activation.set_context(Context::of(frame, extended));
        activation.set_state(State::Preempted { dispatcher });
        leave();
    }
    arm(here, activation, now);
}

/// Nanoseconds of processor time that the running activation has used.
#[must_use]
pub fn processor_time() -> u64 {
    current_activation().map_or(0, |activation| activation.busy(time::monotonic_ns()))
}

/// Fills `frame` with where the activation goes on; false if there is no such place left.
fn resume(activation: &'static Activation, frame: &mut CallFrame) -> bool {
    set_activation(activation);
    match activation.state() {
        State::New { entry } => {
            set_current(activation.home());
            set_thread_pointer(0);
            extended_state::reset();
            clear(frame);
            frame.rip = entry.address;
            frame.rsp = entry.stack;
            frame.rdi = entry.argument;
        }
        State::Waiting {
            dispatcher,
            rip,
            rsp,
            thread_pointer,
            extended,
            ..
        } => {
            set_current(dispatcher);
            let has_news = || dispatcher.page().attention().pending() != 0;
            if activation.give_up() != u64::MAX
                && !has_news()
                && limit::end_overdue(activation, dispatcher, rip, rsp)
            {
                return false;
            }
            set_thread_pointer(thread_pointer);
            extended.reveal();
            frame.rip = rip;
            frame.rsp = rsp;
            clear(frame);
            frame.rax = ReturnWord::answer(0, 0);
            frame.rdx = dispatcher.page().attention().pending();
        }
        State::Calling {
            dispatcher,
            until,
            thread_pointer,
            extended,
        } => {
            set_current(dispatcher);
            let call = activation.call();
            let is_late = activation.give_up() != u64::MAX && !until.is_over();
            if is_late
                && activation.depth() == 0
                && limit::end_overdue(activation, dispatcher, call.rip, call.rsp)
            {
                return false;
            }
            set_thread_pointer(thread_pointer);
            extended.reveal();
            *frame = call;
            if is_late && activation.depth() != 0 {
                activation.end_wait_for_room();
                answer_error(frame, Error::TimedOut);
            } else {
                again(frame);
            }
        }
        State::Called { call, .. } => {
            if !remote::enter(activation, call, frame) {
                return false;
            }
        }
        State::Preempted { dispatcher } => {
            set_current(dispatcher);
            go_on_where_stopped(activation)
        }
        State::Faulted { dispatcher, then } => {
            if !page_wait::resume(activation, dispatcher, then, frame) {
                return false;
            }
        }
        State::Stranded { .. } => {
            if !unwind(activation, frame) {
                return false;
            }
        }
        State::Running | State::Ended => return false,
    }
    go_on(activation);
    true
}

/// Goes on with the context that `activation` keeps; its dispatcher is the current one.
pub(super) fn go_on_where_stopped(activation: &Activation) -> ! {
    let context = activation.context();
    set_thread_pointer(context.thread_pointer);
    processor::set_user_gs(context.user_gs);
    context.extended.reveal();
    go_on(activation);
    // SAFETY: the context is of user mode, and its dispatcher and tables are set.
    unsafe { interrupt::resume(&context.vector, &context.frame) }
}

/// Notes that the activation runs, and until when it does.
fn go_on(activation: &Activation) {
    crate::event!(
        Switch,
        (activation.depth() as u32) << 16 | activation.remote_call().map_or(0, RemoteCall::serving),
        activation.home().process().id().raw(),
        current_dispatcher().map_or(0, |dispatcher| dispatcher.process().id().raw())
    );
    let now = time::monotonic_ns();
    activation.begin(now);
    activation.set_state(State::Running);
    if let Some(here) = cpu::here() {
        arm(here, activation, now);
    }
}
