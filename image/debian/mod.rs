//! Debian packages as a source of files, fetched with the host's apt but without root.
//!
//! apt works in directories of Kiln's cache with an empty record of installed packages, so
//! the host's own state is neither read nor changed; where packages come from and who may
//! sign them is the host's configuration. What was chosen is pinned in a [`Lock`].

mod alternatives;
mod apt;
mod archive;
mod lock;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use alternatives::Alternative;
use apt::Apt;
pub use archive::unpack;
pub use lock::{Lock, Package};

use crate::manifest::Located;
use crate::progress::Progress;
use crate::{Error, cache};

/// How long a choice made without a manifest is used before apt is asked again.
const CHOICE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Why packages could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A program that handles packages is missing.
    #[error(
        "cannot find `{0}`, which handles Debian packages\n  = help: run Kiln on Debian or Ubuntu, or give the root file system as a directory"
    )]
    NoProgram(&'static str),
    /// A program that handles packages could not be started.
    #[error("cannot run `{program}`: {error}")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// apt refused.
    #[error("apt could not {doing}:\n{output}\n  = help: {remedy}")]
    Apt {
        /// What it was to do.
        doing: &'static str,
        /// Its complaints, indented.
        output: String,
        /// What the user can do.
        remedy: String,
    },
    /// There is no such package.
    #[error("there is no package `{name}`\n  = help: {remedy}")]
    UnknownPackage {
        /// The name asked for.
        name: String,
        /// Near names.
        remedy: String,
    },
    /// A package that is pinned can no longer be fetched.
    #[error("version {version} of `{name}`, pinned by `{}`, can no longer be fetched:\n{output}\n  = help: delete the lock file to take the versions that there are now", lock.display())]
    PinnedGone {
        /// The package.
        name: String,
        /// The pinned version.
        version: String,
        /// The lock file.
        lock: PathBuf,
        /// apt's complaints, indented.
        output: String,
    },
    /// A package is not the one that was pinned.
    #[error("`{}` has checksum {found}, but {pinned} is pinned by `{}`\n  = help: delete the file to fetch it again; if it stays so, delete the lock file to take what there is now", file.display(), lock.display())]
    Checksum {
        /// The package file.
        file: PathBuf,
        /// Its checksum.
        found: String,
        /// The pinned checksum.
        pinned: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// A lock file cannot be understood.
    #[error("`{}` line {line}: {message}\n  = help: delete the file to choose packages anew", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A package file cannot be unpacked.
    #[error("cannot unpack `{}`: {message}\n  = help: delete the file to fetch it again", file.display())]
    Unpack {
        /// The package file.
        file: PathBuf,
        /// What went wrong.
        message: String,
    },
}

/// Whether `name` can be a package, as apt's command line takes it: with `:architecture`
/// and `=version` at will.
pub fn is_package_name(name: &str) -> bool {
    let (name, version) = match name.split_once('=') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    };
    let (name, architecture) = match name.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (name, None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() >= 2
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || "+.-".contains(c))
        && architecture
            .is_none_or(|text| !text.is_empty() && text.chars().all(|c| plain(c) || c == '-'))
        && version.is_none_or(|text| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+.-:~".contains(c))
        })
}

/// What is asked of the distribution.
#[derive(Debug)]
pub struct Request<'a> {
    /// Package names.
    pub names: &'a [Located<String>],
    /// Also every package marked essential.
    pub essential: bool,
}

impl Request<'_> {
    /// The request in the words of the lock file: sorted, each once.
    fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.names.iter().map(|name| name.value.clone()).collect();
        if self.essential {
            words.push("?essential".to_owned());
        }
        words.sort();
        words.dedup();
        words
    }
}

/// A package that is on this host, as a plain archive of its files.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Which package.
    pub package: Package,
    /// Its files, as an uncompressed tar archive in the cache.
    pub files: PathBuf,
    /// The links that its installation would make.
    pub alternatives: Vec<Alternative>,
}

