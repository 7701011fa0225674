//! Names: making, removing, renaming and linking them.

use alloc::sync::Arc;

use kiln_interface::file::{FileTree, kind, open as flag};
use kiln_object::Error;
use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE, RENAME_NOREPLACE,
};

use super::path::Joined;
use super::scratch::Scratch;
use super::server::Held;
use super::walk::{Failed, Place, StoredPlace, Walk, path_to_go_on_with};
use super::{Files, files, server};
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

impl Files {
    /// Runs `step` where a new name is to be, in a tree that may be written.
    fn at_new_name(
        &self,
        start: Joined,
        mut step: impl FnMut(&StoredPlace, &mut [u8]) -> Result<(), Failed>,
    ) -> Answer {
        let mut walk = Walk::new(self, start, false);
        walk.run(|place, elsewhere| match place {
            Place::Pseudo(_) => Err(Failed::Errno(Errno::EEXIST)),
            Place::Stored(place) => {
                if place.mount.read_only {
                    // That the name is taken is said before that it could not be made.
                    return Err(
                        match place.tree().attributes(&place.relative, false, elsewhere) {
                            Ok(_) => Failed::Errno(Errno::EEXIST),
                            Err(Error::NotFound) => Failed::Errno(Errno::EROFS),
                            Err(error) => error.into(),
                        },
                    );
                }
                step(place, elsewhere)
            }
        })?;
        Ok(0)
    }

    fn make_directory(&self, start: Joined, mode: u32) -> Answer {
        let mode = mode & 0o1777 & !self.mask();
        self.at_new_name(start, |place, elsewhere| {
            Ok(place
                .tree()
                .make_directory(&place.relative, mode, elsewhere)?)
        })
    }

    fn make_node(&self, start: Joined, mode: u32, device: u64) -> Answer {
        let permissions = mode & 0o7777 & !self.mask();
        match mode & kind::MASK {
            0 | kind::REGULAR => self.at_new_name(start, |place, elsewhere| {
                let opened = place.tree().open_writable(
                    &place.relative,
                    flag::WRITE | flag::CREATE | flag::EXCLUSIVE,
                    permissions,
                    server::this_process(),
                    elsewhere,
                )?;
                drop(Held::new(opened.file));
                Ok(())
            }),
            node @ (kind::CHARACTER | kind::BLOCK | kind::PIPE | kind::SOCKET) => {
                self.at_new_name(start, |place, elsewhere| {
                    let mode = node | permissions;
                    Ok(place
                        .tree()
                        .make_node(&place.relative, mode, device, elsewhere)?)
                })
            }
            kind::DIRECTORY => Err(Errno::EPERM),
            _ => Err(Errno::EINVAL),
        }
    }

    fn remove(&self, start: Joined, directory: bool) -> Answer {
        if !directory && start.directory && start.path != b"/" {
            // Something that exists and is no directory cannot be meant; a directory is not removed.
            let start = Joined {
                directory: false,
                ..start
            };
            let (attributes, _) = self.attributes_of(start, false)?;
            return Err(match attributes.mode & kind::MASK {
                kind::DIRECTORY => Errno::EISDIR,
                _ => Errno::ENOTDIR,
            });
        }
        let start = Joined {
            directory: false,
            ..start
        };
        let mut walk = Walk::new(self, start, false);
        walk.run(|place, elsewhere| match place {
            Place::Pseudo(node) if directory && !node.is_directory() => {
                Err(Failed::Errno(Errno::ENOTDIR))
            }
            Place::Pseudo(node) if !directory && node.is_directory() => {
                Err(Failed::Errno(Errno::EISDIR))
            }
            Place::Pseudo(_) => Err(Failed::Errno(Errno::EPERM)),
            Place::Stored(place) => {
                if place.mount.read_only {
                    place.tree().attributes(&place.relative, false, elsewhere)?;
                    return Err(Failed::Errno(Errno::EROFS));
                }
                Ok(place.tree().remove(&place.relative, directory, elsewhere)?)
            }
        })?;
        if directory {
            self.canonical.lock().forget();
        }
        Ok(0)
    }

