//! The mounts that an image starts with, from its configuration.

use alloc::string::String;
use core::fmt;

use kiln_object::configuration::{Configuration, key};
use kiln_object::{Error, RawReference};

use crate::table::MountTable;

/// Keeps the image's root.
const ROOT_SERVER: &str = "image_root";
/// Keeps what is written, over the root.
const WRITABLE_ROOT_SERVER: &str = "memory_fs";

/// Why the mounts of a configuration cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrangementError {
    /// A record is not a path, a server and flags.
    Malformed(String),
    /// No server of that name can be reached from here.
    NoServer(String),
    /// The mount itself is refused.
    Refused(String, Error),
}

impl fmt::Display for ArrangementError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(record) => {
                write!(
                    formatter,
                    "the mount `{record}` is not a path, a server and flags"
                )
            }
            Self::NoServer(name) => {
                write!(formatter, "there is no server `{name}` for a mount")
            }
            Self::Refused(record, error) => {
                write!(formatter, "the mount `{record}` cannot be made: {error}")
            }
        }
    }
}

impl core::error::Error for ArrangementError {}

/// The table that `configuration` asks for: its mounts in order, and the image's root at `/` if none
/// of them lies there. `server` knows which process serves a name.
///
/// # Errors
/// [`ArrangementError`] says which mount cannot be made.
pub fn arrange(
    configuration: &Configuration<'_>,
    server: impl Fn(&str) -> Option<RawReference>,
) -> Result<MountTable, ArrangementError> {
    let find = |name: &str| server(name).ok_or_else(|| ArrangementError::NoServer(name.into()));
    let mut table = MountTable::new();
    for record in configuration.values(key::MOUNT) {
        let text = || String::from_utf8_lossy(record).replace('\0', " ");
        let (path, name, flags) =
            parse(record).ok_or_else(|| ArrangementError::Malformed(text()))?;
        table
            .mount(path, find(name)?, flags)
            .map_err(|error| ArrangementError::Refused(text(), error))?;
    }
    if !table.mounts().iter().any(|mount| *mount.path == *b"/") {
        let writable = configuration.is_set(key::ROOT_WRITABLE);
        let name = if writable {
            WRITABLE_ROOT_SERVER
        } else {
            ROOT_SERVER
        };
        table
            .mount(b"/", find(name)?, 0)
            .map_err(|error| ArrangementError::Refused("/".into(), error))?;
    }
    Ok(table)
}

fn parse(record: &[u8]) -> Option<(&[u8], &str, u32)> {
    let mut fields = record.split(|byte| *byte == 0);
    let (path, name) = (fields.next()?, core::str::from_utf8(fields.next()?).ok()?);
    let flags = match fields.next() {
        None => 0,
        Some(text) => core::str::from_utf8(text).ok()?.parse().ok()?,
    };
    fields.next().is_none().then_some((path, name, flags))
}
