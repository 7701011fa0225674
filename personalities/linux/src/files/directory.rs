//! Directories: listing them, and being in one.

use alloc::vec::Vec;

use kiln_interface::file::kind;
use linux_raw_sys::general::AT_FDCWD;

use super::description::Description;
use super::files;
use super::object::Listed;
use super::open::usable;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Entries are made in the library first; more than this is not made at once.
const MOST_BYTES: usize = 64 << 10;

/// Positions of a directory: 0 is before `.`, 1 before `..`, from 2 on the cookies follow.
const FIRST_COOKIE: u64 = 2;

/// How an entry lies in the answer.
#[derive(Clone, Copy)]
enum Form {
    /// `struct linux_dirent`: the kind is the last byte.
    Old,
    /// `struct linux_dirent64`: the kind stands before the name.
    New,
}

/// Appends an entry; `false` if there is no room for it.
fn append(
    form: Form,
    room: usize,
    answer: &mut Vec<u8>,
    position: u64,
    entry: &Listed<'_>,
) -> bool {
    let head = match form {
        Form::Old => 18,
        Form::New => 19,
    };
    let tail = match form {
        Form::Old => 2,
        Form::New => 1,
    };
    let length = (head + entry.name.len() + tail).next_multiple_of(8);
    let start = answer.len();
    if start + length > room {
        return false;
    }
    let kind = (entry.kind >> 12) as u8;
    answer.extend_from_slice(&entry.number.to_le_bytes());
    answer.extend_from_slice(&position.to_le_bytes());
    answer.extend_from_slice(&(length as u16).to_le_bytes());
    if let Form::New = form {
        answer.push(kind);
    }
    answer.extend_from_slice(entry.name);
    answer.resize(start + length, 0);
    if let (Form::Old, Some(last)) = (form, answer.last_mut()) {
        *last = kind;
    }
    true
}

/// Numbers of the directory and of the one above it.
fn own_numbers(description: &Description) -> Result<(u64, u64), Errno> {
    let own = description.object().attributes()?.number;
    let above = super::path::join(description.path(), b"..")
        .and_then(|start| files().attributes_of(start, true))
        .map_or(own, |(attributes, _)| attributes.number);
    Ok((own, above))
}

fn list(call: &Call<'_>, form: Form) -> Answer {
    let description = usable(call.descriptor(0))?;
    if !description.object().is_directory() {
        return Err(Errno::ENOTDIR);
    }
    let room = (call.unsigned(2) as usize).min(MOST_BYTES);
    let mut answer = Vec::with_capacity(room.min(4096));
    let mut held = description.position();
    // What cannot be handed over is not read: the position moves when the program has the entries.
    let mut position = *held;
    let mut full = false;
    if position < FIRST_COOKIE {
        let (own, above) = own_numbers(&description)?;
        for (place, number, name) in [(0, own, &b"."[..]), (1, above, b"..")] {
            if position != place {
                continue;
            }
            let entry = Listed {
                number,
                kind: kind::DIRECTORY,
                cookie: 0,
                name,
            };
            if append(form, room, &mut answer, place + 1, &entry) {
                position = place + 1;
            } else {
                full = true;
            }
        }
    }
    if position >= FIRST_COOKIE && !full {
        let cookie = position - FIRST_COOKIE;
        let listed = description.object().list(cookie, &mut |entry| {
            let after = entry.cookie.saturating_add(FIRST_COOKIE);
            full = !append(form, room, &mut answer, after, &entry);
            if !full {
                position = after;
            }
            !full
        });
        if answer.is_empty() {
            listed?;
        }
    }
    if full && answer.is_empty() {
        return Err(Errno::EINVAL);
    }
    program_memory::copy_out(call.pointer(1), &answer)?;
    *held = position;
    Ok(answer.len() as u64)
}

/// getdents(2)
pub fn getdents(call: &Call<'_>) -> Answer {
    list(call, Form::Old)
}

/// getdents64(2)
pub fn getdents64(call: &Call<'_>) -> Answer {
    list(call, Form::New)
}

/// getcwd(2)
pub fn getcwd(call: &Call<'_>) -> Answer {
    let mut directory = files().working_directory();
    directory.push(0);
    if directory.len() as u64 > call.long(1) {
        return Err(Errno::ERANGE);
    }
    program_memory::copy_out(call.pointer(0), &directory)?;
    Ok(directory.len() as u64)
}

/// chdir(2)
pub fn chdir(call: &Call<'_>) -> Answer {
    let path = program_memory::path(call.pointer(0))?;
    files().change_directory(files().start(AT_FDCWD, &path)?)?;
    Ok(0)
}

/// fchdir(2)
pub fn fchdir(call: &Call<'_>) -> Answer {
    let description = files().description(call.descriptor(0))?;
    if !description.object().is_directory() {
        return Err(Errno::ENOTDIR);
    }
    files().change_directory(super::path::join(b"/", description.path())?)?;
    Ok(0)
}

/// chroot(2), pivot_root(2), mount(2), umount2(2): what is where was decided when the image was
/// made.
pub fn refuse(_call: &Call<'_>) -> Answer {
    Err(Errno::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8]) -> Listed<'_> {
        Listed {
            number: 7,
            kind: kind::REGULAR,
            cookie: 0,
            name,
        }
    }

    #[test]
    fn entries_lie_as_the_abi_says() {
        let mut answer = Vec::new();
        assert!(append(Form::New, 64, &mut answer, 9, &entry(b"abc")));
        assert_eq!(answer.len(), 24);
        assert_eq!(answer[..8], 7_u64.to_le_bytes());
        assert_eq!(answer[8..16], 9_u64.to_le_bytes());
        assert_eq!(answer[16..], [24, 0, 8, b'a', b'b', b'c', 0, 0]);
        assert!(append(Form::Old, 64, &mut answer, 10, &entry(b"abcd")));
        assert_eq!(answer[40..], [24, 0, b'a', b'b', b'c', b'd', 0, 8]);
        assert!(!append(Form::New, 64, &mut answer, 11, &entry(b"abc")));
        assert_eq!(answer.len(), 48);
    }
}
