//! Activations that wait for pages which servers bring.
//!
//! Whoever touched the page touches it again when it has come or will not: the second time it is there, or
//! the fault is one like any other. That includes the kernel's own copies: a call whose bytes could not be
//! read is made again, for nothing has happened yet; an answer whose bytes could not be stored is kept.

use alloc::boxed::Box;
use alloc::sync::Arc;

use kiln_object::Error;
use kiln_object::call::{MESSAGE_BYTES, RETURN_WORDS, ReturnWord};
use kiln_object::trace::Reason;

use super::run::{go_on_where_stopped, leave, next};
use super::{cpu, limit};
use crate::call::activation::{Activation, Context, State, Then, peek};
use crate::call::crossing::again;
use crate::call::entry::{CallFrame, USER_FLAGS, enter_user};
use crate::call::extended_state::Saved;
use crate::call::local::{current_activation, set_thread_pointer, take_thread_pointer};
use crate::call::native::clear;
use crate::call::{current_dispatcher, set_current};
use crate::interrupt::InterruptFrame;
use crate::memory::paged_file::Fill;
use crate::memory::user_copy;
use crate::process::Dispatcher;
use crate::processor::PerCpu;
use crate::time;

/// Until the page is touched again if it could not be asked for, in ns.
const RETRY_NS: u64 = 1_000_000;

/// What an activation waits for.
pub struct PageWait {
    /// Where it was touched.
    address: u64,
    fill: Option<Arc<Fill>>,
    /// Monotonic ns; `u64::MAX` for never.
    deadline: u64,
}

impl PageWait {
    /// Until `fill` is done, which brings the page at `address`; an activation of the running processor waits.
    #[must_use]
    pub fn until(fill: Arc<Fill>, address: u64) -> Self {
        fill.await_on(PerCpu::number());
        Self {
            address,
            fill: Some(fill),
            deadline: u64::MAX,
        }
    }

    /// For a while, because nobody could be asked for the page at `address`.
    #[must_use]
    pub fn for_a_while(address: u64) -> Self {
        Self {
            address,
            fill: None,
            deadline: time::monotonic_ns() + RETRY_NS,
        }
    }

    /// Where it was touched.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Notes that somebody waits so.
    pub fn count(&self) {
        if let Some(fill) = &self.fill {
            fill.count_waiter();
        }
    }

    /// When its pager has taken too long (monotonic ns); `u64::MAX` for never.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.fill.as_ref().map_or(u64::MAX, |fill| fill.due())
    }

    /// When it is over at the latest (monotonic ns); zero if it is.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        if self.fill.as_ref().is_some_and(|fill| fill.is_done()) {
            0
        } else {
            self.deadline
        }
    }
}

/// Bytes for a process.
pub struct KeptAnswer {
    to: u64,
    length: usize,
    bytes: [u8; MESSAGE_BYTES],
}

/// Notes what the copy that just failed has to wait for.
pub fn note(wait: PageWait) {
    if let Some(here) = cpu::here() {
        here.noted().set(Some(wait));
    }
}

/// Whether the copy that just failed has to wait for a page that comes.
pub fn is_noted() -> bool {
    cpu::here().is_some_and(|here| peek(here.noted(), |_| ()).is_some())
}

/// Whether bytes of the running activation's answer are kept.
pub fn is_kept() -> bool {
    current_activation().is_some_and(Activation::has_answer)
}

fn take_noted() -> Option<PageWait> {
    cpu::here()?.noted().take()
}

/// Lets what was interrupted wait. Comes back only without memory for its vector state.
pub fn wait(frame: &InterruptFrame, wait: PageWait) {
    let (Some(dispatcher), Some(activation)) = (current_dispatcher(), current_activation()) else {
        return;
    };
    let Some(extended) = stop(dispatcher, activation, wait.address, wait.due()) else {
        return;
    };
    activation.set_context(Context::of(frame, extended));
    activation.set_page_wait(wait);
    let then = Then::Touch;
    activation.set_state(State::Faulted { dispatcher, then });
    leave();
}

/// Hides the vector state of `activation`, which is about to wait in `dispatcher` for the page at `address`,
/// overdue at `due`, and counts its time until now. `None` without memory for the state.
fn stop(dispatcher: &Dispatcher, activation: &Activation, address: u64, due: u64) -> Option<Saved> {
    let here = cpu::here()?;
    let extended = activation.hide_extended_state().ok()?;
    crate::event!(Wait, Reason::Page as u32, address);
    let now = time::monotonic_ns();
    here.queue().account(activation, now);
    activation.set_give_up(limit::patience_for_page(activation, dispatcher, now, due));
    Some(extended)
}

/// Lets whoever entered the kernel with the registers `frame` wait, if the copy that just failed with
/// [`Error::BadBuffer`] did so for a page that comes; then it enters again. False if it did not.
#[cold]
#[inline(never)]
pub fn enter_again(frame: &mut CallFrame) -> bool {
    take_noted().is_some_and(|wait| enter_when_over(frame, wait, true))
}

