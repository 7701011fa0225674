//! The contents of a regular file: sparse pages and a length.
//!
//! Bytes of a page beyond the length are zero at all times, so that growing a file shows zeroes. Pages of a
//! file that somebody maps move to the kernel as they are touched ([`Kept`]), and stay there: what is
//! stored in them is the file's at once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kiln_interface::kernel::{FileCache, PagedFile};
use kiln_object::{Error, ProcessId, Reference, Rights};

use crate::budget::Charge;

/// A file of the kernel's, for pages that are mapped.
pub type Kept = Box<dyn PagedFile + Send + Sync>;

/// Makes a file of so many bytes in the kernel, of which the pager is told by that key.
pub type KeepFile = fn(length: u64, key: u64) -> Result<Kept, Error>;

/// Pages that follow the one that was asked for and move with it, if they have contents: who reads on
/// finds them.
const AHEAD: u64 = 7;

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// Longest file, in bytes.
pub const LENGTH_MAX: u64 = i64::MAX as u64;

/// What a page costs besides its bytes.
const PAGE_COST: u64 = PAGE as u64 + 64;

/// A file's contents.
pub struct Pages {
    pages: BTreeMap<u64, Page>,
    length: u64,
    charge: Charge,
    kept: Option<Kept>,
}

/// Where a page lies.
enum Page {
    Here(Box<[u8]>),
    /// In the kernel's file.
    Kept,
}

impl core::fmt::Debug for Pages {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Pages")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
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
            kept: None,
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
            match (self.pages.get(&index), &self.kept) {
                (Some(Page::Here(page)), _) => match page.get(within..within + part) {
                    Some(source) => target.copy_from_slice(source),
                    None => target.fill(0),
                },
                (Some(Page::Kept), Some(kept)) => {
                    let read = kept.read(at, target).unwrap_or(0);
                    target.get_mut(read..).unwrap_or_default().fill(0);
                }
                _ => target.fill(0),
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
        if end > self.length
            && let Some(kept) = &self.kept
        {
            kept.set_length(end)?;
        }
        let done = self.store_all(offset, bytes);
        // Not all may have found room.
        if end > self.length
            && let Some(kept) = &self.kept
        {
            kept.set_length(self.length)?;
        }
        done
    }

    fn store_all(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
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
                Some(page) => self.pages.insert(index, Page::Here(page)),
                None => {
                    self.charge.shrink(PAGE_COST);
                    return Err(Error::NoSpace);
                }
            };
        }
        match (self.pages.get_mut(&index), &self.kept) {
            (Some(Page::Here(page)), _) => page
                .get_mut(within..)
                .and_then(|rest| rest.get_mut(..part.len()))
                .ok_or(Error::NoSpace)?
                .copy_from_slice(part),
            (Some(Page::Kept), Some(kept)) => {
                let offset = index * PAGE as u64 + within as u64;
                if kept.write(offset, part)? < part.len() {
                    return Err(Error::NoSpace);
                }
            }
            _ => return Err(Error::NoSpace),
        }
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
        if let Some(kept) = &self.kept {
            // It empties the rest of its last page.
            kept.set_length(length)?;
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
            if let Some(Page::Here(page)) = self.pages.get_mut(&index)
                && let Some(tail) = page.get_mut(within..)
            {
                tail.fill(0);
            }
        }
        self.length = length;
        Ok(())
    }

    /// A reference to the pages for `owner`, to be mapped with `rights`; `keep` makes the kernel's file at
    /// the first time.
    ///
    /// # Errors
    /// Those of `keep` and of the kernel.
    pub fn share(
        &mut self,
        keep: impl FnOnce(u64) -> Result<Kept, Error>,
        owner: ProcessId,
        rights: Rights,
    ) -> Result<Reference<dyn FileCache>, Error> {
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => none.insert(keep(self.length)?),
        };
        kept.share(owner, rights.bits())
    }

    /// Whether the kernel has a file for it.
    pub const fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether somebody maps it or could.
    pub fn has_users(&self) -> bool {
        let users = self.kept.as_ref().map(|kept| kept.users());
        users.is_some_and(|users| users != Ok(0))
    }

    /// Brings the page at `offset` for those who map it, and the next ones.
    ///
    /// # Errors
    /// Why it cannot come; then they have been told.
    pub fn fill(&mut self, offset: u64) -> Result<(), Error> {
        let (first, _) = split(offset);
        let moved = self.move_page(first);
        if let (Err(_), Some(kept)) = (moved, &self.kept) {
            let _ = kept.fail(offset);
        }
        for index in first + 1..=first.saturating_add(AHEAD) {
            if !matches!(self.pages.get(&index), Some(Page::Here(_)))
                || self.move_page(index).is_err()
            {
                break;
            }
        }
        moved
    }

    /// Lets the kernel have a page, which may be a hole.
    fn move_page(&mut self, index: u64) -> Result<(), Error> {
        let kept = self.kept.as_ref().ok_or(Error::NotFound)?;
        let offset = index.checked_mul(PAGE as u64).ok_or(Error::TooLarge)?;
        match self.pages.get(&index) {
            Some(Page::Kept) => return Ok(()),
            Some(Page::Here(page)) => kept.supply(offset, page)?,
            None if offset >= self.length => return Err(Error::BadArgument),
            None => {
                self.charge.grow(PAGE_COST)?;
                if let Err(error) = kept.supply(offset, &[0]) {
                    self.charge.shrink(PAGE_COST);
                    return Err(error);
                }
            }
        }
        self.pages.insert(index, Page::Kept);
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