    /// Runs `step` at two places, which must be in one tree that may be written.
    fn at_two_names(
        &self,
        from: Joined,
        to: Joined,
        mut step: impl FnMut(&StoredPlace, &StoredPlace, &mut [u8]) -> Result<(), Error>,
    ) -> Answer {
        let mut first = Walk::new(self, from, false);
        let mut second = Walk::new(self, to, false);
        loop {
            let (Place::Stored(from), Place::Stored(to)) = (first.place()?, second.place()?) else {
                return Err(Errno::EXDEV);
            };
            if !Arc::ptr_eq(&from.mount, &to.mount) {
                return Err(Errno::EXDEV);
            }
            if from.mount.read_only {
                return Err(Errno::EROFS);
            }
            let mut elsewhere = Scratch::for_path();
            match step(&from, &to, &mut elsewhere) {
                Ok(()) => return Ok(0),
                Err(error) => match Failed::from(error) {
                    Failed::Errno(errno) => return Err(errno),
                    Failed::Elsewhere => {
                        let target = path_to_go_on_with(&elsewhere).ok_or(Errno::EIO)?;
                        match target {
                            [b'/', b'/', ..] => second.go_on(target)?,
                            _ => first.go_on(target)?,
                        }
                    }
                },
            }
        }
    }

    /// `renameat2`, from and to a path as seen from a directory.
    fn rename(&self, from: (i32, u64), to: (i32, u64), flags: u32) -> Answer {
        let allowed = RENAME_NOREPLACE | RENAME_EXCHANGE;
        if flags & !allowed != 0 || flags & allowed == allowed {
            return Err(Errno::EINVAL);
        }
        let (first, second) = (program_memory::path(from.1)?, program_memory::path(to.1)?);
        let (start, end) = (self.start(from.0, &first)?, self.start(to.0, &second)?);
        if is_fixed(&first) || is_fixed(&second) {
            return Err(Errno::EBUSY);
        }
        let (from, to) = (start, end);
        // Bits 0 and 1 mean the same to servers.
        self.at_two_names(from, to, |from, to, elsewhere| {
            from.tree()
                .rename(&from.relative, &to.relative, flags, elsewhere)
        })?;
        self.canonical.lock().forget();
        Ok(0)
    }

    fn link(&self, from: Joined, to: Joined) -> Answer {
        self.at_two_names(from, to, |from, to, elsewhere| {
            from.tree().link(&from.relative, &to.relative, elsewhere)
        })
        .map_err(|error| match error {
            // A second name for a directory.
            Errno::EACCES => Errno::EPERM,
            error => error,
        })
    }

    fn make_link(&self, target: &[u8], start: Joined) -> Answer {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if start.directory {
            return Err(Errno::ENOENT);
        }
        self.at_new_name(start, |place, elsewhere| {
            Ok(place.tree().make_link(target, &place.relative, elsewhere)?)
        })
    }
}

fn start(directory: i32, path: u64) -> Result<Joined, Errno> {
    files().start(directory, &program_memory::path(path)?)
}

/// Whether a path ends in a name that cannot be renamed: `.`, `..`, or none for the root.
fn is_fixed(path: &[u8]) -> bool {
    let last = path
        .rsplit(|byte| *byte == b'/')
        .find(|name| !name.is_empty());
    matches!(last, None | Some(b"." | b".."))
}

/// A new name need not be a directory's even if it ends like one: that is seen when it is made.
fn start_of_directory(directory: i32, path: u64) -> Result<Joined, Errno> {
    Ok(Joined {
        directory: false,
        ..start(directory, path)?
    })
}

/// mkdir(2)
pub fn mkdir(call: &Call<'_>) -> Answer {
    files().make_directory(
        start_of_directory(AT_FDCWD, call.pointer(0))?,
        call.unsigned(1),
    )
}

/// mkdirat(2)
pub fn mkdirat(call: &Call<'_>) -> Answer {
    let start = start_of_directory(call.descriptor(0), call.pointer(1))?;
    files().make_directory(start, call.unsigned(2))
}

