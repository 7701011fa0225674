//! Stubs of the objects that the kernel gives each process when it starts.
//!
//! An object that a process was not given answers `BadReference` to everything.

use kiln_interface::kernel::{
    AddressSpaceStub, ClockStub, ConsoleStub, FileCacheStub, LogStub, MachineStub, ProcessStub,
    RandomStub,
};
use kiln_object::Reference;
use kiln_object::startup::InitialObject;

use crate::{Far, startup};

macro_rules! initial_objects {
    ($($(#[$doc:meta])* $name:ident: $stub:ident = $object:ident;)*) => {$(
        $(#[$doc])*
        #[inline]
        #[must_use]
        pub fn $name() -> $stub<Far> {
            $stub::new(Reference::new(startup().object(InitialObject::$object)), Far)
        }
    )*};
}

initial_objects! {
    /// The process's own memory.
    address_space: AddressSpaceStub = AddressSpace;
    /// The process itself.
    process: ProcessStub = Process;
    /// Diagnostics for whoever built the image; see [`log_line!`](crate::log_line).
    log: LogStub = Log;
    /// Random numbers.
    random: RandomStub = Random;
    /// The console; given to the program's process only.
    console: ConsoleStub = Console;
    /// The pages of the root file system; given to its server only.
    root_pages: FileCacheStub = RootPages;
    /// The power switch; given to the program's process only.
    machine: MachineStub = Machine;
    /// The clock; to read it, [`time`](crate::time) is quicker.
    clock: ClockStub = Clock;
}
