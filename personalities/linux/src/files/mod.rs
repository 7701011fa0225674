//! Descriptors, open files, and walking paths.
//!
//! What only this process can see is kept here: descriptors, positions, the working directory, the
//! mounts. What a file holds is a server's; it is reached through the objects behind the
//! descriptors.

pub mod attribute;
pub mod buffer;
mod call_arguments;
mod calls;
pub mod description;
pub mod descriptor;
pub mod directory;
pub mod duplicate;
pub mod epoll;
pub mod event;
pub mod extended;
pub mod file_system;
#[cfg(test)]
mod image_tests;
pub mod kept_file;
mod memory_file;
mod mounts;
pub mod name;
pub mod object;
pub mod open;
mod opening;
pub mod path;
pub mod pipe;
pub mod poll;
pub mod position;
pub mod scratch;
pub mod server;
pub mod status;
mod stored;
#[cfg(test)]
mod switchboard;
#[cfg(test)]
mod tests;
pub mod transfer;
mod waiting;
mod walk;
mod window;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use kiln_interface::file::kind;
use kiln_interface::kernel::FileCache;
use kiln_object::Reference;
use kiln_runtime::PlainMutex as Mutex;
use linux_raw_sys::general::{AT_FDCWD, O_LARGEFILE, O_RDONLY, O_RDWR, O_WRONLY};
use spin::Once;

pub use calls::CALLS;
pub use waiting::pause;

use crate::errno::Errno;
use crate::pseudo::Program;
use crate::terminal::{ConsoleInput, ConsoleOutput, ConsoleTerminal, Terminal};
use buffer::Destination;
use description::Description;
use descriptor::Descriptors;
use mounts::Mounts;
use object::{Mappable, Object};
use path::Joined;
use walk::Canonical;
use window::Windows;

/// The mask that a process starts with.
const USUAL_MASK: u32 = 0o022;

/// This family's state.
pub struct Files {
    descriptors: Mutex<Descriptors<Arc<Description>>>,
    /// Absolute and canonical; empty until somebody changes it, which is the root.
    directory: Mutex<Vec<u8>>,
    mask: AtomicU32,
    mounts: Once<Mounts>,
    canonical: Mutex<Canonical>,
    windows: Mutex<Windows>,
    /// What the process's own files say of the program; the loader fills it in.
    pub program: Mutex<Program>,
}

