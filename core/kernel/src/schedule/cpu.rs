//! What others see of a processor: its requests, its mailbox, which dispatcher it runs.

use core::cell::Cell;
use core::sync::atomic::{AtomicPtr, Ordering, fence};

use super::mailbox::{Full, Mailbox};
use super::page_wait::PageWait;
use super::queue::Queue;
use super::remote::RemoteCall;
use super::requests::Requests;
use super::tickets::Tickets;
use super::waiters::Waiters;
use super::{ending, flush, remote};
use crate::call::activation::Activation;
use crate::process::{CPUS, Dispatcher, Process};
use crate::processor::{self, PerCpu};

/// What a processor can be asked for; bits of one word, so that asking twice is asking once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Request {
    /// Look into the mailbox.
    Mail = 1 << 0,
    /// Drop all cached translations of user space.
    Flush = 1 << 1,
    /// Let go of processes that have ended.
    End = 1 << 2,
    /// A dispatcher of this processor has new soft interrupts.
    Raised = 1 << 3,
}

/// How often it looks before it halts: a microsecond or some.
const POLLS: u32 = 40;

/// What is put into a mailbox.
#[derive(Clone, Copy)]
pub enum Message {
    /// Run this from now on.
    Start(&'static Activation),
    /// Run this from now on, before all others.
    StartFirst(&'static Activation),
    /// Serve this.
    Call(&'static RemoteCall),
}

/// Messages that can wait for a processor.
const MESSAGES: usize = 64;

/// One processor. What others write is apart from what only it uses.
#[repr(align(128))]
pub struct Cpu {
    requests: Requests,
    mailbox: Mailbox<Message, MESSAGES>,
    /// Who waits for room in it.
    waiters: Waiters,
    pub(super) flushes: Tickets,
    /// The word in the processor's own block that names its running dispatcher; null before it runs.
    running: AtomicPtr<AtomicPtr<u8>>,
    own: Own,
}

#[repr(align(128))]
struct Own {
    queue: Queue,
    told: Cell<bool>,
    reconsider: Cell<bool>,
    armed: Cell<u64>,
    look_at: Cell<u64>,
    /// What the last copy from or to user memory would have had to wait for.
    noted: Cell<Option<PageWait>>,
}

// SAFETY: what is not atomic is in `own`, which only the processor itself gets at (see `here`).
unsafe impl Sync for Cpu {}

static CPUS_BY_NUMBER: [AtomicPtr<Cpu>; CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; CPUS];

/// Makes the processor `number` known, before it runs.
pub(super) fn create(number: u32) {
    let cpu = alloc::boxed::Box::new(Cpu {
        requests: Requests::new(),
        mailbox: Mailbox::new(),
        waiters: Waiters::new(),
        flushes: Tickets::new(),
        running: AtomicPtr::new(core::ptr::null_mut()),
        own: Own {
            queue: Queue::new(),
            told: Cell::new(false),
            reconsider: Cell::new(false),
            armed: Cell::new(u64::MAX),
            look_at: Cell::new(u64::MAX),
            noted: Cell::new(None),
        },
    });
    if let Some(place) = CPUS_BY_NUMBER.get(number as usize) {
        place.store(alloc::boxed::Box::leak(cpu), Ordering::Release);
    }
}

/// The processor `number`, if the machine has it.
pub(super) fn cpu(number: u32) -> Option<&'static Cpu> {
    let pointer = CPUS_BY_NUMBER.get(number as usize)?.load(Ordering::Acquire);
    // SAFETY: only `create` stores there, from a leaked box.
    unsafe { pointer.as_ref() }
}

/// The running processor; `None` before [`create`].
pub(super) fn here() -> Option<Here> {
    cpu(PerCpu::number()).map(Here)
}

/// The running processor: whoever has it may use what is only its own. It cannot be sent to another.
#[derive(Clone, Copy)]
pub(super) struct Here(&'static Cpu);

impl Here {
    /// Its activations.
    pub(super) fn queue(self) -> &'static Queue {
        &self.0.own.queue
    }

    /// What others see of it.
    pub(super) fn shared(self) -> &'static Cpu {
        self.0
    }

    /// From now on others can see which dispatcher runs.
    pub(super) fn show_running(self) {
        let running = core::ptr::from_ref(&PerCpu::here().current).cast_mut();
        self.0.running.store(running, Ordering::SeqCst);
    }

    /// Whether dispatchers may have soft interrupts that they were not told of.
    pub(super) fn told(self) -> &'static Cell<bool> {
        &self.0.own.told
    }

