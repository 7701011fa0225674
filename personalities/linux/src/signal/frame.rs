//! Signal frames: the program's registers on its own stack while a handler runs.
//!
//! The layout is the kernel's `struct rt_sigframe` of x86-64, which C libraries, unwinders and
//! debuggers know. What comes back in `rt_sigreturn` is the program's word: all that could harm more
//! than the program itself is checked.

use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::TrapFrame;
use kiln_object::layout::USER_END;
use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::state::{StateFormat, StateImage};
use super::{Action, AlternateStack, Information, UNSTOPPABLE, bit};
use crate::LINUX;
use crate::call::{Call, SavedRegisters};
use crate::entry::VectorSave;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Below the stack pointer an interrupted function may keep this many bytes (System V ABI, 3.2.2).
const RED_ZONE: u64 = 128;

/// `uc_flags`: the frame has an extended state, and `ss` is right.
const UC_FP_XSTATE: u64 = 1;
const UC_SIGCONTEXT_SS: u64 = 2;
const UC_STRICT_RESTORE_SS: u64 = 4;

/// Flags that a context may choose: status, direction, alignment check, ID, and single step.
const CONTEXT_FLAGS: u64 = 0x0024_0dd5;

/// Interrupts on, and the bit that is always one.
const FIXED_FLAGS: u64 = 0x202;

/// The program's general registers, in the order of `struct sigcontext`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct Context {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub flags: u64,
    pub selectors: u64,
    pub error: u64,
    pub trap: u64,
    pub old_mask: u64,
    pub fault_address: u64,
}

impl Context {
    /// At a system call; `rax` is what the registers hold.
    #[must_use]
    pub fn of_call(registers: &SavedRegisters) -> Self {
        Self {
            r8: registers.r8.get(),
            r9: registers.r9.get(),
            r10: registers.r10.get(),
            r11: registers.flags.get(),
            r12: registers.r12.get(),
            r13: registers.r13.get(),
            r14: registers.r14.get(),
            r15: registers.r15.get(),
            rdi: registers.rdi.get(),
            rsi: registers.rsi.get(),
            rbp: registers.rbp.get(),
            rbx: registers.rbx.get(),
            rdx: registers.rdx.get(),
            rax: registers.rax.get(),
            rcx: registers.rip.get(),
            rsp: registers.rsp.get(),
            rip: registers.rip.get(),
            flags: registers.flags.get(),
            ..Self::default()
        }
    }

    /// Lets the system call come back with these registers.
    pub fn store_to_call(&self, registers: &SavedRegisters) {
        registers.rdi.set(self.rdi);
        registers.rsi.set(self.rsi);
        registers.rdx.set(self.rdx);
        registers.rax.set(self.rax);
        registers.rsp.set(self.rsp);
        registers.rip.set(self.rip);
        registers.flags.set(self.flags);
        registers.keep_rax.set(1);
    }

    /// At a trap.
    #[must_use]
    pub fn of_trap(trap: &TrapFrame) -> Self {
        let registers = &trap.registers;
        Self {
            r8: registers.r8.load(Relaxed),
            r9: registers.r9.load(Relaxed),
            r10: registers.r10.load(Relaxed),
            r11: registers.r11.load(Relaxed),
            r12: registers.r12.load(Relaxed),
            r13: registers.r13.load(Relaxed),
            r14: registers.r14.load(Relaxed),
            r15: registers.r15.load(Relaxed),
            rdi: registers.rdi.load(Relaxed),
            rsi: registers.rsi.load(Relaxed),
            rbp: registers.rbp.load(Relaxed),
            rbx: registers.rbx.load(Relaxed),
            rdx: registers.rdx.load(Relaxed),
            rax: registers.rax.load(Relaxed),
            rcx: registers.rcx.load(Relaxed),
            rsp: registers.rsp.load(Relaxed),
            rip: registers.rip.load(Relaxed),
            flags: registers.rflags.load(Relaxed),
            error: trap.error.load(Relaxed),
            trap: trap.vector.load(Relaxed),
            fault_address: trap.address.load(Relaxed),
            ..Self::default()
        }
    }