impl Files {
    /// The state before the program starts.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            descriptors: Mutex::new(Descriptors::new()),
            directory: Mutex::new(Vec::new()),
            mask: AtomicU32::new(USUAL_MASK),
            mounts: Once::new(),
            canonical: Mutex::new(Canonical::new()),
            windows: Mutex::new(Windows::new()),
            program: Mutex::new(Program::new()),
        }
    }

    /// What is open at `descriptor`.
    ///
    /// # Errors
    /// `EBADF`.
    #[inline]
    pub fn description(&self, descriptor: i32) -> Result<Arc<Description>, Errno> {
        self.descriptors.lock().get(descriptor).map(Arc::clone)
    }

    /// Puts an open file at the lowest free descriptor.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn add(&self, description: Description, close_on_exec: bool) -> Result<i32, Errno> {
        self.descriptors
            .lock()
            .add(Arc::new(description), 0, close_on_exec)
    }

    /// The open descriptors, lowest first.
    #[must_use]
    pub fn open_descriptors(&self) -> Vec<i32> {
        self.descriptors.lock().open_from(0).collect()
    }

    /// Closes what is marked to be closed when another program is executed.
    pub fn close_for_execution(&self) {
        let mut descriptors = self.descriptors.lock();
        let marked: Vec<i32> = descriptors
            .open_from(0)
            .filter(|descriptor| descriptors.close_on_exec(*descriptor) == Ok(true))
            .collect();
        let closed: Vec<_> = marked
            .into_iter()
            .map(|descriptor| descriptors.remove(descriptor))
            .collect();
        // The last holder of a file gives it back, which must not happen under the lock.
        drop(descriptors);
        drop(closed);
    }

    /// Says how many descriptors there may be (`RLIMIT_NOFILE`).
    pub fn set_descriptor_limit(&self, limit: usize) {
        self.descriptors.lock().set_limit(limit);
    }

    /// The permission bits that new files do not get.
    #[must_use]
    pub fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    /// Says which permission bits new files do not get; answers what was said before.
    pub fn set_mask(&self, mask: u32) -> u32 {
        self.mask.swap(mask, Ordering::Relaxed)
    }

    /// The working directory's absolute path.
    #[must_use]
    pub fn working_directory(&self) -> Vec<u8> {
        let directory = self.directory.lock();
        if directory.is_empty() {
            return vec![b'/'];
        }
        directory.clone()
    }

    /// Makes a directory the working directory.
    ///
    /// # Errors
    /// `ENOTDIR`; those of a walk.
    pub fn change_directory(&self, start: Joined) -> Result<(), Errno> {
        let (attributes, path) = self.attributes_of(start, true)?;
        if attributes.mode & kind::MASK != kind::DIRECTORY {
            return Err(Errno::ENOTDIR);
        }
        *self.directory.lock() = self.canonical(&path, 0)?;
        Ok(())
    }

    /// The mounts of this image.
    ///
    /// # Errors
    /// Why the name space did not tell them.
    pub fn mounts(&self) -> Result<&Mounts, Errno> {
        self.mounts.try_call_once(Mounts::fetch)
    }

    /// The absolute path that `path` means as seen from the directory open at `descriptor`, or from
    /// the working directory (`AT_FDCWD`).
    ///
    /// # Errors
    /// `EBADF`, `ENOTDIR`; `ENOENT` for an empty path, `ENAMETOOLONG`.
    pub fn start(&self, descriptor: i32, path: &[u8]) -> Result<Joined, Errno> {
        if path.starts_with(b"/") {
            return path::join(b"/", path);
        }
        if descriptor == AT_FDCWD {
            let directory = self.directory.lock();
            let base: &[u8] = if directory.is_empty() {
                b"/"
            } else {
                &directory
            };
            return path::join(base, path);
        }
        let description = self.description(descriptor)?;
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if !description.object().is_directory() || description.path().is_empty() {
            return Err(Errno::ENOTDIR);
        }
        path::join(description.path(), path)
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Files")
            .field("descriptors", &self.descriptors)
            .field("directory", &self.directory)
            .field("mask", &self.mask)
            .finish_non_exhaustive()
    }
}

/// The files of this process.
#[cfg(not(test))]
#[inline]
#[must_use]
pub fn files() -> &'static Files {
    &crate::LINUX.files
}

/// The files of this process; in a test, of this thread.
#[cfg(test)]
pub fn files() -> &'static Files {
    std::thread_local! {
        static FILES: &'static Files = alloc::boxed::Box::leak(alloc::boxed::Box::new(Files::new()));
    }
    FILES.with(|files| *files)
}

/// Opens descriptors 0, 1 and 2 on the console, and enters the working directory.
///
/// # Errors
/// Why the directory cannot be entered.
pub fn initialise(files: &Files, terminal: &Terminal, directory: &[u8]) -> Result<(), Errno> {
    let (is_in, is_out) = terminal.sides();
    let shared = (is_in || is_out).then(|| {
        console(
            Arc::new(ConsoleTerminal),
            O_RDWR | O_LARGEFILE,
            b"/dev/console".to_vec(),
        )
    });
    let shared = |whether: bool| shared.as_ref().filter(|_| whether).map(Arc::clone);
    let input =
        shared(is_in).unwrap_or_else(|| console(Arc::new(ConsoleInput), O_RDONLY, Vec::new()));
    let output =
        shared(is_out).unwrap_or_else(|| console(Arc::new(ConsoleOutput), O_WRONLY, Vec::new()));
    let errors = Arc::clone(&output);
    files.descriptors.lock().begin([input, output, errors]);
    if !directory.is_empty() && directory != b"/" {
        files.change_directory(path::join(b"/", directory)?)?;
    }
    Ok(())
}

