//! A nameless file that only this process can reach (`memfd_create`).

use alloc::vec::Vec;

use kiln_interface::file::{Attributes, kind};
use spin::Mutex;

use super::buffer::{Destination, Source};
use super::object::{Mappable, Object, Position};
use crate::errno::Errno;

/// Longest such file: it lies in the library's heap.
const MOST_BYTES: u64 = 1 << 30;

/// The file.
#[derive(Debug)]
pub struct MemoryFile {
    name: Vec<u8>,
    bytes: Mutex<Vec<u8>>,
}

impl MemoryFile {
    /// An empty file.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            bytes: Mutex::new(Vec::new()),
        }
    }
}

fn resize(bytes: &mut Vec<u8>, length: u64) -> Result<(), Errno> {
    if length > MOST_BYTES {
        return Err(Errno::EFBIG);
    }
    let length = length as usize;
    let more = length.saturating_sub(bytes.len());
    bytes.try_reserve(more).map_err(|_| Errno::ENOSPC)?;
    bytes.resize(length, 0);
    Ok(())
}

impl Object for MemoryFile {
    fn read(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        into.put(self.bytes.lock().get(start..).unwrap_or_default())
    }

    fn write(&self, position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let mut bytes = self.bytes.lock();
        let start = match position {
            Position::At(offset) => offset,
            Position::End => bytes.len() as u64,
        };
        if from.left() == 0 {
            return Ok((0, start));
        }
        let end = start.checked_add(from.left() as u64).ok_or(Errno::EFBIG)?;
        let old = bytes.len() as u64;
        resize(&mut bytes, end.max(old))?;
        let place = bytes.get_mut(start as usize..).unwrap_or_default();
        match from.take(place) {
            Ok(taken) => {
                let count = taken.len();
                Ok((count, start + count as u64))
            }
            Err(error) => {
                bytes.truncate(old as usize);
                Err(error)
            }
        }
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let length = self.bytes.lock().len() as u64;
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
        resize(&mut self.bytes.lock(), length)
    }

    fn synchronise(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn mappable(&self) -> Result<Mappable, Errno> {
        Ok(Mappable::Contents)
    }

    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"/memfd:");
        name.extend_from_slice(&self.name);
        name.extend_from_slice(b" (deleted)");
    }
}
