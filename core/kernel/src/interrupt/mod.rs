//! Interrupts and exceptions: entry, who handles which vector, and the controllers.
//!
//! Vectors below 32 are the processor's exceptions and go to [`crate::fault`]. The rest are given
//! out here: a driver registers a handler and gets a vector, the end-of-interrupt being signalled
//! here so that a handler may leave for user mode without returning.

pub mod descriptors;
#[cfg(kiln_freestanding)]
mod entry;
mod frame;
pub mod io_apic;
pub(crate) mod legacy;
pub mod local_apic;
pub mod table;

pub use frame::InterruptFrame;
pub use table::{Handler, register};

/// Where every stub ends up, on the running processor's kernel stack or a separate one.
pub(crate) extern "sysv64" fn interrupt(frame: &mut InterruptFrame) {
    match frame.vector {
        2 => crate::panic::non_maskable(frame),
        8 | 18 => crate::panic::exception(frame),
        0..32 => crate::fault::exception(frame),
        _ => {
            crate::event!(Interrupt, frame.vector as u32, frame.rip);
            table::dispatch(frame);
            crate::event!(InterruptDone, 0);
            if frame.from_user() {
                crate::schedule::after_interrupt(frame);
            }
        }
    }
}

/// The low halves of the vector registers of the code that was interrupted with `frame`, which the
/// entry code has put right below it.
#[must_use]
pub fn saved_vector(frame: &InterruptFrame) -> [[u64; 2]; 16] {
    // SAFETY: only the entry code makes frames that are handed here: see `save_vector`.
    unsafe {
        core::ptr::from_ref(frame)
            .cast::<[[u64; 2]; 16]>()
            .sub(1)
            .read_unaligned()
    }
}

/// Goes on with code that was interrupted, wherever this is called from.
///
/// # Safety
/// `frame` was saved from user mode, and its address space is loaded. The vector registers' state
/// beyond `vector` is the code's already.
pub unsafe fn resume(vector: &[[u64; 2]; 16], frame: &InterruptFrame) -> ! {
    #[repr(C, align(16))]
    struct OnStack {
        vector: [[u64; 2]; 16],
        frame: InterruptFrame,
    }
    let context = OnStack {
        vector: *vector,
        frame: *frame,
    };
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "sysv64" {
            fn kiln_interrupt_resume(context: *const OnStack) -> !;
        }
        // SAFETY: passed on to the caller; the copy lies on this processor's kernel stack, where a fault
        // of the last instruction may be handled.
        unsafe { kiln_interrupt_resume(&raw const context) }
    }
    #[cfg(not(kiln_freestanding))]
    unreachable!("{:p}: host builds have no user mode", &raw const context)
}

/// Prepares the descriptor table.
///
/// # Safety
/// Once, on the boot processor, before [`crate::processor`] loads the table.
pub(crate) unsafe fn initialise() {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_interrupt_stubs: [u8; 0];
        }
        // SAFETY: passed on to the caller; the symbol is the entry code's first stub.
        unsafe { descriptors::fill((&raw const kiln_interrupt_stubs) as u64) };
    }
}
