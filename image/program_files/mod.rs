//! The files a program of the host needs: itself, its loader, its libraries.
//!
//! Nothing is executed to find this out. The rules are those of ld.so(8): RPATH of
//! the object and of those that loaded it, RUNPATH, the loader's cache, the default
//! directories; `LD_LIBRARY_PATH` is the user's session and not part of an image.

mod loader_cache;
mod object_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loader_cache::LoaderCache;
pub use object_file::{ObjectFile, Unsuitable};

/// Directories that glibc's loader searches last, as Debian and others build it.
const GLIBC_DIRECTORIES: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
/// Directories that musl's loader searches last, as Debian and others build it.
const MUSL_DIRECTORIES: [&str; 6] = [
    "/lib/x86_64-linux-musl",
    "/usr/lib/x86_64-linux-musl",
    "/usr/local/lib/x86_64-linux-musl",
    "/lib",
    "/usr/local/lib",
    "/usr/lib",
];
/// More libraries than any program has; a loop of links would make endless ones.
const MAXIMUM_LIBRARIES: usize = 4096;

/// Why a program of the host cannot be taken along.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not what a program or library must be.
    #[error("`{}` {reason}", path.display())]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
        reason: Unsuitable,
    },
    /// The program names a loader that the host does not have.
    #[error("`{}` wants the loader `{loader}`, which is not on this host\n  = help: install it, or give a root file system that has it", program.display())]
    NoLoader {
        /// The program.
        program: PathBuf,
        /// The loader's path.
        loader: String,
    },
    /// A library is nowhere to be found.
    #[error("`{}` needs the library `{name}`, which is not in {}\n  = help: install the package that has it, or give a root file system that has it", needed_by.display(), searched.join(", "))]
    NoLibrary {
        /// The library's name.
        name: String,
        /// Who asked for it.
        needed_by: PathBuf,
        /// Where it was looked for.
        searched: Vec<String>,
    },
}

/// A file to take along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it goes in the image.
    pub guest: String,
}

/// A directory to search, on the host and as the program will see it.
///
/// They differ where a path begins with `$ORIGIN` and the program is put elsewhere.
#[derive(Debug, Clone)]
struct SearchPlace {
    host: PathBuf,
    guest: String,
}

/// A file found, not yet looked into.
struct Pending {
    taken: Taken,
    /// RPATH of the objects that led here, nearest first.
    inherited: Vec<SearchPlace>,
}

/// Finds everything that the program `host` needs when it lies at `guest`.
///
/// The program itself comes first; then its loader, then libraries in the order in which
/// the loader would meet them.
///
/// # Errors
/// It is no program for this machine, or something that it needs is not on the host.
pub fn gather(host: &Path, guest: &str) -> Result<Vec<Taken>, ProgramError> {
    let program = ObjectFile::read(host)?;
    let itself = Taken {
        host: host.to_owned(),
        guest: guest.to_owned(),
    };
    let Some(loader) = program.interpreter.clone() else {
        // Static, or static and position independent: there is no more to it.
        return Ok(vec![itself]);
    };
    if !Path::new(&loader).exists() {
        return Err(ProgramError::NoLoader {
            program: host.to_owned(),
            loader,
        });
    }
    let mut search = Search::new(&loader);
    search.add(Taken {
        host: PathBuf::from(&loader),
        guest: loader.clone(),
    });
    search.follow(program, itself)
}

struct Search {
    musl: bool,
    cache: LoaderCache,
    defaults: &'static [&'static str],
    /// By name as the loader compares them: file name of each object loaded.
    found: BTreeMap<String, ()>,
    taken: Vec<Taken>,
}

impl Search {
    fn new(loader: &str) -> Self {
        let musl = loader.contains("ld-musl");
        Self {
            musl,
            cache: if musl {
                LoaderCache::default()
            } else {
                LoaderCache::of_host()
            },
            defaults: if musl {
                &MUSL_DIRECTORIES
            } else {
                &GLIBC_DIRECTORIES
            },
            found: BTreeMap::new(),
            taken: Vec::new(),
        }
    }

    /// Takes a file along, under its own file name; false if that was there already.
    fn add(&mut self, taken: Taken) -> bool {
        let name = taken
            .guest
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let new = self.found.insert(name, ()).is_none();
        if new {
            self.taken.push(taken);
        }
        new
    }