/// Has all packages of `request` on this host, as `lock_path` pins them; pins them there
/// if they were not.
///
/// With `lock_path` none, the choice is kept in the cache for a day.
///
/// # Errors
/// apt is missing or refuses, a name is unknown, a checksum differs.
pub fn fetch(
    request: &Request<'_>,
    lock_path: Option<&Path>,
    progress: Progress,
) -> Result<Vec<Fetched>, Error> {
    let cache = cache::directory()?;
    let words = request.words();
    cache::create(&cache)?;
    // One at a time: apt's directories are shared by all runs of Kiln.
    let _lock = cache::lock(&cache.join("packages.lock"))?;
    let apt = Apt::prepare(&cache, progress)?;
    let (path, kept) = match lock_path {
        Some(path) => (path.to_owned(), Lock::read(path)?),
        None => {
            let path = cache
                .join("choices")
                .join(lock::digest(words.join(" ").as_bytes()));
            let kept = if is_recent(&path) {
                Lock::read(&path)?
            } else {
                None
            };
            (path, kept)
        }
    };
    let pinned = kept.filter(|lock| lock.requested == words);
    let lock = match pinned {
        Some(lock) => lock,
        None => {
            let lock = choose(&apt, &words, progress)?;
            if let Some(parent) = path.parent().filter(|_| lock_path.is_none()) {
                cache::create(parent)?;
            }
            cache::write_whole(&path, lock.to_toml().as_bytes())?;
            lock
        }
    };
    download(&apt, &lock.packages, &path, progress)?;
    lock.packages
        .into_iter()
        .map(|package| archive::prepare(&cache, &apt.file(&package), package, &path))
        .collect()
}

fn is_recent(path: &Path) -> bool {
    let modified = path.metadata().and_then(|status| status.modified());
    modified.is_ok_and(|time| {
        SystemTime::now()
            .duration_since(time)
            .is_ok_and(|age| age < CHOICE_KEPT)
    })
}

/// Asks apt which packages make up the request, and fetches them for their checksums.
fn choose(apt: &Apt, words: &[String], progress: Progress) -> Result<Lock, Error> {
    progress.step(format_args!("choosing packages for {}", words.join(", ")));
    apt.update_if_old()?;
    let mut packages = apt.resolve(words).map_err(|error| match error {
        DebianError::UnknownPackage { name, .. } => apt.unknown(&name),
        other => other,
    })?;
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !apt.has(package))
        .collect();
    if !missing.is_empty() {
        progress.step(format_args!("fetching {} packages", missing.len()));
        apt.download(&missing)?;
    }
    for package in &mut packages {
        package.sha256 = archive::checksum(&apt.file(package))?;
    }
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Lock {
        requested: words.to_vec(),
        packages,
    })
}

/// Fetches the pinned packages that are not there.
fn download(apt: &Apt, packages: &[Package], lock: &Path, progress: Progress) -> Result<(), Error> {
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !apt.has(package) && !archive::is_prepared(apt.cache(), package))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    progress.step(format_args!("fetching {} pinned packages", missing.len()));
    apt.update_if_absent()?;
    if apt.download(&missing).is_ok() {
        return Ok(());
    }
    // The lists may be older than the lock.
    apt.update()?;
    apt.download(&missing).map_err(|error| match error {
        DebianError::Apt { output, .. } => {
            let gone = missing
                .iter()
                .find(|package| output.contains(&package.name));
            let gone = gone.unwrap_or(first);
            DebianError::PinnedGone {
                name: gone.name.clone(),
                version: gone.version.clone(),
                lock: lock.to_owned(),
                output,
            }
            .into()
        }
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_names_are_checked() {
        for good in [
            "python3",
            "libstdc++6",
            "gcc-12-base",
            "libc6:amd64",
            "hello=1:2.10-3~x",
        ] {
            assert!(is_package_name(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "-y",
            "Python",
            "a b",
            "hello=",
            "a/b",
            "?essential",
            "x:",
        ] {
            assert!(!is_package_name(bad), "{bad}");
        }
    }
}
