//! The bytes of the image's root file system, as its server sees them.

/// The whole root file system, mapped read-only where the boot loader put it; empty in every process
/// but the root's server, and on the host.
#[must_use]
pub fn root_image() -> &'static [u8] {
    mapped()
}

#[cfg(kiln_kernel)]
use crate::kernel_home::mapped;

#[cfg(all(kiln_freestanding, not(kiln_kernel)))]
fn mapped() -> &'static [u8] {
    use core::ptr::with_exposed_provenance;

    use kiln_object::layout::ROOT_BASE;

    let length = crate::startup().root_bytes as usize;
    if length == 0 {
        return &[];
    }
    // SAFETY: the kernel says how many bytes it mapped there, never writes them and never unmaps
    // them; no other mapping of the pages can be written.
    unsafe { core::slice::from_raw_parts(with_exposed_provenance(ROOT_BASE as usize), length) }
}

#[cfg(not(kiln_freestanding))]
fn mapped() -> &'static [u8] {
    &[]
}
