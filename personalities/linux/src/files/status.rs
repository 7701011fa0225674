//! What is known about files: `stat` and its kin, `access`, `readlink`.
//!
//! The program is the superuser of its image, so permissions never refuse it anything but to
//! execute what nobody may.

use kiln_interface::file::{Attributes, kind};
use linux_raw_sys::general::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW,
    STATX__RESERVED, STATX_BASIC_STATS, STATX_MNT_ID,
};
use zerocopy::{Immutable, IntoBytes, KnownLayout};

use super::path::Joined;
use super::walk::{Place, Walk};
use super::{Files, files};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;
use crate::pseudo::Node;

/// What is preferred for reading and writing.
pub const BLOCK_BYTES: u64 = 4096;

/// Minor numbers of devices that trees lie on start here.
const FIRST_DEVICE: u64 = 16;

/// Major number (always 0) and minor number of the device that a tree is.
fn tree_device(tree: u64) -> (u32, u32) {
    (0, ((tree.wrapping_add(FIRST_DEVICE)) & 0xf_ffff) as u32)
}

fn device_numbers(device: u64) -> (u32, u32) {
    ((device >> 32) as u32, device as u32)
}

/// A device number as `stat` has it.
const fn encode((major, minor): (u32, u32)) -> u64 {
    (minor & 0xff) as u64 | (major as u64) << 8 | ((minor & !0xff) as u64) << 12
}

/// `struct timespec`
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

impl Time {
    const fn of(nanoseconds: i64) -> Self {
        Self {
            seconds: nanoseconds.div_euclid(1_000_000_000),
            nanoseconds: nanoseconds.rem_euclid(1_000_000_000),
        }
    }
}

/// `struct stat` of x86-64.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Stat {
    device: u64,
    number: u64,
    links: u64,
    mode: u32,
    user: u32,
    group: u32,
    hole: u32,
    special_device: u64,
    length: i64,
    block_bytes: i64,
    blocks: i64,
    accessed: Time,
    modified: Time,
    changed: Time,
    tail: [i64; 3],
}

impl Stat {
    fn of(attributes: &Attributes) -> Self {
        Self {
            device: encode(tree_device(attributes.tree)),
            number: attributes.number,
            links: attributes.links.into(),
            mode: attributes.mode,
            user: attributes.user,
            group: attributes.group,
            hole: 0,
            special_device: encode(device_numbers(attributes.device)),
            length: attributes.length as i64,
            block_bytes: BLOCK_BYTES as i64,
            blocks: attributes.storage.div_ceil(512) as i64,
            accessed: Time::of(attributes.accessed),
            modified: Time::of(attributes.modified),
            changed: Time::of(attributes.changed),
            tail: [0; 3],
        }
    }
}

const _: () = assert!(size_of::<Stat>() == 144);

impl Files {
    /// Attributes of what a path names as seen from a directory, or, with an empty path and
    /// `AT_EMPTY_PATH`, of what the descriptor is.
    fn status_at(&self, directory: i32, path: u64, flags: u32) -> Result<Attributes, Errno> {
        if flags & AT_EMPTY_PATH != 0 {
            // A null path is an empty one here, since Linux 6.11.
            let path = if path == 0 {
                alloc::vec::Vec::new()
            } else {
                program_memory::path(path)?
            };
            if path.is_empty() {
                return self.status_of(directory);
            }
            return self.status_of_path(self.start(directory, &path)?, flags);
        }
        let path = program_memory::path(path)?;
        self.status_of_path(self.start(directory, &path)?, flags)
    }

    fn status_of_path(&self, start: Joined, flags: u32) -> Result<Attributes, Errno> {
        let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
        let directory = start.directory;
        let (attributes, path) = self.attributes_of(start, follow)?;
        if follow && let Some(descriptor) = self.descriptor_behind(&path) {
            return self.status_of(descriptor);
        }
        if directory && attributes.mode & kind::MASK != kind::DIRECTORY {
            return Err(Errno::ENOTDIR);
        }
        Ok(attributes)
    }

    /// The descriptor that a path in `/proc/self/fd` stands for.
    fn descriptor_behind(&self, path: &[u8]) -> Option<i32> {
        if !path.starts_with(b"/proc/") {
            return None;
        }
        match crate::pseudo::find(self, path, true) {
            crate::pseudo::Found::Node(Node::Descriptor(descriptor)) => Some(descriptor),
            _ => None,
        }
    }

    fn status_of(&self, descriptor: i32) -> Result<Attributes, Errno> {
        if descriptor == AT_FDCWD {
            let start = self.start(AT_FDCWD, b".")?;
            return Ok(self.attributes_of(start, true)?.0);
        }
        self.description(descriptor)?.object().attributes()
    }
}

fn answer(attributes: &Attributes, address: u64) -> Answer {
    program_memory::write(address, &Stat::of(attributes))?;
    Ok(0)
}

/// stat(2)
pub fn stat(call: &Call<'_>) -> Answer {
    answer(
        &files().status_at(AT_FDCWD, call.pointer(0), 0)?,
        call.pointer(1),
    )
}

/// lstat(2)
pub fn lstat(call: &Call<'_>) -> Answer {
    let attributes = files().status_at(AT_FDCWD, call.pointer(0), AT_SYMLINK_NOFOLLOW)?;
    answer(&attributes, call.pointer(1))
}

/// fstat(2)
pub fn fstat(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    answer(&description.object().attributes()?, call.pointer(1))
}

/// newfstatat(2)
pub fn newfstatat(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(3);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let attributes = files().status_at(call.descriptor(0), call.pointer(1), flags)?;
    answer(&attributes, call.pointer(2))
}

