//! Instructions that exist only on some processors, put in place once at the start.
//!
//! Code that must work without SMAP carries a three-byte no-operation where STAC or CLAC belongs
//! and a record of it in section `kiln_smap`: the address of the site and the three bytes. The
//! macros [`clac!`](crate::clac) and [`stac!`](crate::stac) make both.

use super::features::{Features, features};

#[repr(C)]
struct Site {
    address: *mut [u8; 3],
    bytes: [u8; 8],
}

unsafe extern "C" {
    static __start_kiln_smap: [Site; 0];
    static __stop_kiln_smap: [Site; 0];
}

/// Puts the instructions in place that the boot processor has.
///
/// # Safety
/// The kernel's text must be writable and no other processor may be running.
pub(super) unsafe fn apply() {
    if !features().contains(Features::SMAP) {
        return;
    }
    let mut site = (&raw const __start_kiln_smap).cast::<Site>();
    let end = (&raw const __stop_kiln_smap).cast::<Site>();
    while site < end {
        // SAFETY: the linker delimits an array of records, each naming three bytes of our text.
        unsafe {
            let Site { address, bytes } = site.read();
            address.write([bytes[0], bytes[1], bytes[2]]);
            site = site.add(1);
        }
    }
}
