//! Files and directories that a server keeps.
//!
//! A file that does not change and whose server gives its pages is read from a window; any other is read
//! and written by calls of at most a message each. Pages are asked for once, at the first read that they
//! could serve better than calls.

use alloc::sync::Arc;
use core::mem::size_of;

use kiln_interface::file::{Attributes, DirectoryEntry, File, Opened, change, kind};
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::{Caller, Error};
use kiln_runtime::PlainMutex as Mutex;
use zerocopy::{FromBytes, IntoBytes};

use super::buffer::{Destination, Source};
use super::files;
use super::object::{Listed, Mappable, Object, Position};
use super::scratch::Scratch;
use super::server::{self, Held, HeldPages};
use super::window::View;
use crate::errno::Errno;

/// Files up to this length are read by calls: mapping costs more than copying twice.
const SMALL_BYTES: u64 = 20 << 10;

#[derive(Debug)]
enum Pages {
    /// Nobody asked yet.
    Unknown,
    /// The server has none to give.
    None,
    /// They can be mapped.
    Some(Arc<HeldPages>),
}

#[derive(Debug)]
struct Reading {
    pages: Pages,
    view: View,
    /// Something was read before: who reads twice reads on.
    again: bool,
}

/// A file in a server.
#[derive(Debug)]
pub struct Stored {
    held: Held,
    mode: u32,
    /// As it was when the file was opened: no more than a hint.
    length: u64,
    reading: Mutex<Reading>,
    /// What the server answered, if it would answer the same again.
    attributes: Mutex<Option<Attributes>>,
}

impl Stored {
    /// What a server opened.
    #[must_use]
    pub fn new(opened: Opened) -> Self {
        Self {
            held: Held::new(opened.file),
            mode: opened.mode,
            length: opened.length,
            reading: Mutex::new(Reading {
                pages: Pages::Unknown,
                view: View::NONE,
                again: false,
            }),
            attributes: Mutex::new(None),
        }
    }

    /// The file's pages, if it has any.
    ///
    /// # Errors
    /// The server's, other than that there are none.
    pub fn pages(&self) -> Result<Option<Arc<HeldPages>>, Errno> {
        let mut reading = self.reading.lock();
        self.learn_pages(&mut reading)?;
        Ok(match &reading.pages {
            Pages::Some(pages) => Some(Arc::clone(pages)),
            _ => None,
        })
    }

