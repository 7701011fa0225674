//! A nameless file that only this process can reach (`memfd_create`).
//!
//! It lies in the library's heap until it is mapped for the first time: then the kernel keeps it, so that
//! what is stored through a mapping and what is written are the same.

use alloc::vec::Vec;

use kiln_interface::file::{Attributes, kind};
use kiln_runtime::PlainMutex as Mutex;

use super::buffer::{Destination, Source};
use super::kept_file::KeptFile;
use super::object::{Mappable, Object, Position};
use super::scratch::Scratch;
use crate::errno::Errno;

/// Longest such file: it may lie in the library's heap.
const MOST_BYTES: u64 = 1 << 30;

/// The file.
#[derive(Debug)]
pub struct MemoryFile {
    name: Vec<u8>,
    contents: Mutex<Contents>,
}

#[derive(Debug)]
enum Contents {
    Heap(Vec<u8>),
    Kept(KeptFile),
}

impl MemoryFile {
    /// An empty file.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            contents: Mutex::new(Contents::Heap(Vec::new())),
        }
    }
}

impl Contents {
    fn length(&self) -> u64 {
        match self {
            Self::Heap(bytes) => bytes.len() as u64,
            Self::Kept(file) => file.length(),
        }
    }

    fn resize(&mut self, length: u64) -> Result<(), Errno> {
        if length > MOST_BYTES {
            return Err(Errno::EFBIG);
        }
        match self {
            Self::Heap(bytes) => {
                let length = length as usize;
                let more = length.saturating_sub(bytes.len());
                bytes.try_reserve(more).map_err(|_| Errno::ENOSPC)?;
                bytes.resize(length, 0);
                Ok(())
            }
            Self::Kept(file) => file.set_length(length),
        }
    }

    /// Stores what `from` has at `start`; there is room. Answers how much that is.
    fn store(&mut self, start: u64, from: &mut Source<'_>) -> Result<usize, Errno> {
        let file = match self {
            Self::Heap(bytes) => {
                let place = bytes.get_mut(start as usize..).unwrap_or_default();
                return Ok(from.take(place)?.len());
            }
            Self::Kept(file) => file,
        };
        let mut piece = Scratch::take();
        let mut done = 0;
        while from.left() > 0 {
            let stored = from
                .take(&mut piece)
                .and_then(|bytes| file.write(start + done as u64, bytes));
            match stored {
                Ok(count) => done += count,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl Object for MemoryFile {
    fn read(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        let contents = self.contents.lock();
        let file = match &*contents {
            Contents::Heap(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                return into.put(bytes.get(start..).unwrap_or_default());
            }
            Contents::Kept(file) => file,
        };
        let mut piece = Scratch::take();
        let mut done = 0;
        while into.room() > 0 {
            let wanted = into.room().min(piece.len());
            let place = piece.get_mut(..wanted).unwrap_or_default();
            let count = file.read(offset.saturating_add(done as u64), place)?;
            let stored = match into.put(place.get(..count).unwrap_or_default()) {
                Ok(stored) => stored,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += stored;
            if stored < wanted {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let mut contents = self.contents.lock();
        let old = contents.length();
        let start = match position {
            Position::At(offset) => offset,
            Position::End => old,
        };
        if from.left() == 0 {
            return Ok((0, start));
        }
        let end = start.checked_add(from.left() as u64).ok_or(Errno::EFBIG)?;
        contents.resize(end.max(old))?;
        let stored = contents.store(start, from);
        let reached = stored.map_or(0, |count| start + count as u64);
        if reached < end {
            // Making it shorter needs nothing.
            contents.resize(old.max(reached))?;
        }
        stored.map(|count| (count, reached))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let length = self.contents.lock().length();
        Ok(Attributes {
            mode: kind::REGULAR | 0o777,
            links: 0,
            number: core::ptr::from_ref(self).addr() as u64,
            length,
            storage: length,
            ..crate::pseudo::own_attributes()
        })
    }

    fn set_attributes(&self, _attributes: &Attributes, _fields: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<(), Errno> {
        self.contents.lock().resize(length)
    }

    fn synchronise(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn mappable(&self) -> Result<Mappable, Errno> {
        let contents = &mut *self.contents.lock();
        if let Contents::Heap(bytes) = contents {
            let Some(file) = KeptFile::of(bytes)? else {
                return Ok(Mappable::Contents);
            };
            *contents = Contents::Kept(file);
        }
        match contents {
            Contents::Kept(file) => Ok(Mappable::Pages(file.cache(), file.length())),
            Contents::Heap(_) => Ok(Mappable::Contents),
        }
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"/memfd:");
        name.extend_from_slice(&self.name);
        name.extend_from_slice(b" (deleted)");
    }
}
