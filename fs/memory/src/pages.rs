//! The contents of a regular file: sparse pages and a length.
//!
//! Bytes of a page beyond the length are zero at all times, so that growing a file shows zeroes.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kiln_object::Error;

use crate::budget::Charge;

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// Longest file, in bytes.
pub const LENGTH_MAX: u64 = i64::MAX as u64;

/// What a page costs besides its bytes.
const PAGE_COST: u64 = PAGE as u64 + 64;

/// A file's contents.
#[derive(Debug)]
pub struct Pages {
    pages: BTreeMap<u64, Box<[u8]>>,
    length: u64,
    charge: Charge,
}

/// Where in its page an offset lies.
fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

impl Pages {
    /// No contents; what will come is charged to `charge`.
    pub const fn new(charge: Charge) -> Self {
        Self {
            pages: BTreeMap::new(),
            length: 0,
            charge,
        }
    }

    /// Bytes of contents.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Bytes of memory for them.
    pub fn storage(&self) -> u64 {
        (self.pages.len() as u64).saturating_mul(PAGE as u64)
    }

    /// Copies contents from `offset` on; answers how many bytes.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = bytes.len().min(left);
        let mut at = offset;
        let mut rest = bytes.get_mut(..count).unwrap_or_default();
        while !rest.is_empty() {
            let (index, within) = split(at);
            let part = rest.len().min(PAGE - within);
            let Some((target, after)) = rest.split_at_mut_checked(part) else {
                break;
            };
            let source = self
                .pages
                .get(&index)
                .and_then(|page| page.get(within..within + part));
            match source {
                Some(source) => target.copy_from_slice(source),
                None => target.fill(0),
            }
            at = at.saturating_add(part as u64);
            rest = after;
        }
        count
    }

    /// Stores `bytes` at `offset`; answers how many, fewer if the space ends on the way.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the longest file, [`Error::NoSpace`] if not even one was stored.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .ok_or(Error::TooLarge)?;
        if end > LENGTH_MAX {
            return Err(Error::TooLarge);
        }
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let (index, within) = split(at);
            let part = rest.len().min(PAGE - within);
            let part = rest.get(..part).unwrap_or(rest);
            if let Err(error) = self.store(index, within, part) {
                if done == 0 {
                    return Err(error);
                }
                break;
            }
            done += part.len();
            self.length = self.length.max(at.saturating_add(part.len() as u64));
        }
        Ok(done)
    }

    fn store(&mut self, index: u64, within: usize, part: &[u8]) -> Result<(), Error> {
        if !self.pages.contains_key(&index) {
            self.charge.grow(PAGE_COST)?;
            match new_page() {
                Some(page) => self.pages.insert(index, page),
                None => {
                    self.charge.shrink(PAGE_COST);
                    return Err(Error::NoSpace);
                }
            };
        }
        self.pages
            .get_mut(&index)
            .and_then(|page| page.get_mut(within..within.checked_add(part.len())?))
            .ok_or(Error::NoSpace)?
            .copy_from_slice(part);
        Ok(())
    }

    /// Cuts the contents off at `length`, or adds zeroes up to it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the longest file.
    pub fn set_length(&mut self, length: u64) -> Result<(), Error> {
        if length > LENGTH_MAX {
            return Err(Error::TooLarge);
        }
        if length < self.length {
            let (index, within) = split(length);
            let first_gone = if within == 0 {
                index
            } else {
                index.saturating_add(1)
            };
            let gone = self.pages.split_off(&first_gone);
            self.charge
                .shrink(PAGE_COST.saturating_mul(gone.len() as u64));
            if let Some(tail) = self
                .pages
                .get_mut(&index)
                .and_then(|page| page.get_mut(within..))
            {
                tail.fill(0);
            }
        }
        self.length = length;
        Ok(())
    }
}

/// A page of zeroes, unless there is no memory for it.
fn new_page() -> Option<Box<[u8]>> {
    let mut page = Vec::new();
    page.try_reserve_exact(PAGE).ok()?;
    page.resize(PAGE, 0);
    Some(page.into_boxed_slice())
}
