//! What the pages of a segment may be used for.
//!
//! Writable and executable at once cannot be said: the only values are those with a name.

/// The access that a segment's pages allow. Readable always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Permissions {
    /// Data that nothing writes.
    Read = 4,
    /// Instructions.
    ReadExecute = 5,
    /// Data that is written.
    ReadWrite = 6,
}

impl Permissions {
    /// The permissions whose encoding (the bits of an ELF `p_flags`) is `bits`.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            4 => Some(Self::Read),
            5 => Some(Self::ReadExecute),
            6 => Some(Self::ReadWrite),
            _ => None,
        }
    }

    /// The encoding: the bits of an ELF `p_flags`.
    pub const fn bits(self) -> u32 {
        self as u32
    }

    /// Whether the pages may be written.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::ReadWrite)
    }

    /// Whether the pages may be executed.
    pub const fn is_executable(self) -> bool {
        matches!(self, Self::ReadExecute)
    }
}

impl core::fmt::Display for Permissions {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Read => "r--",
            Self::ReadExecute => "r-x",
            Self::ReadWrite => "rw-",
        })
    }
}
