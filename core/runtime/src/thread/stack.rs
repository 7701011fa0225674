//! Stacks of threads: mapped with a guard below.

use kiln_object::Error;

/// Bytes of a thread's stack; memory is taken only for pages touched.
pub const STACK_BYTES: usize = 256 << 10;

/// A stack that one thread has.
pub struct Stack(memory::Region);

impl Stack {
    /// A new stack.
    ///
    /// # Errors
    /// What mapping it answers.
    pub fn new() -> Result<Self, Error> {
        memory::Region::new().map(Self)
    }

    /// The end of the stack, a multiple of 16.
    pub fn top(&self) -> *mut usize {
        self.0.top()
    }

    /// The lowest address of the stack.
    pub fn low(&self) -> usize {
        self.0.top().addr() - STACK_BYTES
    }
}

/// The stack on which a process starts: its lowest address and its end. The host's is unknown.
pub fn of_the_start() -> (usize, usize) {
    use kiln_object::layout::{MAIN_STACK_BYTES, MAIN_STACK_TOP};
    if cfg!(kiln_freestanding) {
        let top = MAIN_STACK_TOP as usize;
        (top - MAIN_STACK_BYTES as usize, top)
    } else {
        (0, usize::MAX)
    }
}

#[cfg(kiln_freestanding)]
mod memory {
    use core::ptr::with_exposed_provenance_mut;

    use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection};
    use kiln_object::Error;
    use kiln_object::layout::{PAGE_BYTES, WINDOW_BASE};

    use super::STACK_BYTES;

    /// A mapped stack with a page below it that faults.
    pub struct Region {
        base: u64,
    }

    impl Region {
        const BYTES: u64 = STACK_BYTES as u64 + PAGE_BYTES;

        pub fn new() -> Result<Self, Error> {
            let protection = Protection::READ | Protection::WRITE;
            let base = crate::address_space().map_anonymous(
                WINDOW_BASE + (64 << 30),
                Self::BYTES,
                protection.bits(),
                MapFlags::empty().bits(),
            )?;
            let region = Self { base };
            crate::address_space().protect(base, PAGE_BYTES, Protection::empty().bits())?;
            Ok(region)
        }

        pub fn top(&self) -> *mut usize {
            with_exposed_provenance_mut((self.base + Self::BYTES) as usize)
        }
    }

    impl Drop for Region {
        fn drop(&mut self) {
            // Should it fail, the address space is lost and nothing else.
            let _ = crate::address_space().unmap(self.base, Self::BYTES);
        }
    }
}

#[cfg(not(kiln_freestanding))]
mod memory {
    use alloc::boxed::Box;

    use kiln_object::Error;

    use super::STACK_BYTES;

    #[repr(align(4096))]
    struct Bytes(#[allow(dead_code, reason = "used as a stack")] [u8; STACK_BYTES]);

    /// A stack from the host's heap, without a guard.
    pub struct Region {
        bytes: *mut Bytes,
    }

    // SAFETY: the memory is this region's alone.
    unsafe impl Send for Region {}

    impl Region {
        pub fn new() -> Result<Self, Error> {
            let bytes = Box::<Bytes>::new_uninit();
            Ok(Self {
                bytes: Box::into_raw(bytes).cast(),
            })
        }

        pub fn top(&self) -> *mut usize {
            self.bytes.wrapping_add(1).cast()
        }
    }

    impl Drop for Region {
        fn drop(&mut self) {
            // SAFETY: it came from such a box, and no thread runs on it any more.
            drop(unsafe { Box::from_raw(self.bytes.cast::<core::mem::MaybeUninit<Bytes>>()) });
        }
    }
}