    fn follow(mut self, program: ObjectFile, itself: Taken) -> Result<Vec<Taken>, ProgramError> {
        let mut queue = std::collections::VecDeque::new();
        self.visit(
            program,
            Pending {
                taken: itself.clone(),
                inherited: Vec::new(),
            },
            &mut queue,
        )?;
        while let Some(pending) = queue.pop_front() {
            let object = ObjectFile::read(&pending.taken.host)?;
            self.visit(object, pending, &mut queue)?;
        }
        let mut all = vec![itself];
        all.append(&mut self.taken);
        Ok(all)
    }

    /// Finds the libraries that one object names.
    fn visit(
        &mut self,
        object: ObjectFile,
        at: Pending,
        queue: &mut std::collections::VecDeque<Pending>,
    ) -> Result<(), ProgramError> {
        let places = |paths: &[String]| -> Vec<SearchPlace> {
            paths
                .iter()
                .filter_map(|path| search_place(path, &at.taken))
                .collect()
        };
        let runpath = places(&object.runpath);
        // RPATH is passed on to what this object loads; RUNPATH is not, and hides RPATH.
        let mut rpath = Vec::new();
        if object.runpath.is_empty() {
            rpath = places(&object.rpath);
            rpath.extend(at.inherited.iter().cloned());
        }
        for name in &object.needed {
            let file_name = name.rsplit('/').next().unwrap_or_default();
            let own_loader = self.musl && file_name.starts_with("libc.");
            if own_loader || self.found.contains_key(file_name) {
                continue;
            }
            let taken = self.find(name, &at.taken.host, &rpath, &runpath)?;
            if self.taken.len() < MAXIMUM_LIBRARIES && self.add(taken.clone()) {
                queue.push_back(Pending {
                    taken,
                    inherited: rpath.clone(),
                });
            }
        }
        Ok(())
    }

    fn find(
        &self,
        name: &str,
        needed_by: &Path,
        rpath: &[SearchPlace],
        runpath: &[SearchPlace],
    ) -> Result<Taken, ProgramError> {
        if name.contains('/') {
            let host = PathBuf::from(name);
            if name.starts_with('/') && ObjectFile::fits(&host) {
                return Ok(Taken {
                    host,
                    guest: name.to_owned(),
                });
            }
        }
        for place in rpath.iter().chain(runpath) {
            let host = place.host.join(name);
            if ObjectFile::fits(&host) {
                let guest = format!("{}/{name}", place.guest);
                return Ok(Taken { host, guest });
            }
        }
        if let Some(host) = self.cache.find(name).filter(|path| ObjectFile::fits(path)) {
            // The image has no loader cache: what lies outside the default
            // directories is put into the first of them.
            let directory = host.parent().and_then(Path::to_str).unwrap_or_default();
            let directory = self.defaults.iter().find(|known| **known == directory);
            let directory = directory.unwrap_or(&self.defaults[0]);
            let guest = format!("{directory}/{name}");
            return Ok(Taken { host, guest });
        }
        for directory in self.defaults {
            let host = Path::new(directory).join(name);
            if ObjectFile::fits(&host) {
                let guest = format!("{directory}/{name}");
                return Ok(Taken { host, guest });
            }
        }
        let named = rpath
            .iter()
            .chain(runpath)
            .map(|place| place.host.display().to_string());
        let mut searched: Vec<String> = named.collect();
        searched.extend(self.defaults.iter().map(|name| (*name).to_owned()));
        Err(ProgramError::NoLibrary {
            name: name.to_owned(),
            needed_by: needed_by.to_owned(),
            searched,
        })
    }
}

/// Resolves one entry of RPATH or RUNPATH for an object; none for relative ones, which
/// depend on the directory that a program happens to be started in.
fn search_place(path: &str, object: &Taken) -> Option<SearchPlace> {
    let path = path.replace("${ORIGIN}", "$ORIGIN");
    let path = path
        .replace("$LIB", "lib/x86_64-linux-gnu")
        .replace("${LIB}", "lib/x86_64-linux-gnu");
    let path = path
        .replace("$PLATFORM", "x86_64")
        .replace("${PLATFORM}", "x86_64");
    if let Some(rest) = path.strip_prefix("$ORIGIN") {
        // The loader takes the path of the file itself, not of a link to it.
        let real = object.host.canonicalize().ok()?;
        let host = real.parent()?.join(rest.trim_start_matches('/'));
        let guest = object.guest.rsplit_once('/')?.0;
        return Some(SearchPlace {
            host,
            guest: without_dots(&format!("{guest}{rest}")),
        });
    }
    path.starts_with('/').then(|| SearchPlace {
        guest: without_dots(&path),
        host: PathBuf::from(path),
    })
}

/// An absolute path without `.` and `..`; links are not looked at.
fn without_dots(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
