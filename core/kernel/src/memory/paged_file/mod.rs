//! Files whose pages come when they are touched: a server, the pager, brings them.
//!
//! The kernel never waits for a pager. It notes which pages are coming, tells the pager once by a one-way
//! message, and lets go of whoever waits when [`PagedFile::supply`] or [`PagedFile::fail`] says so, or when
//! the pager is gone. A page that is there stays until the file is made shorter or nobody has it.

mod asked;
mod fill;
mod wait;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use kiln_object::{Error, ObjectName, ProcessId};
use spin::Mutex;

pub use asked::{Asked, Wanted};
pub use fill::Fill;
pub use wait::Wait;

use super::PAGE_BYTES;
use super::frames::{self, Frame, Purpose};
use super::heap;
use crate::process;

/// Longest file: its last page's number and offset have room to spare.
const MOST_BYTES: u64 = 1 << 52;

/// Who brings the pages of a file.
#[derive(Clone, Copy, Debug)]
pub struct Pager {
    /// The server.
    pub process: ProcessId,
    /// Its object that is told.
    pub object: ObjectName,
    /// What that calls the file.
    pub key: u64,
}

enum Page {
    There(Frame),
    Coming(Arc<Fill>),
    /// It did not come, and so many who waited do not know yet.
    Failed(u32),
}

struct Content {
    length: u64,
    pages: BTreeMap<u64, Page>,
    coming: usize,
    /// Nobody brings pages any more.
    abandoned: bool,
    /// What was cut off is still mapped by somebody.
    shrinking: bool,
}

/// See the module.
pub struct PagedFile {
    pager: Option<Pager>,
    program: bool,
    /// Address spaces that map it.
    maps: AtomicU64,
    content: Mutex<Content>,
}

/// What is known of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is at that physical address.
    There(u64),
    /// It has to be brought.
    Absent,
    /// It was not brought.
    Failed,
    /// It lies behind the end.
    Beyond,
    /// There is no memory for it.
    NoMemory,
}

/// Names a file that an address space maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(usize);