    #[inline(always)]
    fn learn_pages(&self, reading: &mut Reading) -> Result<(), Errno> {
        if matches!(reading.pages, Pages::Unknown) {
            reading.pages = self.ask_for_pages()?;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn ask_for_pages(&self) -> Result<Pages, Errno> {
        match self.held.file().pages(Caller(server::this_process())) {
            Ok((cache, length)) => Ok(Pages::Some(Arc::new(HeldPages { cache, length }))),
            Err(Error::Unsupported | Error::Denied) => Ok(Pages::None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_by_calls(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        let start = into.stored();
        let mut piece = Scratch::take();
        while into.room() > 0 {
            let wanted = into.room().min(MESSAGE_BYTES);
            let at = offset
                .checked_add((into.stored() - start) as u64)
                .ok_or(Errno::EINVAL)?;
            let place = piece.get_mut(..wanted).unwrap_or_default();
            let count = match self.held.file().read(at, place) {
                Ok(count) => count,
                Err(_) if into.stored() > start => break,
                Err(error) => return Err(error.into()),
            };
            let stored = match into.put(place.get(..count).unwrap_or_default()) {
                Ok(stored) => stored,
                Err(_) if into.stored() > start => break,
                Err(error) => return Err(error),
            };
            if stored < wanted {
                break;
            }
        }
        Ok(into.stored() - start)
    }
}

/// Copies from what is mapped, chunk by chunk.
fn read_by_window(
    pages: &HeldPages,
    view: &mut View,
    offset: u64,
    into: &mut Destination<'_>,
) -> Result<usize, Errno> {
    let start = into.stored();
    while into.room() > 0 {
        let at = offset.saturating_add((into.stored() - start) as u64);
        if at >= pages.length {
            break;
        }
        let mut windows = files().windows.lock();
        let bytes = windows.bytes(view, pages, at, into.room() as u64)?;
        let wanted = bytes.len().min(into.room());
        match into.put(bytes) {
            Ok(count) if count == wanted => {}
            Ok(_) => break,
            Err(error) if into.stored() == start => return Err(error),
            Err(_) => break,
        }
    }
    Ok(into.stored() - start)
}

impl Object for Stored {
    fn read(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if self.is_directory() {
            return Err(Errno::EISDIR);
        }
        let mut reading = self.reading.lock();
        let by_window = self.mode & Opened::FIXED != 0
            && self.length > SMALL_BYTES
            && (reading.again || into.room() > MESSAGE_BYTES);
        reading.again = true;
        if by_window {
            self.learn_pages(&mut reading)?;
            if let Reading {
                pages: Pages::Some(pages),
                view,
                ..
            } = &mut *reading
            {
                return read_by_window(pages, view, offset, into);
            }
        }
        drop(reading);
        self.read_by_calls(offset, into)
    }

    fn write(&self, position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let mut piece = Scratch::take();
        let mut written = 0;
        let mut after = match position {
            Position::At(offset) => offset,
            Position::End => u64::MAX,
        };
        while from.left() > 0 {
            let bytes = match from.take(&mut piece) {
                Ok(bytes) => bytes,
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            };
            let at = match position {
                Position::At(_) => after,
                Position::End => u64::MAX,
            };
            match self.held.file().write(at, bytes) {
                Ok((count, end)) => {
                    let count = (count as usize).min(bytes.len());
                    let short = count < bytes.len();
                    from.give_back(bytes.len() - count);
                    written += count;
                    after = end;
                    if short {
                        break;
                    }
                }
                Err(error) => {
                    from.give_back(bytes.len());
                    if written > 0 {
                        break;
                    }
                    return Err(match error {
                        // Opened for writing, so the right is there: the tree is what refuses.
                        Error::TooLarge => Errno::EFBIG,
                        error => error.into(),
                    });
                }
            }
        }
        if after == u64::MAX {
            after = self.attributes()?.length;
        }
        Ok((written, after))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_directory(&self) -> bool {
        self.mode & kind::MASK == kind::DIRECTORY
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let mut kept = self.attributes.lock();
        if let Some(attributes) = &*kept {
            return Ok(*attributes);
        }
        let mut attributes = Attributes::default();
        let room = attributes.as_mut_bytes();
        let wanted = room.len();
        if self.held.file().attributes(room)? != wanted {
            return Err(Errno::EIO);
        }
        if self.mode & Opened::FIXED != 0 {
            *kept = Some(attributes);
        }
        Ok(attributes)
    }

    fn set_attributes(&self, attributes: &Attributes, fields: u32) -> Result<(), Errno> {
        Ok(self
            .held
            .file()
            .set_attributes(attributes.as_bytes(), fields)?)
    }

    fn set_length(&self, length: u64) -> Result<(), Errno> {
        let attributes = Attributes {
            length,
            ..Attributes::default()
        };
        match self
            .held
            .file()
            .set_attributes(attributes.as_bytes(), change::LENGTH)
        {
            Err(Error::TooLarge) => Err(Errno::EFBIG),
            Err(Error::Denied) => Err(Errno::EINVAL),
            done => Ok(done?),
        }
    }

    fn list(&self, cookie: u64, add: &mut dyn FnMut(Listed<'_>) -> bool) -> Result<(), Errno> {
        if !self.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let mut answer = Scratch::take();
        let mut cookie = cookie;
        loop {
            let count = self.held.file().read_directory(cookie, &mut answer)?;
            let mut rest = answer.get(..count).ok_or(Errno::EIO)?;
            if rest.is_empty() {
                return Ok(());
            }
            while !rest.is_empty() {
                let (entry, after) =
                    DirectoryEntry::read_from_prefix(rest).map_err(|_| Errno::EIO)?;
                let name = after.get(..entry.name_bytes as usize).ok_or(Errno::EIO)?;
                let listed = Listed {
                    number: entry.number,
                    kind: entry.kind,
                    cookie: entry.cookie,
                    name,
                };
                if !add(listed) {
                    return Ok(());
                }
                cookie = entry.cookie;
                let taken = (size_of::<DirectoryEntry>() + name.len()).next_multiple_of(8);
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
    }

    fn synchronise(&self) -> Result<(), Errno> {
        Ok(self.held.file().synchronise()?)
    }

    fn mappable(&self) -> Result<Mappable, Errno> {
        if self.mode & kind::MASK != kind::REGULAR {
            return Err(Errno::ENODEV);
        }
        Ok(match self.pages()? {
            Some(pages) => Mappable::Pages(pages.cache, pages.length),
            None => Mappable::Contents,
        })
    }
}
