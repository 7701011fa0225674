//! What the kernel and the servers that live in it give each other.
//!
//! The runtime of such servers is linked with the kernel and neither imports the other: each fills one
//! of these. Everything else of a server is as in a process of its own.

use crate::call::CALL_WORDS;
use crate::startup::{KernelInformation, Startup};
use crate::{Answer, Error, Incoming, ObjectName, RawReference, Reply};

/// What a process finds in its address space, for those who have none of their own.
#[derive(Debug)]
pub struct Given {
    /// Who the home is, its objects, servers and clients.
    pub startup: &'static Startup,
    /// The configuration blob.
    pub configuration: &'static [u8],
    /// The page that all processes share.
    pub information: &'static KernelInformation,
    /// The root file system; empty where its server does not live.
    pub root: &'static [u8],
    /// Calls a kernel object in the home's name.
    pub call: CallKernel,
    /// The number of the processor that runs this.
    pub processor: fn() -> u32,
    /// Does what other processors wait for: called again and again by whoever waits for a lock here, whose
    /// holder may be in the kernel and wait for this processor.
    pub relax: fn(),
    /// Notes the hash of the interface of an object that is handed out under a name, if that is asked for.
    pub note_object: Option<fn(ObjectName, u64)>,
}

/// Calls an object of the kernel; nothing else can be called from inside it.
pub type CallKernel =
    fn(RawReference, u16, &[u64; CALL_WORDS], &[u8], &mut [u8]) -> Result<Reply, Error>;

/// What the servers' runtime gives to the kernel.
#[repr(C)]
pub struct KernelHome {
    /// Starts all servers that live here; called once, before any process runs.
    pub start: fn(&'static Given),
    /// Serves a call, on any CPU; what object it is for, and with which rights, is not known yet.
    pub serve: extern "sysv64" fn(&mut Incoming<'_>, ObjectName) -> Answer,
    /// The same for a one-way message.
    pub deliver: extern "sysv64" fn(&mut Incoming<'_>, ObjectName) -> Answer,
}
