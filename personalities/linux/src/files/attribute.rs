//! Changing attributes: permissions, owners, times.

use kiln_interface::file::{Attributes, FileTree, change, kind};
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::description::Description;
use super::files;
use super::open::usable;
use super::path::Joined;
use super::walk::{Failed, Place, Walk};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;
use crate::pseudo::Node;

/// What is to be changed, to what.
#[derive(Clone, Copy, Default)]
struct Change {
    attributes: Attributes,
    fields: u32,
}

impl Change {
    fn mode(mode: u32) -> Self {
        Self {
            attributes: Attributes {
                mode: mode & 0o7777,
                ..Attributes::default()
            },
            fields: change::MODE,
        }
    }

    /// An owner or group of all ones stays.
    fn owner(user: u32, group: u32) -> Self {
        let mut all = Self::default();
        if user != u32::MAX {
            all.attributes.user = user;
            all.fields |= change::USER;
        }
        if group != u32::MAX {
            all.attributes.group = group;
            all.fields |= change::GROUP;
        }
        all
    }

    fn times(accessed: Option<i64>, modified: Option<i64>) -> Self {
        let mut all = Self::default();
        if let Some(time) = accessed {
            all.attributes.accessed = time;
            all.fields |= change::ACCESSED;
        }
        if let Some(time) = modified {
            all.attributes.modified = time;
            all.fields |= change::MODIFIED;
        }
        all
    }

    fn at_path(&self, start: Joined, follow: bool) -> Answer {
        if !follow && self.fields & change::MODE != 0 {
            let (attributes, _) = files().attributes_of(start.clone(), false)?;
            if attributes.mode & kind::MASK == kind::LINK {
                return Err(Errno::EOPNOTSUPP);
            }
        }
        Walk::new(files(), start, follow).run(|place, elsewhere| match place {
            Place::Pseudo(Node::Descriptor(descriptor)) if follow => {
                let description = files().description(*descriptor)?;
                Ok(self.of_description(&description)?)
            }
            // What the library makes has no attributes to keep.
            Place::Pseudo(_) => Err(Failed::Errno(Errno::EPERM)),
            Place::Stored(place) => {
                if place.mount.read_only {
                    place
                        .tree()
                        .attributes(&place.relative, follow, elsewhere)?;
                    return Err(Failed::Errno(Errno::EROFS));
                }
                let bytes = self.attributes.as_bytes();
                place.tree().set_attributes(
                    &place.relative,
                    bytes,
                    self.fields,
                    follow,
                    elsewhere,
                )?;
                Ok(0)
            }
        })
    }

    fn of_descriptor(&self, descriptor: i32) -> Answer {
        self.of_description(&*usable(descriptor)?)
    }

    fn of_description(&self, description: &Description) -> Answer {
        let object = description.object();
        let Err(refused) = object.set_attributes(&self.attributes, self.fields) else {
            return Ok(0);
        };
        // What was not opened for writing may be the copy below a writable tree, or a place without
        // the right to change it. The tree itself changes it, if the name still leads there.
        if description.path().is_empty() {
            return Err(refused);
        }
        let named = Joined {
            path: description.path().to_vec(),
            directory: false,
            climbs: false,
        };
        let (there, opened) = (
            files().attributes_of(named.clone(), false),
            object.attributes()?,
        );
        match there {
            Ok((there, _)) if (there.tree, there.number) == (opened.tree, opened.number) => {
                self.at_path(named, false)
            }
            _ => Err(refused),
        }
    }

    fn at(&self, directory: i32, path: &[u8], flags: u32) -> Answer {
        if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
            if directory == AT_FDCWD {
                return self.at_path(files().start(AT_FDCWD, b".")?, true);
            }
            // Unlike a call that takes nothing but a descriptor, this takes one of a mere place.
            return self.of_description(&*files().description(directory)?);
        }
        let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
        self.at_path(files().start(directory, path)?, follow)
    }
}

/// chmod(2)
pub fn chmod(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    Change::mode(call.unsigned(1)).at(AT_FDCWD, &path, 0)
}

/// fchmod(2)
pub fn fchmod(call: &Call<'_>) -> Answer {
    Change::mode(call.unsigned(1)).of_descriptor(call.descriptor(0))
}

