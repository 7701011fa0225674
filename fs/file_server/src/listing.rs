//! Packing directory entries into the answer of `File::read_directory`.

use kiln_interface::file::DirectoryEntry;
use kiln_object::Error;
use zerocopy::{FromBytes, IntoBytes};

/// Heads start at multiples of this.
const ALIGNMENT: usize = 8;

/// An answer being filled.
#[derive(Debug)]
pub struct Listing<'a> {
    answer: &'a mut [u8],
    used: usize,
    full: bool,
}

impl<'a> Listing<'a> {
    /// An empty listing in `answer`.
    pub fn new(answer: &'a mut [u8]) -> Self {
        Self {
            answer,
            used: 0,
            full: false,
        }
    }

    /// Appends an entry; false if there is no room for it, and from then on always.
    pub fn push(&mut self, number: u64, cookie: u64, kind: u32, name: &[u8]) -> bool {
        if self.full || self.write(number, cookie, kind, name).is_none() {
            self.full = true;
        }
        !self.full
    }

    fn write(&mut self, number: u64, cookie: u64, kind: u32, name: &[u8]) -> Option<()> {
        let name_bytes = u32::try_from(name.len()).ok()?;
        let head = DirectoryEntry {
            number,
            cookie,
            kind,
            name_bytes,
        };
        let start = self.used.checked_next_multiple_of(ALIGNMENT)?;
        let name_start = start.checked_add(size_of::<DirectoryEntry>())?;
        let end = name_start.checked_add(name.len())?;
        let (head_bytes, name_space) = self
            .answer
            .get_mut(start..end)?
            .split_at_mut_checked(size_of::<DirectoryEntry>())?;
        head_bytes.copy_from_slice(head.as_bytes());
        name_space.copy_from_slice(name);
        // Between two entries nothing of an older answer may stay.
        self.answer.get_mut(self.used..start)?.fill(0);
        self.used = end;
        Some(())
    }

    /// Whether an entry did not fit.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Bytes of the answer.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there was an entry and no room for even one.
    pub const fn finish(self) -> Result<usize, Error> {
        if self.full && self.used == 0 {
            Err(Error::TooLarge)
        } else {
            Ok(self.used)
        }
    }
}

/// The entries of a listing that another server answered, up to the first that is not well formed.
pub fn listed(answer: &[u8]) -> impl Iterator<Item = (DirectoryEntry, &[u8])> {
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let (head, rest) = DirectoryEntry::read_from_prefix(answer.get(at..)?).ok()?;
        let length = usize::try_from(head.name_bytes).ok()?;
        let name = rest.get(..length)?;
        at = at
            .checked_add(size_of::<DirectoryEntry>())?
            .checked_add(length)?
            .checked_next_multiple_of(ALIGNMENT)?;
        Some((head, name))
    })
}
