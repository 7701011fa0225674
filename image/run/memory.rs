//! The machine's memory as a file that Kiln looks into while the machine runs, and afterwards.
//!
//! QEMU maps the file; reading it costs the guest nothing, and the guest cannot tell. What is read
//! was written by a guest that may do as it likes, at the same time.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::MemfdFlags;

use super::RunError;

/// Machines with more memory than this have a hole below 4 GiB, above which the file's offsets are
/// no longer the machine's addresses.
const FLAT: u64 = 2 << 30;

/// Memory that can be looked into.
pub trait Memory {
    /// Fills `bytes` from the physical address `at`; false if not all of it is there.
    fn read(&self, at: u64, bytes: &mut [u8]) -> bool;

    /// The words of 64 bits at `at`, filled in; false if not all of them are there.
    fn words(&self, at: u64, words: &mut [u64]) -> bool {
        let mut bytes = vec![0; words.len() * 8];
        let there = self.read(at, &mut bytes);
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        there
    }

    /// The word at `at`.
    fn word(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)
            .then_some(u64::from_le_bytes(bytes))
    }
}

/// The memory of one machine.
#[derive(Debug)]
pub struct GuestMemory {
    file: File,
    bytes: u64,
}

impl GuestMemory {
    /// Memory of so many bytes, all zero.
    ///
    /// # Errors
    /// The host's.
    pub(super) fn new(bytes: u64) -> Result<Self, RunError> {
        let file = rustix::fs::memfd_create("kiln-memory", MemfdFlags::CLOEXEC)
            .map_err(|error| RunError::host("hold the machine's memory")(error.into()))?;
        let file = File::from(file);
        file.set_len(bytes)
            .map_err(RunError::host("hold the machine's memory"))?;
        Ok(Self { file, bytes })
    }

    /// Where QEMU finds the file while this process lives.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }
}

impl Memory for GuestMemory {
    fn read(&self, at: u64, bytes: &mut [u8]) -> bool {
        let end = at.checked_add(bytes.len() as u64);
        end.is_some_and(|end| end <= self.bytes.min(FLAT))
            && self.file.read_exact_at(bytes, at).is_ok()
    }
}

/// Somebody who looks into the memory of a machine that runs.
pub trait Watch: Send {
    /// Words for the kernel's command line.
    fn command_words(&self) -> Vec<String>;

    /// How long to leave it alone between two looks.
    fn period(&self) -> Duration;

    /// Looks; false to end the machine.
    fn look(&mut self, memory: &dyn Memory) -> bool;

    /// Looks once more when the machine has ended.
    fn look_back(&mut self, memory: &dyn Memory) {
        self.look(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_read() {
        let memory = GuestMemory::new(8192).unwrap();
        memory
            .file
            .write_all_at(&7_u64.to_le_bytes(), 4096)
            .unwrap();
        assert_eq!(memory.word(4096), Some(7));
        assert_eq!(memory.word(8184), Some(0));
        assert_eq!(memory.word(8185), None);
        assert_eq!(memory.word(u64::MAX), None);
        let mut words = [1; 2];
        assert!(memory.words(4096, &mut words));
        assert_eq!(words, [7, 0]);
    }
}
