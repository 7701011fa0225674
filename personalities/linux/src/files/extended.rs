//! Extended attributes: no file has any, and none can be given one.

use kiln_interface::file::Attributes;
use linux_raw_sys::general::AT_FDCWD;

use super::files;
use super::open::usable;
use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Longest name (`XATTR_NAME_MAX`).
const NAME_BYTES: usize = 255;

fn check_name(address: u64) -> Result<(), Errno> {
    let name = program_memory::c_string(address, NAME_BYTES + 1).map_err(|error| match error {
        Errno::ENAMETOOLONG => Errno::ERANGE,
        error => error,
    })?;
    if name.is_empty() {
        return Err(Errno::ERANGE);
    }
    let known = [&b"user."[..], b"system.", b"security.", b"trusted."];
    if known.iter().any(|space| name.starts_with(space)) {
        Ok(())
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

fn at_path(call: &Call<'_>, follow: bool) -> Result<Attributes, Errno> {
    let path = program_memory::path(call.pointer(0))?;
    let start = files().start(AT_FDCWD, &path)?;
    Ok(files().attributes_of(start, follow)?.0)
}

fn refuse_to_set(call: &Call<'_>) -> Answer {
    check_name(call.pointer(1))?;
    Err(Errno::EOPNOTSUPP)
}

fn none_there(call: &Call<'_>) -> Answer {
    check_name(call.pointer(1))?;
    Err(Errno::ENODATA)
}

/// setxattr(2)
pub fn setxattr(call: &Call<'_>) -> Answer {
    at_path(call, true)?;
    refuse_to_set(call)
}

/// lsetxattr(2)
pub fn lsetxattr(call: &Call<'_>) -> Answer {
    at_path(call, false)?;
    refuse_to_set(call)
}

/// fsetxattr(2)
pub fn fsetxattr(call: &Call<'_>) -> Answer {
    usable(call.descriptor(0))?;
    refuse_to_set(call)
}

/// getxattr(2), removexattr(2)
pub fn getxattr(call: &Call<'_>) -> Answer {
    at_path(call, true)?;
    none_there(call)
}

/// lgetxattr(2), lremovexattr(2)
pub fn lgetxattr(call: &Call<'_>) -> Answer {
    at_path(call, false)?;
    none_there(call)
}

/// fgetxattr(2), fremovexattr(2)
pub fn fgetxattr(call: &Call<'_>) -> Answer {
    usable(call.descriptor(0))?;
    none_there(call)
}

/// listxattr(2)
pub fn listxattr(call: &Call<'_>) -> Answer {
    at_path(call, true)?;
    Ok(0)
}

/// llistxattr(2)
pub fn llistxattr(call: &Call<'_>) -> Answer {
    at_path(call, false)?;
    Ok(0)
}

/// flistxattr(2)
pub fn flistxattr(call: &Call<'_>) -> Answer {
    usable(call.descriptor(0))?;
    Ok(0)
}
