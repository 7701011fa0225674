//! Pages that a system call needs for a moment: a path to go on with, a piece of a file.
//!
//! Clearing a page costs more than many a call, so pages are kept and not cleared: what is in one
//! is whatever was there, and whoever takes one uses only what it put there itself.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

use kiln_object::call::MESSAGE_BYTES;
use kiln_runtime::PlainMutex as Mutex;

/// Pages that are kept at most.
const MOST_KEPT: usize = 4;

/// The pages that nobody has.
static KEPT: Mutex<[Option<Box<[u8; MESSAGE_BYTES]>>; MOST_KEPT]> =
    Mutex::new([const { None }; MOST_KEPT]);

/// A page of old bytes; it goes back when it is dropped.
#[derive(Debug)]
pub struct Scratch(Option<Box<[u8; MESSAGE_BYTES]>>);

impl Scratch {
    /// Takes a page.
    #[must_use]
    pub fn take() -> Self {
        let kept = KEPT.lock().iter_mut().find_map(Option::take);
        Self(Some(kept.unwrap_or_else(|| Box::new([0; MESSAGE_BYTES]))))
    }

    /// Takes a page that says nothing if it is read as a string.
    #[must_use]
    pub fn for_path() -> Self {
        let mut page = Self::take();
        if let Some(first) = page.first_mut() {
            *first = 0;
        }
        page
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |page| page)
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().map_or(&mut [], |page| page)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(page) = self.0.take() {
            let mut kept = KEPT.lock();
            if let Some(place) = kept.iter_mut().find(|place| place.is_none()) {
                *place = Some(page);
            }
        }
    }
}