    /// Lets a trap go on with these registers.
    pub fn store_to_trap(&self, trap: &TrapFrame) {
        let registers = &trap.registers;
        for (register, value) in [
            (&registers.r8, self.r8),
            (&registers.r9, self.r9),
            (&registers.r10, self.r10),
            (&registers.r11, self.r11),
            (&registers.r12, self.r12),
            (&registers.r13, self.r13),
            (&registers.r14, self.r14),
            (&registers.r15, self.r15),
            (&registers.rdi, self.rdi),
            (&registers.rsi, self.rsi),
            (&registers.rbp, self.rbp),
            (&registers.rbx, self.rbx),
            (&registers.rdx, self.rdx),
            (&registers.rax, self.rax),
            (&registers.rcx, self.rcx),
            (&registers.rsp, self.rsp),
            (&registers.rip, self.rip),
            (
                &registers.rflags,
                (self.flags & CONTEXT_FLAGS) | FIXED_FLAGS,
            ),
        ] {
            register.store(value, Relaxed);
        }
    }
}

/// `struct rt_sigframe` with the kernel's `struct ucontext` in it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Frame {
    restorer: u64,
    flags: u64,
    link: u64,
    stack: AlternateStack,
    context: Context,
    state: u64,
    reserved: [u64; 8],
    mask: u64,
    information: Information,
}

const FRAME_BYTES: u64 = size_of::<Frame>() as u64;
const _: () = assert!(FRAME_BYTES == 8 + 304 + 128);

/// Bytes of stack that a signal frame may need (`AT_MINSIGSTKSZ`).
#[must_use]
pub fn minimum_stack_bytes() -> u64 {
    const ALIGNMENT: u64 = 64 + 16 + 8;
    FRAME_BYTES + StateFormat::find().frame_bytes() + ALIGNMENT
}

/// Puts a frame for `information` on the program's stack and lets `context` start the handler.
pub(super) fn push(
    context: &mut Context,
    vectors: &VectorSave,
    information: &Information,
    action: &Action,
) -> Result<(), Errno> {
    let signals = &LINUX.signal;
    let signal = information.signal();
    let format = StateFormat::find();
    let stack = *signals.stack.lock();
    let on_alternate = action.has(abi::SA_ONSTACK) && stack.is_set() && !stack.holds(context.rsp);
    let top = if on_alternate {
        stack.address.wrapping_add(stack.length)
    } else {
        context.rsp.wrapping_sub(RED_ZONE)
    };
    let state = top.wrapping_sub(format.frame_bytes()) & !63;
    // As after a call: the stack pointer plus 8 is a multiple of 16.
    let start = (state.wrapping_sub(FRAME_BYTES) & !15).wrapping_sub(8);
    if on_alternate && start < stack.address {
        return Err(Errno::EFAULT);
    }

    let blocked = signals.blocked.load(Relaxed);
    let mask = signals.mask_to_restore.lock().take().unwrap_or(blocked);
    let frame = Frame {
        restorer: action.restorer,
        flags: UC_SIGCONTEXT_SS
            | UC_STRICT_RESTORE_SS
            | if format.is_extended() {
                UC_FP_XSTATE
            } else {
                0
            },
        link: 0,
        stack: stack.seen_from(context.rsp),
        context: Context {
            selectors: selectors(),
            old_mask: mask,
            ..*context
        },
        state,
        reserved: [0; 8],
        mask,
        information: *information,
    };
    program_memory::copy_out(state, StateImage::capture(format, vectors).bytes())?;
    program_memory::write(start, &frame)?;

    let base = start;
    context.rsp = start;
    context.rip = action.handler;
    context.rax = 0;
    context.rdi = u64::from(signal);
    context.rsi = base + core::mem::offset_of!(Frame, information) as u64;
    context.rdx = base + core::mem::offset_of!(Frame, flags) as u64;
    context.flags &= !0x0001_0500;
    let mut during = blocked | action.mask;
    if !action.has(abi::SA_NODEFER) {
        during |= bit(signal);
    }
    signals.blocked.store(during & !UNSTOPPABLE, Relaxed);
    if action.has(abi::SA_RESETHAND)
        && let Some(action) = signals.actions.lock().get_mut(signal as usize - 1)
    {
        *action = Action::DEFAULT;
    }
    Ok(())
}

/// `cs`, `gs`, `fs` and `ss` in one word.
fn selectors() -> u64 {
    let (code, data): (u16, u16);
    // SAFETY: reading selectors changes nothing.
    unsafe {
        core::arch::asm!(
            "mov {:x}, cs",
            "mov {:x}, ss",
            out(reg) code,
            out(reg) data,
            options(nomem, nostack, preserves_flags),
        );
    }
    u64::from(code) | u64::from(data) << 48
}

/// `rt_sigreturn()`: takes up again what the frame on the stack holds.
///
/// # Errors
/// It does not come back; a frame that cannot be read ends the process.
pub fn rt_sigreturn(call: &Call<'_>) -> Answer {
    match restore(call) {
        Ok(never) => match never {},
        Err(_) => super::terminate(abi::SIGSEGV),
    }
}