/// A side of the console, open.
#[inline(never)]
fn console(side: Arc<dyn Object>, flags: u32, path: Vec<u8>) -> Arc<Description> {
    Arc::new(Description::new(side, flags, path))
}

/// Tells the program that it wrote where nobody reads.
#[cfg(not(test))]
fn raise_broken_pipe() {
    use crate::signal::{Information, send};
    let signal = linux_raw_sys::general::SIGPIPE;
    send(signal, Information::kernel(signal));
}

#[cfg(test)]
const fn raise_broken_pipe() {}

/// What stands behind a mapping of a file.
#[derive(Debug)]
pub enum MapSource {
    /// The file's pages, and its length in bytes.
    Pages(Reference<dyn FileCache>, u64),
    /// A file without pages: a private mapping is filled by reading it.
    Copy(Readable),
    /// A device that reads as zeroes (`/dev/zero`).
    Zero,
}

/// A file that can be read at any offset, kept open independently of descriptors.
#[derive(Clone)]
pub struct Readable(Arc<dyn Object>);

impl Readable {
    /// Its length in bytes when asked.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn length(&self) -> Result<u64, Errno> {
        Ok(self.0.attributes()?.length)
    }

    /// Its mode: kind and permission bits.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn mode(&self) -> Result<u32, Errno> {
        Ok(self.0.attributes()?.mode)
    }

    /// Reads at `offset` until `bytes` is full or the file ends.
    ///
    /// # Errors
    /// What the file's server answers.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.checked_add(done as u64).ok_or(Errno::EINVAL)?;
            match self.0.read(at, &mut Destination::library(rest))? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    /// What to map for it.
    ///
    /// # Errors
    /// `ENODEV` for what cannot be mapped; what the file's server answers.
    pub fn map_source(&self) -> Result<MapSource, Errno> {
        Ok(match self.0.mappable()? {
            Mappable::Pages(cache, length) => MapSource::Pages(cache, length),
            Mappable::Contents => MapSource::Copy(self.clone()),
            Mappable::Zero => MapSource::Zero,
        })
    }
}

impl fmt::Debug for Readable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Readable").finish_non_exhaustive()
    }
}

/// What a mapping of the descriptor is made of, and whether it was opened for reading and for
/// writing.
///
/// # Errors
/// `EBADF`, `ENODEV` for what cannot be mapped.
pub fn mapping_of(descriptor: i32) -> Result<(MapSource, bool, bool), Errno> {
    let description = files().description(descriptor)?;
    if description.is_path_only() {
        return Err(Errno::EBADF);
    }
    let source = Readable(Arc::clone(description.object())).map_source()?;
    Ok((source, description.may_read(), description.may_write()))
}

/// The path that the descriptor was opened by, as `/proc/self/maps` shows it.
///
/// # Errors
/// `EBADF`.
pub fn path_of(descriptor: i32) -> Result<Vec<u8>, Errno> {
    Ok(files().description(descriptor)?.name())
}

/// Opens a program by path (relative to the working directory) without using a descriptor; answers
/// it and its absolute path after links were followed.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP`, `EACCES` (no execute bit, or no regular file).
pub fn open_program(path: &[u8]) -> Result<(Readable, Vec<u8>), Errno> {
    let files = files();
    let start = files.start(AT_FDCWD, path)?;
    let opened = files.open(start, O_RDONLY, 0)?;
    let readable = Readable(Arc::clone(opened.object()));
    let mode = readable.mode()?;
    if mode & kind::MASK != kind::REGULAR || mode & 0o111 == 0 {
        return Err(Errno::EACCES);
    }
    let canonical = files.canonical(opened.path(), 0)?;
    Ok((readable, canonical))
}