impl PagedFile {
    /// A file of `length` bytes of which nothing is there; `program` is whether a program's memory pays
    /// for it.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn new(pager: Option<Pager>, program: bool, length: u64) -> Result<Arc<Self>, Error> {
        if length > MOST_BYTES {
            return Err(Error::TooLarge);
        }
        Ok(Arc::new(Self {
            pager,
            program,
            maps: AtomicU64::new(0),
            content: Mutex::new(Content {
                length,
                pages: BTreeMap::new(),
                coming: 0,
                abandoned: false,
                shrinking: false,
            }),
        }))
    }

    /// Its name among those that are mapped, for as long as it lives.
    pub fn id(self: &Arc<Self>) -> FileId {
        FileId(Arc::as_ptr(self).addr())
    }

    /// The process that brings its pages.
    pub fn pager(&self) -> Option<ProcessId> {
        self.pager.map(|pager| pager.process)
    }

    /// Notes that another address space maps it, or one less.
    pub(super) fn count_map(&self, more: bool) {
        if more {
            self.maps.fetch_add(1, Ordering::SeqCst);
        } else {
            self.maps.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Bytes in the file.
    pub fn length(&self) -> u64 {
        self.content.lock().length
    }

    fn purpose(&self) -> Purpose {
        if self.program {
            Purpose::Program
        } else {
            Purpose::Server
        }
    }

    /// Looks at the page of that number; without a pager it is made.
    pub fn look(&self, number: u64) -> Look {
        let content = &mut *self.content.lock();
        if number.saturating_mul(PAGE_BYTES) >= content.length {
            return Look::Beyond;
        }
        match content.pages.get_mut(&number) {
            Some(Page::There(frame)) => Look::There(frame.physical()),
            Some(Page::Coming(_)) => Look::Absent,
            Some(Page::Failed(left)) => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    content.pages.remove(&number);
                }
                Look::Failed
            }
            None if self.pager.is_some() && content.abandoned => Look::Failed,
            None if self.pager.is_some() => Look::Absent,
            None => match self.add(content, number) {
                Ok(frame) => Look::There(frame.physical()),
                Err(_) => Look::NoMemory,
            },
        }
    }

    /// Adds an empty page where none is.
    fn add(&self, content: &mut Content, number: u64) -> Result<Frame, Error> {
        heap::ensure_room(self.program)?;
        let frame = frames::allocate_zeroed_for(self.purpose()).ok_or(Error::Exhausted)?;
        content.pages.insert(number, Page::There(frame));
        Ok(frame)
    }

    /// Calls `each` with the numbers and physical addresses of the pages of `first..end` that are there.
    pub fn there(&self, first: u64, end: u64, mut each: impl FnMut(u64, u64)) {
        let content = self.content.lock();
        let end = end.min(content.length.div_ceil(PAGE_BYTES));
        if first >= end {
            return;
        }
        for (number, page) in content.pages.range(first..end) {
            if let Page::There(frame) = page {
                each(*number, frame.physical());
            }
        }
    }

    fn number_of(content: &Content, offset: u64) -> Result<u64, Error> {
        if content.shrinking {
            return Err(Error::Busy);
        }
        if offset.is_multiple_of(PAGE_BYTES) && offset < content.length {
            Ok(offset / PAGE_BYTES)
        } else {
            Err(Error::BadArgument)
        }
    }

    /// Brings the page at `offset`: `bytes` and then zeroes.
    ///
    /// # Errors
    /// `BadArgument` for an offset that is none of a page or beyond the end, and for no bytes or too many;
    /// `Exists`; `Exhausted`.
    pub fn supply(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() || bytes.len() as u64 > PAGE_BYTES {
            return Err(Error::BadArgument);
        }
        let before = {
            let content = &mut *self.content.lock();
            let number = Self::number_of(content, offset)?;
            if matches!(content.pages.get(&number), Some(Page::There(_))) {
                return Err(Error::Exists);
            }
            heap::ensure_room(self.program)?;
            let frame = frames::allocate_for(self.purpose()).ok_or(Error::Exhausted)?;
            let left = content.length - offset;
            let bytes = bytes.get(..left.min(PAGE_BYTES) as usize).unwrap_or(bytes);
            let place = frame.pointer();
            // SAFETY: the frame was just allocated, so it is nobody else's, and the bytes fit into it.
            unsafe {
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
                place
                    .add(bytes.len())
                    .write_bytes(0, PAGE_BYTES as usize - bytes.len());
            }
            let before = content.pages.insert(number, Page::There(frame));
            content.coming -= usize::from(matches!(before, Some(Page::Coming(_))));
            before
        };
        if let Some(Page::Coming(fill)) = before {
            fill.finish();
        }
        Ok(())
    }

    /// Says that the page at `offset` will not come.
    ///
    /// # Errors
    /// `NotFound` if nobody waits for it; `BadArgument`.
    pub fn fail(&self, offset: u64) -> Result<(), Error> {
        let fill = {
            let content = &mut *self.content.lock();
            let number = Self::number_of(content, offset)?;
            let Some(Page::Coming(fill)) = content.pages.get(&number) else {
                return Err(Error::NotFound);
            };
            let fill = Arc::clone(fill);
            content.coming -= 1;
            content
                .pages
                .insert(number, Page::Failed(fill.waiters().max(1)));
            fill
        };
        fill.finish();
        Ok(())
    }

    /// Goes through the pages of `bytes` bytes at `offset` that are there: `each` gets what lies in one
    /// (address, offset among the bytes, length). Answers how many bytes that were.
    fn pieces(
        &self,
        content: &mut Content,
        offset: u64,
        bytes: usize,
        mut each: impl FnMut(*mut u8, usize, usize),
    ) -> Result<usize, Error> {
        let left = content.length.saturating_sub(offset).min(bytes as u64) as usize;
        let mut done = 0;
        while done < left {
            let at = offset + done as u64;
            let frame = match content.pages.get(&(at / PAGE_BYTES)) {
                Some(Page::There(frame)) => *frame,
                None if self.pager.is_none() => self.add(content, at / PAGE_BYTES)?,
                _ if done == 0 => return Err(Error::NotFound),
                _ => break,
            };
            let inside = (at % PAGE_BYTES) as usize;
            let part = (left - done).min(PAGE_BYTES as usize - inside);
            // SAFETY: `inside` is within the frame's page.
            each(unsafe { frame.pointer().add(inside) }, done, part);
            done += part;
        }
        Ok(done)
    }

    /// Reads pages that are there.
    ///
    /// # Errors
    /// `NotFound` if the one at `offset` is not there; `Exhausted`.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let content = &mut *self.content.lock();
        let (place, room) = (bytes.as_mut_ptr(), bytes.len());
        self.pieces(content, offset, room, |page, done, part| {
            // SAFETY: `done + part` is at most the room, and the page has `part` bytes more; whoever maps
            // it may change it meanwhile, and has what he did to it.
            unsafe { core::ptr::copy_nonoverlapping(page, place.add(done), part) };
        })
    }

    /// Writes to pages that are there, up to the end of the file.
    ///
    /// # Errors
    /// `NotFound` if the one at `offset` is not there; `Exhausted`.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        let content = &mut *self.content.lock();
        self.pieces(content, offset, bytes.len(), |page, done, part| {
            // SAFETY: as in `read`.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr().add(done), page, part) };
        })
    }

    /// Makes the file longer or shorter. The caller holds no lock.
    ///
    /// # Errors
    /// `TooLarge`; `Busy` while it is being made shorter.
    pub fn set_length(self: &Arc<Self>, length: u64) -> Result<(), Error> {
        if length > MOST_BYTES {
            return Err(Error::TooLarge);
        }
        let first_gone = length.div_ceil(PAGE_BYTES);
        let mut fills = Vec::new();
        {
            let content = &mut *self.content.lock();
            if content.shrinking {
                return Err(Error::Busy);
            }
            let coming = content.coming;
            fills.try_reserve(coming).map_err(|_| Error::Exhausted)?;
            // Who maps the last page may have stored something behind the end.
            let end = length.min(content.length);
            let inside = end % PAGE_BYTES;
            if inside != 0
                && let Some(Page::There(frame)) = content.pages.get(&(end / PAGE_BYTES))
            {
                // SAFETY: `inside` is within the page.
                unsafe {
                    let rest = frame.pointer().add(inside as usize);
                    rest.write_bytes(0, (PAGE_BYTES - inside) as usize);
                }
            }
            let shorter = length < content.length;
            content.length = length;
            if !shorter {
                return Ok(());
            }
            content.shrinking = true;
            for (_, page) in content.pages.range_mut(first_gone..) {
                if let Page::Coming(fill) = page {
                    fills.push(Arc::clone(fill));
                    *page = Page::Failed(0);
                    content.coming -= 1;
                }
            }
        }
        // They find that there is no such page.
        fills.iter().for_each(|fill| fill.finish());
        if self.maps.load(Ordering::SeqCst) != 0 {
            let id = self.id();
            process::for_each(|process| {
                process.change(|space| space.forget_pages(id, first_gone));
            });
        }
        let gone = {
            let mut content = self.content.lock();
            content.shrinking = false;
            content.pages.split_off(&first_gone)
        };
        free(gone);
        Ok(())
    }

    /// Nobody brings pages any more: who waits for one gets a bad access.
    pub fn abandon(&self) {
        let mut next = 0;
        loop {
            let fill = {
                let content = &mut *self.content.lock();
                content.abandoned = true;
                let mut pages = content.pages.range(next..);
                let coming = pages.find_map(|(number, page)| match page {
                    Page::Coming(fill) => Some((*number, Arc::clone(fill))),
                    _ => None,
                });
                let Some((number, fill)) = coming else {
                    return;
                };
                content.coming -= 1;
                content.pages.remove(&number);
                next = number;
                fill
            };
            fill.finish();
        }
    }
}

impl Drop for PagedFile {
    fn drop(&mut self) {
        free(core::mem::take(&mut self.content.get_mut().pages));
    }
}

fn free(pages: BTreeMap<u64, Page>) {
    for (_, page) in pages {
        if let Page::There(frame) = page {
            frames::free(frame);
        }
    }
}

impl core::fmt::Debug for PagedFile {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("PagedFile").finish_non_exhaustive()
    }
}