/// fchmodat(2)
pub fn fchmodat(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(1))?;
    Change::mode(call.unsigned(2)).at(call.descriptor(0), &path, 0)
}

/// fchmodat2(2)
pub fn fchmodat2(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(3);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = program_memory::path(call.pointer(1))?;
    Change::mode(call.unsigned(2)).at(call.descriptor(0), &path, flags)
}

/// chown(2)
pub fn chown(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    Change::owner(call.unsigned(1), call.unsigned(2)).at(AT_FDCWD, &path, 0)
}

/// lchown(2)
pub fn lchown(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    Change::owner(call.unsigned(1), call.unsigned(2)).at(AT_FDCWD, &path, AT_SYMLINK_NOFOLLOW)
}

/// fchown(2)
pub fn fchown(call: &Call<'_>) -> Answer {
    Change::owner(call.unsigned(1), call.unsigned(2)).of_descriptor(call.descriptor(0))
}

/// fchownat(2)
pub fn fchownat(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(4);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = program_memory::path(call.pointer(1))?;
    Change::owner(call.unsigned(2), call.unsigned(3)).at(call.descriptor(0), &path, flags)
}

/// A pair of `struct timespec`, `struct timeval` or, with one field each, of `time_t`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pair {
    accessed: [i64; 2],
    modified: [i64; 2],
}

fn now() -> i64 {
    kiln_runtime::time::wall_clock_ns() as i64
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// A time as `utimensat` takes it; `None` stays as it is.
fn exact([seconds, rest]: [i64; 2]) -> Result<Option<i64>, Errno> {
    match u32::try_from(rest) {
        Ok(UTIME_NOW) => Ok(Some(now())),
        Ok(UTIME_OMIT) => Ok(None),
        Ok(0..1_000_000_000) => Ok(Some(nanoseconds(seconds, rest))),
        _ => Err(Errno::EINVAL),
    }
}

/// A time as `utimes` takes it.
fn rounded([seconds, rest]: [i64; 2]) -> Result<Option<i64>, Errno> {
    match rest {
        0..1_000_000 => Ok(Some(nanoseconds(seconds, rest * 1000))),
        _ => Err(Errno::EINVAL),
    }
}

fn times_at(
    address: u64,
    convert: impl Fn([i64; 2]) -> Result<Option<i64>, Errno>,
) -> Result<Change, Errno> {
    if address == 0 {
        let now = Some(now());
        return Ok(Change::times(now, now));
    }
    let pair: Pair = program_memory::read(address)?;
    Ok(Change::times(
        convert(pair.accessed)?,
        convert(pair.modified)?,
    ))
}

/// utimensat(2)
pub fn utimensat(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(3);
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let change = times_at(call.pointer(2), exact)?;
    if call.pointer(1) == 0 {
        if call.descriptor(0) == AT_FDCWD {
            return Err(Errno::EFAULT);
        }
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        return change.of_descriptor(call.descriptor(0));
    }
    let path = program_memory::path(call.pointer(1))?;
    change.at(call.descriptor(0), &path, flags)
}

/// futimesat(2)
pub fn futimesat(call: &Call<'_>) -> Answer {
    let change = times_at(call.pointer(2), rounded)?;
    if call.pointer(1) == 0 {
        return change.of_descriptor(call.descriptor(0));
    }
    let path = program_memory::path(call.pointer(1))?;
    change.at(call.descriptor(0), &path, 0)
}

/// utimes(2)
pub fn utimes(call: &Call<'_>) -> Answer {
    let change = times_at(call.pointer(1), rounded)?;
    change.at(AT_FDCWD, &program_memory::path(call.pointer(0))?, 0)
}

/// utime(2)
pub fn utime(call: &Call<'_>) -> Answer {
    let change = if call.pointer(1) == 0 {
        Change::times(Some(now()), Some(now()))
    } else {
        let [accessed, modified]: [i64; 2] = program_memory::read(call.pointer(1))?;
        Change::times(
            Some(nanoseconds(accessed, 0)),
            Some(nanoseconds(modified, 0)),
        )
    };
    change.at(AT_FDCWD, &program_memory::path(call.pointer(0))?, 0)
}

/// umask(2)
pub fn umask(call: &Call<'_>) -> Answer {
    Ok(files().set_mask(call.unsigned(0) & 0o777).into())
}
