//! What the image says of one of its processes, worked out when it was made.
//!
//! A record of the configuration: a head, then the names of the servers that live in the process, the
//! servers that it may bind to, and who may bind to those in it. Other processes are meant by their
//! place among the records.

use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A name, zero-padded; its last byte is zero.
pub type Name = [u8; 24];

/// A name as records have it, cut if it is too long.
#[must_use]
pub fn padded(name: &[u8]) -> Name {
    let mut padded = [0; 24];
    for (to, from) in padded.iter_mut().take(23).zip(name) {
        *to = *from;
    }
    padded
}

/// A name without its padding.
#[must_use]
pub fn trim(name: &Name) -> &[u8] {
    // A slice, so that the loop stays one: this runs once for each name.
    let name: &[u8] = core::hint::black_box(name);
    let end = name.iter().position(|byte| *byte == 0);
    name.get(..end.unwrap_or(name.len())).unwrap_or_default()
}

/// The process runs the program, and the machine ends with it.
pub const PROGRAM: u32 = 1;
/// It is started by the first call to it.
pub const ON_CALL: u32 = 2;
/// The server of the root file system lives in it.
pub const ROOT: u32 = 4;
/// It lives in the kernel, and no component is for it.
pub const KERNEL: u32 = 8;

/// Other records say on which CPU or in which resource domain it runs.
pub const PLACED: u32 = 16;
/// Other records limit the time that it may take.
pub const LIMITED: u32 = 32;

/// How a record begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Head {
    /// The process's name, which is its component's.
    pub name: Name,
    /// [`PROGRAM`] and the like.
    pub flags: U32,
    /// How many names of servers follow,
    pub hosted: U32,
    /// how many [`Server`]s,
    pub servers: U32,
    /// and how many [`Client`]s.
    pub clients: U32,
}

/// A server that the process may bind to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Server {
    /// The server's name.
    pub name: Name,
    /// The process that it lives in.
    pub process: U32,
    /// Its number there.
    pub number: U32,
}

/// Who may bind to a server in the process.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Client {
    /// The client.
    pub process: U32,
    /// The server's number.
    pub server: U32,
    /// The rights of the client's reference.
    pub rights: U32,
}

/// A record, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct ProcessRecord<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Names of the servers that live in the process, in starting order.
    pub hosted: &'a [Name],
    /// Servers that it may bind to.
    pub servers: &'a [Server],
    /// Who may bind to servers in it.
    pub clients: &'a [Client],
}

impl<'a> ProcessRecord<'a> {
    /// Takes a value of the configuration apart; `None` if it ends early.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (head, rest) = Head::ref_from_prefix(value).ok()?;
        let count = |count: U32| count.get() as usize;
        let (hosted, rest) = <[Name]>::ref_from_prefix_with_elems(rest, count(head.hosted)).ok()?;
        let (servers, rest) =
            <[Server]>::ref_from_prefix_with_elems(rest, count(head.servers)).ok()?;
        let (clients, _) =
            <[Client]>::ref_from_prefix_with_elems(rest, count(head.clients)).ok()?;
        Some(Self {
            head,
            hosted,
            servers,
            clients,
        })
    }

    /// The process's name; empty if that is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &'a str {
        core::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// The bytes of the process's name.
    #[must_use]
    pub fn name_bytes(&self) -> &'a [u8] {
        trim(&self.head.name)
    }

    /// Whether it has the flag.
    #[must_use]
    pub fn is(&self, flag: u32) -> bool {
        self.head.flags.get() & flag != 0
    }
}