/// A device number as `mknod` takes it.
fn decode_device(device: u32) -> u64 {
    let major = device >> 8 & 0xfff;
    let minor = device & 0xff | device >> 12 & 0xf_ff00;
    u64::from(major) << 32 | u64::from(minor)
}

/// mknod(2)
pub fn mknod(call: &Call<'_>) -> Answer {
    let start = start(AT_FDCWD, call.pointer(0))?;
    files().make_node(start, call.unsigned(1), decode_device(call.unsigned(2)))
}

/// mknodat(2)
pub fn mknodat(call: &Call<'_>) -> Answer {
    let start = start(call.descriptor(0), call.pointer(1))?;
    files().make_node(start, call.unsigned(2), decode_device(call.unsigned(3)))
}

fn remove_directory(directory: i32, path: u64) -> Answer {
    let text = program_memory::path(path)?;
    let start = files().start(directory, &text)?;
    match text
        .rsplit(|byte| *byte == b'/')
        .find(|name| !name.is_empty())
    {
        Some(b".") => Err(Errno::EINVAL),
        Some(b"..") => Err(Errno::ENOTEMPTY),
        _ => files().remove(start, true),
    }
}

/// rmdir(2)
pub fn rmdir(call: &Call<'_>) -> Answer {
    remove_directory(AT_FDCWD, call.pointer(0))
}

/// unlink(2)
pub fn unlink(call: &Call<'_>) -> Answer {
    files().remove(start(AT_FDCWD, call.pointer(0))?, false)
}

/// unlinkat(2)
pub fn unlinkat(call: &Call<'_>) -> Answer {
    match call.unsigned(2) {
        0 => files().remove(start(call.descriptor(0), call.pointer(1))?, false),
        AT_REMOVEDIR => remove_directory(call.descriptor(0), call.pointer(1)),
        _ => Err(Errno::EINVAL),
    }
}

/// rename(2)
pub fn rename(call: &Call<'_>) -> Answer {
    files().rename((AT_FDCWD, call.pointer(0)), (AT_FDCWD, call.pointer(1)), 0)
}

/// The directories and paths of `renameat` and its like.
fn both_names(call: &Call<'_>) -> ((i32, u64), (i32, u64)) {
    (
        (call.descriptor(0), call.pointer(1)),
        (call.descriptor(2), call.pointer(3)),
    )
}

/// renameat(2)
pub fn renameat(call: &Call<'_>) -> Answer {
    let (from, to) = both_names(call);
    files().rename(from, to, 0)
}

/// renameat2(2)
pub fn renameat2(call: &Call<'_>) -> Answer {
    let (from, to) = both_names(call);
    files().rename(from, to, call.unsigned(4))
}

/// link(2)
pub fn link(call: &Call<'_>) -> Answer {
    let from = start(AT_FDCWD, call.pointer(0))?;
    files().link(from, start(AT_FDCWD, call.pointer(1))?)
}

/// linkat(2)
pub fn linkat(call: &Call<'_>) -> Answer {
    let flags = call.unsigned(4);
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let files = files();
    let path = program_memory::path(call.pointer(1))?;
    let mut from = if flags & AT_EMPTY_PATH != 0 && path.is_empty() {
        let description = files.description(call.descriptor(0))?;
        super::path::join(b"/", description.path())?
    } else {
        files.start(call.descriptor(0), &path)?
    };
    if flags & AT_SYMLINK_FOLLOW != 0 {
        from.path = files.canonical(&from.path, 0)?;
    }
    files.link(from, start(call.descriptor(2), call.pointer(3))?)
}

/// symlink(2)
pub fn symlink(call: &Call<'_>) -> Answer {
    let target = program_memory::path(call.pointer(0))?;
    files().make_link(&target, start(AT_FDCWD, call.pointer(1))?)
}

/// symlinkat(2)
pub fn symlinkat(call: &Call<'_>) -> Answer {
    let target = program_memory::path(call.pointer(0))?;
    files().make_link(&target, start(call.descriptor(1), call.pointer(2))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_decoded() {
        assert_eq!(decode_device(0x0103), 1 << 32 | 3);
        assert_eq!(decode_device(0x1230_0045), 0x12345);
    }
}