    /// Whether it is to be asked again who runs.
    pub(super) fn reconsider(self) -> &'static Cell<bool> {
        &self.0.own.reconsider
    }

    /// When the scheduler's timer fires while an activation runs (monotonic ns).
    pub(super) fn armed(self) -> &'static Cell<u64> {
        &self.0.own.armed
    }

    /// When whoever runs then is looked at (monotonic ns).
    pub(super) fn look_at(self) -> &'static Cell<u64> {
        &self.0.own.look_at
    }

    /// What the last copy from or to user memory would have had to wait for.
    pub(super) fn noted(self) -> &'static Cell<Option<PageWait>> {
        &self.0.own.noted
    }

    /// Does what others have asked for.
    #[inline]
    pub(super) fn attend(self) {
        if self.0.requests.is_any() {
            self.attend_now();
        }
    }

    /// Looks for a moment whether others ask for something; false if they did not. Interrupts wait.
    pub(super) fn poll(self) -> bool {
        self.0.requests.poll(POLLS, core::hint::spin_loop)
    }

    #[cold]
    fn attend_now(self) {
        let requests = self.0.requests.take_all();
        self.reconsider().set(true);
        let asked = |request: Request| requests & request as u32 != 0;
        if asked(Request::Flush) {
            flush::flush_here(self.0);
        }
        if asked(Request::Mail) {
            // SAFETY: this is the only place that receives, for the running processor, and no message
            // leads back here.
            while let Some(message) = unsafe { self.0.mailbox.receive() } {
                match message {
                    Message::Start(activation) => self.queue().add(activation),
                    Message::StartFirst(activation) => self.queue().add_first(activation),
                    Message::Call(call) => remote::arrived(self, call),
                }
            }
            // The places are seen to be free before it is asked who waits for one.
            fence(Ordering::SeqCst);
            self.0.waiters.wake();
        }
        if asked(Request::End) {
            ending::let_go(self);
        }
        if asked(Request::Raised) {
            crate::soft_interrupt::told_something();
        }
    }
}

impl Cpu {
    /// Takes one request back, and answers whether it was there.
    pub(super) fn take(&self, request: Request) -> bool {
        self.requests.take(request as u32)
    }

    /// Whether `process` is loaded on this processor. Said after a full fence it is true of the page
    /// tables as they were before it: a processor that loads them later finds them as they are.
    pub(super) fn runs(&self, process: &Process) -> bool {
        // SAFETY: null, or the word in the processor's block, which lives for ever and is atomic.
        let Some(running) = (unsafe { self.running.load(Ordering::SeqCst).as_ref() }) else {
            return false;
        };
        let dispatcher = running.load(Ordering::SeqCst).cast::<Dispatcher>();
        // SAFETY: null, or a dispatcher, none of which is ever freed.
        unsafe { dispatcher.as_ref() }
            .is_some_and(|dispatcher| core::ptr::eq(dispatcher.process(), process))
    }
}

/// Asks processor `number`, which may be this one; one that does not run yet finds it when it does.
pub fn ask(number: u32, request: Request) {
    let Some(cpu) = cpu(number) else { return };
    if cpu.requests.add(request as u32) && number != PerCpu::number() {
        processor::wake(number);
    }
}

/// Has the processors in `cpus`, a mask, look whether something of theirs can go on.
pub fn wake(cpus: u64) {
    for number in super::flush::bits(cpus) {
        ask(number, Request::Mail);
    }
}

/// Who waits for room in the mailbox of processor `number`.
pub(super) fn waiters(number: u32) -> Option<&'static Waiters> {
    cpu(number).map(|cpu| &cpu.waiters)
}

/// Leaves a message for processor `number`.
pub(super) fn post(number: u32, message: Message) -> Result<(), Full> {
    cpu(number).ok_or(Full)?.mailbox.send(message)?;
    ask(number, Request::Mail);
    Ok(())
}

/// Says whether dispatchers of the running processor may have soft interrupts that they were not
/// told of.
pub fn set_told(told: bool) {
    if let Some(here) = here() {
        here.told().set(told);
    }
}

/// Whether they may.
#[must_use]
pub fn is_told() -> bool {
    here().is_some_and(|here| here.told().get())
}
