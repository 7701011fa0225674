//! What the entry code saves of the interrupted code.

use crate::processor::segments::{USER_CODE, USER_DATA};

/// The interrupted code's registers. A handler may change them; they are loaded on return.
///
/// Offsets are the entry code's push order, followed by what the processor pushes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct InterruptFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// 0 to 255: exceptions below 32.
    pub vector: u64,
    /// The exception's error code; 0 where it has none.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = {
    assert!(core::mem::offset_of!(InterruptFrame, vector) == 15 * 8);
    assert!(size_of::<InterruptFrame>() == 22 * 8);
};

impl InterruptFrame {
    /// Whether user mode was interrupted.
    pub fn from_user(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Makes the frame return to user mode with sane selectors and flags, whatever they were.
    pub fn set_user_mode(&mut self) {
        self.cs = u64::from(USER_CODE);
        self.ss = u64::from(USER_DATA);
        self.rflags = self.rflags & USER_FLAGS | 1 << 9 | 1 << 1;
    }
}

/// Flags that user mode may hold as it likes: the arithmetic ones, trap, direction, resume,
/// alignment check and CPUID's.
const USER_FLAGS: u64 = 0x0024_0dd5 | 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_mode_gets_interrupts_and_no_privilege() {
        let mut frame = InterruptFrame {
            cs: 0x08,
            rflags: u64::MAX,
            ..InterruptFrame::default()
        };
        assert!(!frame.from_user());
        frame.set_user_mode();
        assert!(frame.from_user());
        assert_eq!(frame.rflags & (3 << 12), 0, "I/O privilege level");
        assert_eq!(frame.rflags & (1 << 14), 0, "nested task");
        assert_ne!(frame.rflags & (1 << 9), 0, "interrupts");
    }
}
