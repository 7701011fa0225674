//! The image that the kernel is part of, as it lies in memory.

use core::cell::UnsafeCell;

use kiln_image_format::{ImageTable, LOCATION_BYTES, Location};

use crate::memory::direct;

/// Filled in by the linker; see `kiln_image_format::Location`.
#[repr(C, align(8))]
struct LocationCell(UnsafeCell<[u64; LOCATION_BYTES / 8]>);

// SAFETY: nothing writes it after the image was made.
unsafe impl Sync for LocationCell {}

#[cfg_attr(kiln_freestanding, unsafe(no_mangle))]
static KILN_IMAGE_LOCATION: LocationCell = LocationCell(UnsafeCell::new([1; LOCATION_BYTES / 8]));

#[inline(never)]
fn location() -> Option<Location> {
    // SAFETY: never written; read volatile because the compiler knows only the initial words.
    Location::from_words(unsafe { KILN_IMAGE_LOCATION.0.get().read_volatile() })
}

/// Bytes of the image file as it was loaded.
#[must_use]
pub fn length() -> u64 {
    location().map_or(0, |location| location.image_bytes)
}

/// The image file's bytes.
#[must_use]
pub fn bytes() -> &'static [u8] {
    let start = direct(crate::boot::information().image_start());
    // SAFETY: the loader put the whole file there, the frame allocator never gives that memory out,
    // and only the kernel's own data segment in it is ever written, which nobody reads through this.
    unsafe { core::slice::from_raw_parts(start as *const u8, length() as usize) }
}

/// The image's table; `None` if its head is damaged.
#[must_use]
pub fn table() -> Option<ImageTable<'static>> {
    let location = location()?;
    let start = usize::try_from(location.table_offset).ok()?;
    let end = start.checked_add(usize::try_from(location.table_bytes).ok()?)?;
    ImageTable::open(bytes().get(start..end)?).ok()
}
