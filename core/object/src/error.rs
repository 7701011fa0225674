//! The answers an object call can have besides success.
//!
//! One list serves the transport and the system's own interfaces, so that a caller matches once.
//! The numbers travel in registers: they are stable and never reused.

/// Why a call did not succeed.
///
/// The first group is said by the transport, the second by servers about their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Error {
    /// The reference names no live object, or one that was never given to this caller.
    BadReference = 1,
    /// The reference does not carry the right that the method asks for.
    Denied = 2,
    /// The object has no method of that number.
    BadMethod = 3,
    /// An argument is outside its declared range, or does not decode.
    BadArgument = 4,
    /// A buffer of the caller is not mapped, or not in the needed direction.
    BadBuffer = 5,
    /// An argument or an answer exceeds its declared bound.
    TooLarge = 6,
    /// The server's process has ended, or ended while it served this call.
    ServerDied = 7,
    /// The target cannot take a call now; it may be tried again.
    Busy = 8,
    /// The deadline passed before the answer came.
    TimedOut = 9,
    /// The interface at the other end has another hash.
    WrongInterface = 10,
    /// Calls are nested deeper than the transport carries.
    TooDeep = 11,
    /// No memory, object slot or other resource is left.
    Exhausted = 12,
    /// The answer of the server could not be decoded.
    BadAnswer = 13,

    /// There is nothing now and waiting would help.
    WouldBlock = 32,
    /// No entry of that name.
    NotFound = 33,
    /// An entry of that name is there already.
    Exists = 34,
    /// A component of the path is not a directory.
    NotDirectory = 35,
    /// The object is a directory and the operation wants something else.
    IsDirectory = 36,
    /// The directory still has entries.
    NotEmpty = 37,
    /// The file system has no space left.
    NoSpace = 38,
    /// The file system cannot be written.
    ReadOnly = 39,
    /// A path or a name is longer than the interface carries.
    NameTooLong = 40,
    /// More symbolic links than a walk follows.
    TooManyLinks = 41,
    /// The two names lie on different file systems.
    CrossDevice = 42,
    /// The object does not do that.
    Unsupported = 43,
    /// The stored data contradicts itself.
    Corrupt = 44,
    /// The device reported a failure.
    Device = 45,
    /// The range is taken.
    Occupied = 46,
    /// The path leads through a symbolic link to outside the server's tree; the answer's buffer
    /// holds the path to go on with.
    Elsewhere = 47,
}

impl Error {
    const ALL: [Error; 29] = [
        Error::BadReference,
        Error::Denied,
        Error::BadMethod,
        Error::BadArgument,
        Error::BadBuffer,
        Error::TooLarge,
        Error::ServerDied,
        Error::Busy,
        Error::TimedOut,
        Error::WrongInterface,
        Error::TooDeep,
        Error::Exhausted,
        Error::BadAnswer,
        Error::WouldBlock,
        Error::NotFound,
        Error::Exists,
        Error::NotDirectory,
        Error::IsDirectory,
        Error::NotEmpty,
        Error::NoSpace,
        Error::ReadOnly,
        Error::NameTooLong,
        Error::TooManyLinks,
        Error::CrossDevice,
        Error::Unsupported,
        Error::Corrupt,
        Error::Device,
        Error::Occupied,
        Error::Elsewhere,
    ];

    /// The number that travels in the status register; never zero.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The error of a status; `None` for zero (success) and `BadAnswer` for a number nobody gave.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Error> {
        if code == 0 {
            None
        } else if (code as usize) < Self::BY_CODE.len() {
            Some(Self::BY_CODE[code as usize])
        } else {
            Some(Error::BadAnswer)
        }
    }

    /// The errors by code, so that telling one takes no search.
    const BY_CODE: [Error; 64] = {
        let mut table = [Error::BadAnswer; 64];
        let mut index = 0;
        while index < Self::ALL.len() {
            table[Self::ALL[index] as usize] = Self::ALL[index];
            index += 1;
        }
        table
    };
}

impl core::fmt::Display for Error {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self, formatter)
    }
}

impl core::error::Error for Error {}