/// As [`enter_again`] for an answer: keeps `bytes` for `to`. Who says yes calls [`answer_later`] when
/// all else of the answer is in the frame.
#[cold]
#[inline(never)]
pub fn keep_answer(to: u64, bytes: &[u8]) -> bool {
    let (Some(wait), Some(activation)) = (take_noted(), current_activation()) else {
        return false;
    };
    keep(activation, wait, to, bytes)
}

fn keep(activation: &Activation, wait: PageWait, to: u64, bytes: &[u8]) -> bool {
    if crate::memory::heap::ensure_room(true).is_err() {
        return false;
    }
    let mut kept = Box::new(KeptAnswer {
        to,
        length: bytes.len(),
        bytes: [0; MESSAGE_BYTES],
    });
    let Some(place) = kept.bytes.get_mut(..bytes.len()) else {
        return false;
    };
    place.copy_from_slice(bytes);
    activation.set_page_wait(wait);
    activation.set_answer(Some(kept));
    true
}

/// Lets whoever is answered by `frame` wait until the bytes that were kept could be stored.
pub fn answer_later(frame: &mut CallFrame) {
    let Some(activation) = current_activation() else {
        return;
    };
    if !wait_in_kernel(frame, activation, false) {
        activation.set_answer(None);
        refuse(frame);
    }
}

/// Says that the bytes could not be stored.
fn refuse(frame: &mut CallFrame) {
    frame.rax = ReturnWord::answer(Error::BadBuffer.code(), 0);
}

fn enter_when_over(frame: &mut CallFrame, wait: PageWait, again: bool) -> bool {
    let Some(activation) = current_activation() else {
        return false;
    };
    activation.set_page_wait(wait);
    wait_in_kernel(frame, activation, again)
}

fn wait_in_kernel(frame: &mut CallFrame, activation: &'static Activation, again: bool) -> bool {
    let Some(dispatcher) = current_dispatcher() else {
        return false;
    };
    let (address, due) = (activation.awaited_address(), activation.page_due());
    let Some(extended) = stop(dispatcher, activation, address, due) else {
        return false;
    };
    activation.set_call(*frame);
    let then = Then::Enter {
        again,
        thread_pointer: take_thread_pointer(),
        extended,
    };
    activation.set_state(State::Faulted { dispatcher, then });
    next(frame);
    true
}

/// Where the straight line of a return ends if the answer's bytes cannot be stored: everything else has
/// been done, and `activation` is in its caller again.
pub(crate) unsafe extern "sysv64" fn returned(
    words: &[u64; RETURN_WORDS],
    activation: &'static Activation,
    callee: &'static Dispatcher,
    status: u16,
    bytes: u16,
) -> ! {
    let record = activation.popped().unwrap_or_default();
    let [rdx, r8, r9, r10] = *words;
    let mut frame = CallFrame {
        rax: ReturnWord::answer(status, bytes),
        rdx,
        r8,
        r9,
        r10,
        rip: record.rip,
        rsp: record.rsp,
        rflags: USER_FLAGS,
        ..CallFrame::default()
    };
    // Nobody has used the slot since it was given back.
    let answer = callee.output(record.slot, usize::from(bytes));
    if keep_answer(record.output, answer) {
        answer_later(&mut frame);
    } else {
        refuse(&mut frame);
    }
    // SAFETY: the frame is a user context: the caller's, or what the scheduler has put in its place.
    unsafe { enter_user(&frame) }
}

/// Fills `frame` with where `activation` goes on; false if it waits on.
pub(super) fn resume(
    activation: &'static Activation,
    dispatcher: &'static Dispatcher,
    then: Then,
    frame: &mut CallFrame,
) -> bool {
    set_current(dispatcher);
    let (rip, rsp) = match then {
        Then::Touch => (
            activation.context().frame.rip,
            activation.context().frame.rsp,
        ),
        Then::Enter { .. } => (activation.call().rip, activation.call().rsp),
    };
    if activation.waits_for_page(time::monotonic_ns())
        && limit::end_overdue(activation, dispatcher, rip, rsp)
    {
        return false;
    }
    match then {
        Then::Touch => go_on_where_stopped(activation),
        Then::Enter {
            again: enters_again,
            thread_pointer,
            extended,
        } => {
            let mut call = activation.call();
            if enters_again {
                again(&mut call);
            } else if let Some(kept) = activation.take_answer()
                && let Err(wait) = store(&kept, &mut call)
            {
                activation.set_page_wait(wait);
                activation.set_answer(Some(kept));
                return false;
            }
            set_thread_pointer(thread_pointer);
            extended.reveal();
            *frame = call;
            true
        }
    }
}

/// Stores the bytes of an answer, or says in it that they cannot be.
///
/// # Errors
/// What that has to wait for.
fn store(kept: &KeptAnswer, call: &mut CallFrame) -> Result<(), PageWait> {
    let bytes = kept.bytes.get(..kept.length).unwrap_or_default();
    if user_copy::copy_out(kept.to, bytes).is_err() {
        match take_noted() {
            Some(wait) => return Err(wait),
            None => {
                clear(call);
                refuse(call);
            }
        }
    }
    Ok(())
}
