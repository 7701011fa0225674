//! How a component starts: the kernel jumps to `component_entry` on the main stack.

use core::sync::atomic::{AtomicBool, Ordering};

use kiln_interface::kernel::Process as _;
use kiln_object::Error;
use kiln_object::startup::InitialObject;

use crate::startup;

/// Defines the component's entry, which calls the given `fn()`.
///
/// When it returns, the process says that it is ready, and then serves calls for as long as the
/// machine runs. The crate that uses this may `deny(unsafe_code)` but not `forbid` it: naming a
/// symbol counts as unsafe. On the host it defines nothing.
#[macro_export]
macro_rules! component {
    ($main:path) => {
        #[cfg(kiln_freestanding)]
        #[allow(unsafe_code)]
        const _: () = {
            extern "sysv64" fn run() -> ! {
                $crate::entry::run($main)
            }

            // SAFETY: a component has one entry, so no other definition is linked with this one.
            /// Where the kernel starts the process.
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            extern "sysv64" fn component_entry() -> ! {
                ::core::arch::naked_asm!(
                    "xor ebp, ebp",
                    "and rsp, -16",
                    "call {run}",
                    "ud2",
                    run = sym run,
                )
            }
        };
    };
}

/// Tells the kernel where to enter this process: for calls and traps here, for system calls of a
/// program at the address `reflected` (0: there is no program).
///
/// [`component!`] has done it with 0 before `main` runs; a personality does it again.
///
/// # Errors
/// What the kernel answers; it does not refuse addresses below the end of user space.
pub fn initialise(reflected: u64) -> Result<(), Error> {
    let (call, trap) = entries();
    crate::process().set_entries(call, reflected, trap)
}

/// Whether a server's `main` runs.
static STARTING: AtomicBool = AtomicBool::new(false);

/// Whether this process is a server that is not ready yet.
pub(crate) fn is_starting() -> bool {
    STARTING.load(Ordering::Relaxed)
}

/// Ends the process with `status`, as a shell would see it. A server in the kernel ends the machine.
pub fn exit(status: u32) -> ! {
    if cfg!(kiln_kernel) {
        panic!("a server in the kernel ended with status {status}");
    }
    loop {
        // It does not come back; if it did, there would be nothing else to try.
        let _ = crate::process().exit(status);
    }
}

/// What [`component!`] defines as the life of a component.
pub fn run(main: fn()) -> ! {
    const SOFTWARE_FAILURE: u32 = 70;
    if let Err(error) = initialise(0) {
        crate::log_line!("the kernel does not take the entries: {error}");
        exit(SOFTWARE_FAILURE);
    }
    // The program's process says itself when it is ready, in the middle of its `main`.
    let is_program = !startup().object(InitialObject::Machine).is_none();
    STARTING.store(!is_program, Ordering::Relaxed);
    main();
    STARTING.store(false, Ordering::Relaxed);
    if let Err(error) = crate::process().ready() {
        crate::log_line!("the kernel does not take that the server is ready: {error}");
        exit(SOFTWARE_FAILURE);
    }
    crate::objects::forget_the_dead()
}

#[cfg(kiln_freestanding)]
fn entries() -> (u64, u64) {
    (
        crate::call_entry::call_entry as *const () as u64,
        crate::trap::trap_entry as *const () as u64,
    )
}

#[cfg(not(kiln_freestanding))]
fn entries() -> (u64, u64) {
    (0, 0)
}
