//! The C names, in a freestanding build only: a host's C library has its own.

use core::arch::naked_asm;

macro_rules! exported {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty = $target:path;)*) => {$(
        /// As the C function of this name.
        ///
        /// # Safety
        /// As the C function of this name.
        // SAFETY: no C library is linked into a freestanding image, so the name is not taken.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "sysv64" fn $name($($argument: $kind),*) -> $result {
            naked_asm!("jmp {target}", target = sym $target)
        }
    )*};
}

exported! {
    memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 = crate::copy;
    memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 = crate::copy_overlapping;
    memset(to: *mut u8, value: i32, count: usize) -> *mut u8 = crate::fill;
    memcmp(left: *const u8, right: *const u8, count: usize) -> i32 = crate::compare;
    bcmp(left: *const u8, right: *const u8, count: usize) -> i32 = crate::compare;
    strlen(string: *const u8) -> usize = crate::length;
}
