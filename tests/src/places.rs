//! Where the tests find their sources and put what they make.

use std::path::{Path, PathBuf};

/// The top of the source tree.
#[must_use]
pub fn sources() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The directory for what tests make, created if needed.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn made() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| sources().join("target"), PathBuf::from);
    let path = sources().join(target).join("booted-tests");
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// The directory for what is fetched once and kept between checkouts.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let path = cache
        .filter(|path| path.is_absolute())
        .unwrap_or_else(home)
        .join("kiln");
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// The tool under test: `KILN`, else the one built beside this program.
///
/// # Panics
/// There is none.
#[must_use]
pub fn kiln() -> PathBuf {
    let beside = || {
        std::env::current_exe()
            .ok()
            .and_then(|path| Some(path.parent()?.join("kiln")))
    };
    let path = std::env::var_os("KILN")
        .map(PathBuf::from)
        .or_else(beside)
        .unwrap_or_default();
    assert!(
        path.is_file(),
        "there is no kiln at {}: build it, or set KILN",
        path.display()
    );
    path
}

/// The directory of the lock files of this run of the tests.
///
/// # Panics
/// It cannot be made.
#[must_use]
pub fn locks() -> PathBuf {
    let path = made().join("locks");
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
