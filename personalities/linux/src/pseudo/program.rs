//! What the process's own files say about the program that runs.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use kiln_linux_start::InitialStack;

/// Longest name of a thread.
const NAME_BYTES: usize = 15;

/// The program, as the loader started it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its absolute path with no link in it.
    pub path: Cow<'static, [u8]>,
    /// The name that it gave its thread.
    given_name: Option<Vec<u8>>,
    /// The stack that it started with.
    stack: Option<InitialStack>,
}

impl Program {
    /// No program yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            path: Cow::Borrowed(&[]),
            given_name: None,
            stack: None,
        }
    }

    /// The one of that absolute path which starts with that stack.
    #[must_use]
    pub const fn started(path: Cow<'static, [u8]>, stack: InitialStack) -> Self {
        Self {
            path,
            given_name: None,
            stack: Some(stack),
        }
    }

    /// The thread's name: what it was given, else the file's.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let file = || self.path.rsplit(|byte| *byte == b'/').next();
        let name = self.given_name.as_deref().or_else(file).unwrap_or_default();
        name.get(..NAME_BYTES).unwrap_or(name)
    }

    /// Gives the thread a name, of which the first 15 bytes are taken.
    pub fn set_name(&mut self, name: &[u8]) {
        self.given_name = Some(name.get(..NAME_BYTES).unwrap_or(name).to_vec());
    }

    /// The arguments, a NUL after each.
    #[must_use]
    pub fn arguments(&self) -> &[u8] {
        self.stack.as_ref().map_or(&[], InitialStack::arguments)
    }

    /// The environment, a NUL after each entry.
    #[must_use]
    pub fn environment(&self) -> &[u8] {
        self.stack.as_ref().map_or(&[], InitialStack::environment)
    }

    /// The auxiliary vector's bytes, `AT_NULL` included.
    #[must_use]
    pub fn auxiliary(&self) -> &[u8] {
        self.stack.as_ref().map_or(&[], InitialStack::auxiliary)
    }
}
