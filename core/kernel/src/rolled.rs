//! Loops that stay loops.
//!
//! The optimiser takes short loops apart, which pays where they run often. What runs once, when the
//! machine starts, takes longer to fetch, and to translate where it is emulated, than to run.

use core::arch::asm;
use core::hint::black_box;

/// Goes through `items`, with one copy of the code for each.
#[inline(always)]
pub fn rolled<T>(items: &[T]) -> impl Iterator<Item = &T> {
    let mut length = items.len();
    // SAFETY: there is no instruction; the optimiser believes that there may be.
    unsafe { asm!("/* {} */", inout(reg) length, options(nomem, nostack, preserves_flags)) };
    // SAFETY: the length is still the same.
    let items = unsafe { core::slice::from_raw_parts(items.as_ptr(), length) };
    items.iter().inspect(|_| one_pass())
}

/// In the body of a loop: it is not taken apart.
#[inline(always)]
pub fn one_pass() {
    black_box(());
}

#[cfg(test)]
mod tests {
    use super::rolled;
    use std::vec::Vec;

    #[test]
    fn nothing_is_left_out() {
        let found: Vec<u8> = rolled(&[1, 2, 3]).copied().collect();
        assert_eq!(found, [1, 2, 3]);
        assert_eq!(rolled::<u8>(&[]).next(), None);
    }
}
