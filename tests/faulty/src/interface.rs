//! What the servers can be told to do.

use kiln_interface::interface;
use kiln_interface::kernel::FileCache;
use kiln_object::{Caller, Error, ProcessId, Reference};

/// A server that fails when it is told to.
#[interface(name = "kiln.test.faulty")]
pub trait Faulty {
    /// Counts the calls of this method since the server was started.
    #[method(1, right = READ)]
    fn count(&self) -> Result<u64, Error>;

    /// Fails: see [`Failure`](crate::failures::Failure). Does not answer, unless nothing of the kind is
    /// known.
    #[method(2, right = WRITE)]
    fn fail(&self, kind: u32) -> Result<(), Error>;

    /// An item of its own for the caller.
    #[method(3, right = READ)]
    fn make(&self, caller: Caller) -> Result<Reference<dyn Item>, Error>;

    /// How many items live.
    #[method(4, right = READ, idempotent)]
    fn items(&self) -> Result<u64, Error>;

    /// Calls `method` of `target` with two words, in this server's name; answers the status and the
    /// first result word.
    #[method(5, right = READ)]
    fn try_call(
        &self,
        target: Reference<dyn Item>,
        method: u32,
        first: u64,
        second: u64,
    ) -> Result<(u64, u64), Error>;

    /// Takes every reference from `owner`.
    #[method(6, right = CONTROL)]
    fn revoke_all(&self, owner: ProcessId) -> Result<(), Error>;

    /// Makes as many items for `owner`, which need not exist; answers how many it got.
    #[method(7, right = CONTROL)]
    fn make_for(&self, owner: ProcessId, count: u64) -> Result<u64, Error>;

    /// How many clients this server was told the end of.
    #[method(8, right = READ)]
    fn deaths(&self) -> Result<u64, Error>;

    /// Calls `fail` of the other server that this one may bind to, and answers the status it got.
    #[method(9, right = WRITE)]
    fn fail_next(&self, kind: u32) -> Result<u64, Error>;

    /// Needs a right that no client has.
    #[method(10, right = DELEGATE)]
    fn secret(&self) -> Result<u64, Error>;

    /// Gets as many items of the other server and keeps them; answers how many it got.
    #[method(11, right = WRITE)]
    fn hold(&self, count: u64) -> Result<u64, Error>;

    /// Has the other server call `fail` of this one, and waits for it: this server dies with a call
    /// in progress, in the middle of a call that it serves.
    #[method(12, right = WRITE)]
    fn fail_round(&self, kind: u32) -> Result<u64, Error>;

    /// Waits for so many milliseconds.
    #[method(13, right = READ)]
    fn nap(&self, milliseconds: u64) -> Result<(), Error>;

    /// A file of so many pages for the caller. When the page at `kind * 4096` is asked for this server does
    /// so: 0: brings it; 1: forgets it; else fails like that.
    #[method(14, right = READ)]
    fn file(&self, pages: u64, caller: Caller) -> Result<Reference<dyn FileCache>, Error>;

    /// Reads a byte at `offset` of that file, which is the other server's, from memory.
    #[method(15, right = WRITE)]
    fn touch_next(&self, offset: u64) -> Result<u32, Error>;

    /// How many naps were begun since the server was started.
    #[method(16, right = READ, idempotent)]
    fn naps(&self) -> Result<u64, Error>;

    /// The status of binding to the server that this one bound to before it was ready.
    #[method(17, right = READ)]
    fn bound_at_start(&self) -> Result<u64, Error>;

    /// Gets as many references from the server of the image's root and keeps them; answers how many it got.
    #[method(18, right = WRITE)]
    fn hold_root(&self, count: u64) -> Result<u64, Error>;

    /// Makes files for the caller until there is no room for more in the call, and fails in the way `kind`.
    #[method(19, right = WRITE)]
    fn files_in_vain(&self, kind: u32, caller: Caller) -> Result<(), Error>;
}

/// Something that a server made for one client.
#[interface(name = "kiln.test.item")]
pub trait Item {
    /// Its number.
    #[method(1, right = READ)]
    fn number(&self) -> Result<u64, Error>;

    /// Gives it another number.
    #[method(2, right = WRITE)]
    fn renumber(&self, number: u64) -> Result<(), Error>;

    /// Ends the server in the middle of this call.
    #[method(3, right = WRITE)]
    fn fail(&self, kind: u32) -> Result<(), Error>;
}
