//! What stands behind an open file: one trait for files, devices, pipes, the terminal.
//!
//! The defaults say what an object does that has no such operation. Offsets and flags belong to the
//! open file description, so an object that is shared needs no state for its readers.

use alloc::vec::Vec;
use core::any::Any;

use kiln_interface::file::Attributes;
use kiln_interface::kernel::FileCache;
use kiln_object::Reference;

use super::buffer::{Destination, Source};
use crate::errno::{Answer, Errno};

/// Bits that `poll` and `epoll` speak of.
pub mod readiness {
    /// A read would not wait (`POLLIN | POLLRDNORM`).
    pub const IN: u32 = 0x1 | 0x40;
    /// A write would not wait (`POLLOUT | POLLWRNORM`).
    pub const OUT: u32 = 0x4 | 0x100;
    /// Nobody reads any more what is written (`POLLERR`).
    pub const ERROR: u32 = 0x8;
    /// Nobody writes any more (`POLLHUP`).
    pub const HANG_UP: u32 = 0x10;
    /// The other end stopped writing (`POLLRDHUP`).
    pub const READ_HANG_UP: u32 = 0x2000;
}

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At this offset.
    At(u64),
    /// After the last byte, wherever that is when it is written.
    End,
}

/// What a mapping of an object is made of.
#[derive(Clone, Copy, Debug)]
pub enum Mappable {
    /// These pages, so many bytes; good as long as the object is open.
    Pages(Reference<dyn FileCache>, u64),
    /// What is read from it.
    Contents,
    /// Zeroes.
    Zero,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The file's number in its tree.
    pub number: u64,
    /// Kind bits of the mode.
    pub kind: u32,
    /// Where to go on after this entry.
    pub cookie: u64,
    /// Its name.
    pub name: &'a [u8],
}

/// Something that was opened.
///
/// A read or write that would have to wait answers `EAGAIN`; the caller waits if the descriptor
/// says so.
pub trait Object: Any + Send + Sync {
    /// Reads at `offset` (without meaning where [`Object::is_seekable`] says no). No bytes is the end.
    ///
    /// # Errors
    /// `EAGAIN` if there is nothing yet; `EFAULT` and the object's own.
    fn read(&self, offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        let _ = (offset, into);
        Err(Errno::EINVAL)
    }

    /// Writes; answers the bytes written and the offset after them.
    ///
    /// # Errors
    /// `EAGAIN` if there is no room yet; `EFAULT` and the object's own.
    fn write(&self, position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        let _ = (position, from);
        Err(Errno::EINVAL)
    }

    /// Whether offsets mean something.
    fn is_seekable(&self) -> bool {
        false
    }

    /// Whether a seek goes somewhere; if not, it succeeds and stays at the start.
    fn has_positions(&self) -> bool {
        true
    }

    /// Whether the object is a directory that is kept in a server or made here.
    fn is_directory(&self) -> bool {
        false
    }

    /// What is known about it.
    ///
    /// # Errors
    /// The server's.
    fn attributes(&self) -> Result<Attributes, Errno>;

    /// Changes attributes; `fields` as in `kiln_interface::file::change`.
    ///
    /// # Errors
    /// `EPERM` where nothing can be changed; the server's.
    fn set_attributes(&self, attributes: &Attributes, fields: u32) -> Result<(), Errno> {
        let _ = (attributes, fields);
        Err(Errno::EPERM)
    }

    /// Makes the file `length` bytes long.
    ///
    /// # Errors
    /// `EINVAL` where that means nothing; the server's.
    fn set_length(&self, length: u64) -> Result<(), Errno> {
        let _ = length;
        Err(Errno::EINVAL)
    }

    /// Calls `add` with the entries after `cookie` until it answers `false` or there are no more.
    ///
    /// # Errors
    /// `ENOTDIR`; the server's.
    fn list(&self, cookie: u64, add: &mut dyn FnMut(Listed<'_>) -> bool) -> Result<(), Errno> {
        let _ = (cookie, add);
        Err(Errno::ENOTDIR)
    }

    /// Which operations would not wait (see [`readiness`]).
    fn readiness(&self) -> u32 {
        readiness::IN | readiness::OUT
    }

    /// Whether `epoll` takes it: an object that never makes anyone wait is refused.
    fn is_pollable(&self) -> bool {
        false
    }

    /// Grows each time something arrives or room appears; an edge for `epoll`.
    fn activity(&self) -> u64 {
        0
    }

    /// Nanoseconds after which a read that waits answers without a byte; `None` for never.
    fn longest_wait(&self) -> Option<u64> {
        None
    }

    /// Answers an `ioctl` that is the object's own.
    ///
    /// # Errors
    /// `ENOTTY` for a request that it does not know.
    fn control(&self, request: u32, argument: u64) -> Answer {
        let _ = (request, argument);
        Err(Errno::ENOTTY)
    }

    /// Waits until what was written is on stable storage.
    ///
    /// # Errors
    /// `EINVAL` where that means nothing.
    fn synchronise(&self) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// What a mapping of it is made of.
    ///
    /// # Errors
    /// `ENODEV` for what cannot be mapped.
    fn mappable(&self) -> Result<Mappable, Errno> {
        Err(Errno::ENODEV)
    }

    /// Appends the name that `/proc/self/fd` shows for an object that no path leads to.
    fn describe(&self, name: &mut Vec<u8>) {
        name.extend_from_slice(b"anon_inode:[unknown]");
    }
}
