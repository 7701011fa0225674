//! Kiln's cache of things fetched: may be deleted at any time.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::Error;

/// The cache directory, from the environment.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor `HOME` is set.
pub fn directory() -> Result<PathBuf, Error> {
    place(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")).ok_or_else(|| {
        Error::usage(
            "there is no place for Kiln's cache",
            "set XDG_CACHE_HOME or HOME to a directory that can be written",
        )
    })
}

fn place(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    cache
        .and_then(absolute)
        .or_else(|| Some(home.and_then(absolute)?.join(".cache")))
        .map(|cache| cache.join("kiln"))
}

/// Makes a directory of the cache, with its parents.
///
/// # Errors
/// It cannot be made.
pub fn create(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path)
        .map_err(|error| Error::io("cannot make the cache directory", path, error))
}

/// Holds `path` locked against other runs of Kiln until the file is dropped.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| Error::io("cannot make the lock", path, error))?;
    file.lock()
        .map_err(|error| Error::io("cannot lock", path, error))?;
    Ok(file)
}

/// Writes a file so that others see it whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    std::fs::write(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            Error::io("cannot write", path, error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_environment() {
        let some = |text: &str| Some(OsString::from(text));
        assert_eq!(
            place(some("/c"), some("/h")),
            Some(PathBuf::from("/c/kiln"))
        );
        assert_eq!(
            place(some("rel"), some("/h")),
            Some(PathBuf::from("/h/.cache/kiln"))
        );
        assert_eq!(place(None, None), None);
    }
}