fn restore(call: &Call<'_>) -> Result<core::convert::Infallible, Errno> {
    let signals = &LINUX.signal;
    // The handler's return has taken the restorer's address off the stack.
    let start = call.registers.rsp.get().wrapping_sub(8);
    let frame: Frame = program_memory::read(start)?;
    if frame.context.rip >= USER_END {
        return Err(Errno::EFAULT);
    }
    signals.blocked.store(frame.mask & !UNSTOPPABLE, Relaxed);
    let mut stack = frame.stack;
    stack.flags &= abi::SS_DISABLE;
    *signals.stack.lock() = stack;
    let format = StateFormat::find();
    let mut image = match frame.state {
        0 => StateImage::capture(format, &VectorSave::default()),
        address => StateImage::read(format, address)?,
    };
    let mut context = frame.context;
    if super::is_deliverable() {
        // What was blocked while the handler ran interrupts the same place again.
        image.load();
        super::deliver(&mut context, &image.vectors(), |_, _| {});
    }
    // One image is kept for all returns, as nothing runs after this that could free it.
    let mut kept = RESTORED.lock();
    let image = kept.insert(image);
    let address = image.bytes().as_ptr();
    drop(kept);
    resume(&context, address, format.is_extended())
}

static RESTORED: kiln_runtime::SpinMutex<Option<StateImage>> = kiln_runtime::SpinMutex::new(None);

#[cfg(kiln_freestanding)]
fn resume(context: &Context, state: *const u8, extended: bool) -> ! {
    // No trap is being handled, so the page's frame is free.
    context.store_to_trap(&kiln_runtime::dispatcher::page().trap);
    // SAFETY: the image was checked by `StateImage::read` or written by the processor, and lies in
    // `RESTORED` until the next return. This runs on the library's stack, to which nothing comes
    // back.
    unsafe { crate::entry::resume_with_state(state, u64::from(extended)) }
}

#[cfg(not(kiln_freestanding))]
fn resume(_context: &Context, _state: *const u8, _extended: bool) -> ! {
    super::terminate(abi::SIGSEGV)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_handler_finds_what_the_abi_promises() {
        for offset in 0..24 {
            // The test's own memory plays the program's stack.
            let stack = vec![0xa5_u8; 64 << 10];
            let top = stack.as_ptr() as u64 + stack.len() as u64;
            let mut context = Context {
                rsp: top - 1000 - offset,
                rip: 0x1234,
                rbx: 77,
                flags: 0x646,
                ..Context::default()
            };
            let interrupted = context;
            let action = Action {
                handler: 0x4321,
                restorer: 0x9999,
                flags: u64::from(abi::SA_SIGINFO | abi::SA_NODEFER),
                mask: 0,
            };
            let information = Information::fault(abi::SIGSEGV, 1, 0xdead);
            push(&mut context, &VectorSave::default(), &information, &action).unwrap();

            assert_eq!(
                (context.rip, context.rdi),
                (0x4321, u64::from(abi::SIGSEGV))
            );
            assert_eq!((context.rsp + 8) % 16, 0);
            assert_eq!(
                context.flags, 0x246,
                "the direction flag is clear in a handler"
            );
            let frame: Frame = program_memory::read(context.rsp).unwrap();
            assert_eq!(frame.restorer, 0x9999);
            assert_eq!(frame.context.rip, interrupted.rip);
            assert_eq!(frame.context.rbx, 77);
            assert_eq!(frame.context.rsp, interrupted.rsp);
            assert_eq!(frame.context.flags, interrupted.flags);
            assert_eq!(context.rsi, context.rsp + 8 + 304);
            assert_eq!(context.rdx, context.rsp + 8);
            assert_eq!(frame.state % 64, 0);
            // The red zone and all above it are untouched.
            let kept = (interrupted.rsp - RED_ZONE - stack.as_ptr() as u64) as usize;
            assert!(stack[kept..].iter().all(|byte| *byte == 0xa5));
        }
    }

    #[test]
    fn a_stack_that_is_not_there_is_an_error() {
        let mut context = Context {
            rsp: kiln_object::layout::SYSTEM_START + 0x1000,
            ..Context::default()
        };
        let information = Information::kernel(abi::SIGTERM);
        let result = push(
            &mut context,
            &VectorSave::default(),
            &information,
            &Action::DEFAULT,
        );
        assert_eq!(result, Err(Errno::EFAULT));
    }
}
