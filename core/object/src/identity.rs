//! Who calls, and what is called: processes, objects, references, rights.
//!
//! A reference is a name, not a bearer capability: it is good only for the process it was given
//! to, because the kernel attaches the caller's identity to each call and the callee compares.

use core::{fmt, marker::PhantomData};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One incarnation of a process: a table index (low half) and a number never used again with it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct ProcessId(u64);

impl ProcessId {
    /// No process: what an unset field holds.
    pub const NONE: ProcessId = ProcessId(0);
    /// The kernel, as the callee of its own objects.
    pub const KERNEL: ProcessId = ProcessId::new(0, 1);

    /// The identity of the `incarnation`-th process in table place `index`.
    #[must_use]
    pub const fn new(index: u32, incarnation: u32) -> Self {
        Self((incarnation as u64) << 32 | index as u64)
    }

    /// The place in the kernel's process table.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Which of the processes that held that place; the first is 1.
    #[must_use]
    pub const fn incarnation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The register form.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// From the register form; any value is a well-formed name of some, perhaps dead, process.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl fmt::Debug for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {}.{}", self.index(), self.incarnation())
    }
}

/// A place in one process's object table, and the generation that the place must have.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct ObjectName(u64);

impl ObjectName {
    /// The object that every process has: it binds clients to what the first server in it serves.
    pub const BOOTSTRAP: ObjectName = ObjectName::bootstrap(0);

    /// The object that binds clients to what the server of that number serves. Servers that share an
    /// address space share a process, and each has its own.
    #[must_use]
    pub const fn bootstrap(server: u32) -> Self {
        Self::new(0, server.wrapping_add(1))
    }

    /// Of which server this is the bootstrap object, if it is one.
    #[must_use]
    pub const fn bootstrap_server(self) -> Option<u32> {
        match (self.slot(), self.generation()) {
            (0, 1..) => Some(self.generation() - 1),
            _ => None,
        }
    }

    /// Names the object in `slot` as of `generation`.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// The place in the table.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// The generation of the place; it grows each time the place is given to another object.
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The register form.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// From the register form; any value is well formed.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "object {}.{}", self.slot(), self.generation())
    }
}

bitflags::bitflags! {
    /// What the holder of a reference may ask of the object; each method names one bit.
    ///
    /// The low half has the same meaning for every interface, the high half is the interface's.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Rights: u32 {
        /// Look at the object's contents.
        const READ = 1 << 0;
        /// Change the object's contents.
        const WRITE = 1 << 1;
        /// Map the object's pages.
        const MAP = 1 << 2;
        /// Look names up below the object.
        const LOOKUP = 1 << 3;
        /// Change what the object is: its entries, attributes, existence.
        const CONTROL = 1 << 4;
        /// Ask in the name of another process (a server that serves others' calls).
        const DELEGATE = 1 << 5;
        /// Give the reference on, with the same or fewer rights.
        const GRANT = 1 << 6;
        /// Every right that any interface defines.
        const ALL = !0;
    }
}

/// A reference as it travels: the serving process and the object in it.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RawReference {
    /// The process that serves the object.
    pub process: ProcessId,
    /// The object in that process.
    pub object: ObjectName,
}

impl RawReference {
    /// No reference: what an unset field holds.
    pub const NONE: RawReference = RawReference {
        process: ProcessId::NONE,
        object: ObjectName::new(0, 0),
    };

    /// Whether this is [`RawReference::NONE`].
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Debug for RawReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} in {:?}", self.object, self.process)
    }
}

/// A reference whose interface is known. Holding one proves nothing yet: the callee checks.
pub struct Reference<I: ?Sized> {
    raw: RawReference,
    interface: PhantomData<fn(&I)>,
}

impl<I: ?Sized> Reference<I> {
    /// Says that `raw` is of interface `I`; a wrong claim is refused by the callee.
    #[must_use]
    pub const fn new(raw: RawReference) -> Self {
        Self {
            raw,
            interface: PhantomData,
        }
    }

    /// The untyped reference.
    #[must_use]
    pub const fn raw(self) -> RawReference {
        self.raw
    }
}

impl<I: ?Sized> Clone for Reference<I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ?Sized> Copy for Reference<I> {}

impl<I: ?Sized> fmt::Debug for Reference<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(formatter)
    }
}

impl<I: ?Sized> PartialEq for Reference<I> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<I: ?Sized> Eq for Reference<I> {}
