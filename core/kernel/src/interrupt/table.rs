//! Who handles which vector above the exceptions.

use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use kiln_object::trace::vector;

use super::{InterruptFrame, local_apic};

/// Called on the processor that was interrupted, with interrupts off; must be short.
pub type Handler = fn(&mut InterruptFrame);

/// First vector that is given out.
const FIRST: u8 = vector::FIRST_DEVICE as u8;
/// Last vector that is given out; above are the fixed ones.
const LAST: u8 = vector::LAST_DEVICE as u8;
/// The local APIC's spurious interrupt, which wants no acknowledgement.
pub const SPURIOUS: u8 = vector::SPURIOUS as u8;
/// The local APIC's timer.
pub const TIMER: u8 = vector::TIMER as u8;
/// Wakes a processor that has something to do.
pub const WAKE: u8 = vector::WAKE as u8;

static HANDLERS: [AtomicPtr<()>; 256] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 256];
static NEXT: AtomicU8 = AtomicU8::new(FIRST);

/// All vectors for devices have been given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorsExhausted;

/// Finds a free vector and makes `handler` its handler.
pub fn allocate(handler: Handler) -> Result<u8, VectorsExhausted> {
    let vector = NEXT
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            (next <= LAST).then(|| next.wrapping_add(1))
        })
        .map_err(|_| VectorsExhausted)?;
    register(vector, handler);
    Ok(vector)
}

/// Makes `handler` the handler of `vector`, which must be 32 or above to ever be called.
pub fn register(vector: u8, handler: Handler) {
    HANDLERS[usize::from(vector)].store(handler as *mut (), Ordering::Release);
}

/// Acknowledges the interrupt and calls its handler.
///
/// All sources are edge-triggered, so the acknowledgement comes first: a handler may switch to
/// user mode instead of returning.
pub(super) fn dispatch(frame: &mut InterruptFrame) {
    let vector = frame.vector as u8;
    if vector != SPURIOUS {
        local_apic::end_of_interrupt();
    }
    let handler = HANDLERS[usize::from(vector)].load(Ordering::Acquire);
    if !handler.is_null() {
        // SAFETY: only `register` stores here, and only function pointers of this type.
        let handler = unsafe { core::mem::transmute::<*mut (), Handler>(handler) };
        handler(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_run_out_without_reaching_the_fixed_ones() {
        let mut last = 0;
        while let Ok(vector) = allocate(|_| {}) {
            assert!(vector > last);
            last = vector;
        }
        assert_eq!(last, LAST);
        assert_eq!(allocate(|_| {}), Err(VectorsExhausted));
    }
}
