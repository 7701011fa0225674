//! What the running CPU knows of the dispatcher it runs.

use alloc::boxed::Box;
use core::sync::atomic::Ordering;

use kiln_object::ObjectName;
use kiln_object::layout::dispatcher_page;

use super::activation::Activation;
use super::kernel_object::Exchange;
use crate::memory::kernel_space;
use crate::process::{Dispatcher, Process};
use crate::processor::{Features, PerCpu, features};
use crate::schedule::remote::RemoteCall;

/// Word of `PerCpu::scheduler` with the user GS base.
const USER_GS: usize = 0;
/// Word that tells the exit path whether FSGSBASE is there.
const HAS_FSGSBASE: usize = 1;
/// Word with the running activation.
const ACTIVATION: usize = 2;
/// Word with this CPU's exchange pages for calls to kernel objects.
const EXCHANGE: usize = 3;

/// Prepares this CPU for user mode.
///
/// # Panics
/// If there is no memory for its exchange pages: the CPU can serve no call then.
pub fn initialise() {
    let cpu = PerCpu::here();
    let exchange = Box::new(Exchange::create().expect("no memory for the exchange pages"));
    cpu.scheduler[EXCHANGE].set(core::ptr::from_ref::<Exchange>(Box::leak(exchange)) as u64);
    cpu.scheduler[USER_GS].set(dispatcher_page(cpu.cpu_number.get()));
    cpu.scheduler[HAS_FSGSBASE].set(u64::from(features().contains(Features::FSGSBASE)));
}

/// This CPU's exchange pages; `None` before [`initialise`].
#[inline(always)]
pub(super) fn exchange() -> Option<&'static Exchange> {
    let pointer = PerCpu::here().scheduler[EXCHANGE].get() as *const Exchange;
    // SAFETY: only `initialise` writes it, from a leaked box, and only this CPU reads it.
    unsafe { pointer.as_ref() }
}

/// The dispatcher that this CPU runs; `None` before the first.
#[must_use]
#[inline(always)]
pub fn current_dispatcher() -> Option<&'static Dispatcher> {
    let pointer = PerCpu::here()
        .current
        .load(Ordering::Relaxed)
        .cast::<Dispatcher>();
    // SAFETY: only `set_current` writes it, from a `&'static`.
    unsafe { pointer.as_ref() }
}

/// The activation that this CPU runs.
#[must_use]
#[inline(always)]
pub(crate) fn current_activation() -> Option<&'static Activation> {
    let pointer = PerCpu::here().scheduler[ACTIVATION].get() as *const Activation;
    // SAFETY: only `set_activation` writes it, from a `&'static`.
    unsafe { pointer.as_ref() }
}

/// Makes `activation` the one that runs here.
pub(crate) fn set_activation(activation: &'static Activation) {
    PerCpu::here().scheduler[ACTIVATION].set(core::ptr::from_ref(activation) as u64);
}

/// Nothing names `activation` any more: it has ended.
pub fn forget_activation(activation: &Activation) {
    let running = &PerCpu::here().scheduler[ACTIVATION];
    if running.get() == core::ptr::from_ref(activation) as u64 {
        running.set(0);
    }
}

/// Makes `dispatcher` the one that runs here, in its own address space.
#[inline(always)]
pub fn set_current(dispatcher: &'static Dispatcher) {
    let cpu = PerCpu::here();
    let process = dispatcher.process();
    cpu.dispatcher_page.set(dispatcher.page_pointer());
    cpu.svc_entry.set(process.entries.reflected());
    // Before the tables are loaded: see `Cpu::runs`. That the old ones still are loaded meanwhile is what
    // `schedule::leave_tables` is for; the straight line of a call does the same in the same order.
    cpu.current.store(
        core::ptr::from_ref(dispatcher).cast_mut().cast(),
        Ordering::Relaxed,
    );
    kernel_space::load(process.root());
}

/// Leaves every process: the kernel's own tables are loaded.
pub(crate) fn clear_current() {
    let cpu = PerCpu::here();
    kernel_space::load(kernel_space::root());
    // Only now: others may free tables that no processor says it has loaded.
    cpu.current.store(core::ptr::null_mut(), Ordering::Relaxed);
    cpu.dispatcher_page.set(core::ptr::null_mut());
    cpu.svc_entry.set(0);
}

/// The user's FS base, which becomes zero: it is no business of whatever runs next.
#[inline(always)]
pub(crate) fn take_thread_pointer() -> u64 {
    if PerCpu::here().scheduler[HAS_FSGSBASE].get() != 0 {
        let base: u64;
        // SAFETY: FSGSBASE is on, and the kernel never uses FS.
        unsafe {
            core::arch::asm!(
                "rdfsbase {base}",
                "wrfsbase {zero}",
                base = out(reg) base,
                zero = in(reg) 0u64,
                options(nomem, nostack, preserves_flags)
            )
        };
        base
    } else {
        let base = x86_64::registers::model_specific::FsBase::read().as_u64();
        set_thread_pointer(0);
        base
    }
}

/// Sets the user's FS base; `base` was read by `take_thread_pointer` or checked to be a user address.
#[inline(always)]
pub fn set_thread_pointer(base: u64) {
    if PerCpu::here().scheduler[HAS_FSGSBASE].get() != 0 {
        // SAFETY: FSGSBASE is on, and the kernel never uses FS.
        unsafe {
            core::arch::asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags))
        };
    } else {
        x86_64::registers::model_specific::FsBase::write(x86_64::VirtAddr::new_truncate(base));
    }
}

/// Whether one more name can be noted for `process`, a call of which is served here.
#[must_use]
pub(crate) fn has_room_to_hand(process: &Process) -> bool {
    current_activation().is_some_and(|activation| activation.has_room_to_hand(process))
}

/// Notes that `process`, a call of which is served here, was given `name`: see [`Activation::hand`].
pub(crate) fn hand(process: &Process, name: ObjectName) {
    if let Some(activation) = current_activation() {
        activation.hand(process, name);
    }
}

/// Whether `process` runs here or waits for what runs here: nobody else can have asked for it.
#[must_use]
pub(crate) fn is_asked_by(process: &Process) -> bool {
    let (Some(activation), Some(running)) = (current_activation(), current_dispatcher()) else {
        return false;
    };
    let from_afar = activation.remote_call().and_then(RemoteCall::question);
    activation.is_in(process, running)
        || from_afar.is_some_and(|(caller, ..)| core::ptr::eq(caller.process(), process))
}