/// `struct statx_timestamp`
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct LongTime {
    seconds: i64,
    nanoseconds: u32,
    hole: i32,
}

impl LongTime {
    const fn of(nanoseconds: i64) -> Self {
        let time = Time::of(nanoseconds);
        Self {
            seconds: time.seconds,
            nanoseconds: time.nanoseconds as u32,
            hole: 0,
        }
    }
}

/// `struct statx`
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct LongStat {
    mask: u32,
    block_bytes: u32,
    attributes: u64,
    links: u32,
    user: u32,
    group: u32,
    mode: u16,
    hole: u16,
    number: u64,
    length: u64,
    blocks: u64,
    attributes_mask: u64,
    accessed: LongTime,
    born: LongTime,
    changed: LongTime,
    modified: LongTime,
    special_device: [u32; 2],
    device: [u32; 2],
    mount: u64,
    tail: [u64; 13],
}

const _: () = assert!(size_of::<LongStat>() == 256);

/// statx(2)
pub fn statx(call: &Call<'_>) -> Answer {
    let (flags, mask) = (call.unsigned(2), call.unsigned(3));
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE
        || mask & STATX__RESERVED != 0
    {
        return Err(Errno::EINVAL);
    }
    let attributes = files().status_at(call.descriptor(0), call.pointer(1), flags)?;
    let pair = |(major, minor)| [major, minor];
    let answer = LongStat {
        mask: STATX_BASIC_STATS | STATX_MNT_ID,
        block_bytes: BLOCK_BYTES as u32,
        attributes: 0,
        links: attributes.links,
        user: attributes.user,
        group: attributes.group,
        mode: attributes.mode as u16,
        hole: 0,
        number: attributes.number,
        length: attributes.length,
        blocks: attributes.storage.div_ceil(512),
        attributes_mask: 0,
        accessed: LongTime::of(attributes.accessed),
        born: LongTime::of(0),
        changed: LongTime::of(attributes.changed),
        modified: LongTime::of(attributes.modified),
        special_device: pair(device_numbers(attributes.device)),
        device: pair(tree_device(attributes.tree)),
        mount: u64::from(tree_device(attributes.tree).1),
        tail: [0; 13],
    };
    program_memory::write(call.pointer(4), &answer)?;
    Ok(0)
}

fn may_access(directory: i32, path: u64, mode: u32, flags: u32) -> Answer {
    const EXECUTE: u32 = 1;
    const WRITE: u32 = 2;
    if mode & !7 != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let attributes = files().status_at(directory, path, flags & !AT_EACCESS)?;
    let is_regular = attributes.mode & kind::MASK == kind::REGULAR;
    if mode & EXECUTE != 0 && is_regular && attributes.mode & 0o111 == 0 {
        return Err(Errno::EACCES);
    }
    if mode & WRITE != 0 && flags & AT_EMPTY_PATH == 0 {
        let start = files().start(directory, &program_memory::path(path)?)?;
        let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
        if let Ok(Place::Stored(place)) = Walk::new(files(), start, follow).place()
            && place.mount.read_only
            && matches!(
                attributes.mode & kind::MASK,
                kind::REGULAR | kind::DIRECTORY | kind::LINK
            )
        {
            return Err(Errno::EROFS);
        }
    }
    Ok(0)
}

/// access(2)
pub fn access(call: &Call<'_>) -> Answer {
    may_access(AT_FDCWD, call.pointer(0), call.unsigned(1), 0)
}

/// faccessat(2)
pub fn faccessat(call: &Call<'_>) -> Answer {
    may_access(call.descriptor(0), call.pointer(1), call.unsigned(2), 0)
}

/// faccessat2(2)
pub fn faccessat2(call: &Call<'_>) -> Answer {
    may_access(
        call.descriptor(0),
        call.pointer(1),
        call.unsigned(2),
        call.unsigned(3),
    )
}

fn read_link(directory: i32, path: u64, address: u64, room: i32) -> Answer {
    let room = usize::try_from(room).ok().filter(|room| *room > 0);
    let room = room.ok_or(Errno::EINVAL)?;
    let files = files();
    let path = program_memory::path(path)?;
    let target = if path.is_empty() && directory != AT_FDCWD {
        // What `O_PATH | O_NOFOLLOW` opened.
        let description = files.description(directory)?;
        let here = super::path::join(b"/", description.path())?;
        files.link_target(here).map_err(|error| match error {
            Errno::EINVAL => Errno::ENOENT,
            error => error,
        })?
    } else {
        files.link_target(files.start(directory, &path)?)?
    };
    let answered = target.get(..room.min(target.len())).unwrap_or_default();
    program_memory::copy_out(address, answered)?;
    Ok(answered.len() as u64)
}

/// readlink(2)
pub fn readlink(call: &Call<'_>) -> Answer {
    read_link(AT_FDCWD, call.pointer(0), call.pointer(1), call.integer(2))
}

/// readlinkat(2)
pub fn readlinkat(call: &Call<'_>) -> Answer {
    read_link(
        call.descriptor(0),
        call.pointer(1),
        call.pointer(2),
        call.integer(3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_encoded_as_c_libraries_expect() {
        assert_eq!(encode((1, 3)), 0x103);
        assert_eq!(encode((0, 0x12345)), 0x1230_0045);
        assert_eq!(encode((259, 1)), 0x1_0301);
    }

    #[test]
    fn times_before_1970_have_positive_fractions() {
        let time = Time::of(-1);
        assert_eq!((time.seconds, time.nanoseconds), (-1, 999_999_999));
    }
}
