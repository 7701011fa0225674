//! The tree that the memory tree lies over: it never changes.
//!
//! Paths given to it are made of names that were each looked up before, so no link is ever followed
//! there and none leads out of it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::lock::Mutex;
use kiln_file_server::{PATH_MAX, take_attributes};
use kiln_interface::file::{Attributes, File, FileTree, Opened, open};
use kiln_object::call::MESSAGE_BYTES;
use kiln_object::{Binder, Error, Object, ProcessId, Reference};

/// What is needed of a lower tree.
pub trait Lower: Send + Sync {
    /// What is known about the thing at `path` itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what keeps it from answering.
    fn attributes(&self, path: &[u8]) -> Result<Attributes, Error>;

    /// The target of the link at `path`.
    ///
    /// # Errors
    /// As [`Lower::attributes`].
    fn target(&self, path: &[u8]) -> Result<Vec<u8>, Error>;

    /// Opens the thing at `path` itself, for `owner`.
    ///
    /// # Errors
    /// As [`Lower::attributes`].
    fn open(&self, path: &[u8], flags: u32, owner: ProcessId) -> Result<Opened, Error>;

    /// Passes the contents of the file at `path` on, in order, in pieces of at most a page.
    ///
    /// # Errors
    /// As [`Lower::attributes`], and those of `each`.
    fn read(
        &self,
        path: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Lists the directory at `path`, as `File::read_directory` does.
    ///
    /// # Errors
    /// As [`Lower::attributes`].
    fn read_directory(&self, path: &[u8], cookie: u64, answer: &mut [u8]) -> Result<usize, Error>;
}

/// Something in the lower tree that is no directory.
#[derive(Debug)]
pub struct LowerFile {
    pub path: Box<[u8]>,
    pub attributes: Attributes,
    /// If it is a link.
    pub target: Option<Box<[u8]>>,
}

/// The path of `name` in the directory at `directory`.
///
/// # Errors
/// [`Error::NameTooLong`].
pub fn join(directory: &[u8], name: &[u8]) -> Result<Box<[u8]>, Error> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !directory.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    if path.len() > PATH_MAX {
        return Err(Error::NameTooLong);
    }
    Ok(path.into_boxed_slice())
}

/// A directory's path, and the directory as it was opened.
type Listed = (Box<[u8]>, Reference<dyn File>);

/// A lower tree that a server keeps.
pub struct LowerServer<T: Binder> {
    tree: Object<dyn FileTree, T>,
    transport: T,
    /// This process, as the owner of what it opens for itself.
    own: ProcessId,
    /// The directory that was listed last, still open: listings come in pieces.
    listed: Mutex<Option<Listed>>,
}

impl<T: Binder + Clone + Send + Sync> LowerServer<T> {
    /// The tree `tree`, opened by process `own`, which has the right `DELEGATE` there. Its files are
    /// reached by `transport`.
    pub const fn new(tree: Object<dyn FileTree, T>, transport: T, own: ProcessId) -> Self {
        Self {
            tree,
            transport,
            own,
            listed: Mutex::new(None),
        }
    }

    fn file(&self, reference: Reference<dyn File>) -> Object<dyn File, T> {
        Object::new(reference, self.transport.clone())
    }

    fn release(&self, reference: Reference<dyn File>) {
        // There is nothing to do about a server that does not take its reference back.
        let _ = self.transport.release(reference.raw());
    }
}

/// What the lower tree answered about a path that it must know.
fn inside<T>(answer: Result<T, Error>) -> Result<T, Error> {
    answer.map_err(|error| match error {
        Error::Elsewhere | Error::TooManyLinks => Error::Corrupt,
        error => error,
    })
}

impl<T: Binder + Clone + Send + Sync> Lower for LowerServer<T> {
    fn attributes(&self, path: &[u8]) -> Result<Attributes, Error> {
        let mut answer = [0; size_of::<Attributes>()];
        let length = inside(self.tree.attributes(path, false, &mut answer))?;
        take_attributes(answer.get(..length).unwrap_or_default()).map_err(|_| Error::BadAnswer)
    }

    fn target(&self, path: &[u8]) -> Result<Vec<u8>, Error> {
        let mut answer = alloc::vec![0; MESSAGE_BYTES];
        let length = inside(self.tree.read_link(path, &mut answer))?;
        answer.truncate(length);
        Ok(answer)
    }

    fn open(&self, path: &[u8], flags: u32, owner: ProcessId) -> Result<Opened, Error> {
        inside(
            self.tree
                .open(path, flags | open::NO_FOLLOW, 0, owner, &mut []),
        )
    }

    fn read(
        &self,
        path: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let file = self.open(path, open::READ, self.own)?.file;
        let opened = self.file(file);
        let mut buffer = alloc::vec![0; MESSAGE_BYTES];
        let mut offset = 0u64;
        let outcome = loop {
            match opened.read(offset, &mut buffer) {
                Ok(0) => break Ok(()),
                Ok(length) => {
                    let piece = buffer.get(..length).unwrap_or_default();
                    if let Err(error) = each(piece) {
                        break Err(error);
                    }
                    offset = offset.saturating_add(length as u64);
                }
                Err(error) => break Err(error),
            }
        };
        self.release(file);
        outcome
    }

    fn read_directory(&self, path: &[u8], cookie: u64, answer: &mut [u8]) -> Result<usize, Error> {
        let kept = self.listed.lock().take();
        let reference = match kept {
            Some((kept_path, reference)) if *kept_path == *path => reference,
            other => {
                if let Some((_, reference)) = other {
                    self.release(reference);
                }
                self.open(path, open::READ | open::DIRECTORY, self.own)?
                    .file
            }
        };
        let outcome = self.file(reference).read_directory(cookie, answer);
        let replaced = self.listed.lock().replace((path.into(), reference));
        if let Some((_, reference)) = replaced {
            self.release(reference);
        }
        outcome
    }
}
