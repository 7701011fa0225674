//! The servers that live in this process, and starting them.
//!
//! Each server is one record in a section of its own; the last link keeps those that share the home
//! and puts them side by side. Which of them is started when is the start-up block's word.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What a server exports, by [`server!`](crate::server).
#[repr(C)]
pub struct Server {
    start: extern "sysv64" fn(),
    name: [u8; NAME_BYTES],
}

/// Longest name of a server, in bytes.
pub const NAME_BYTES: usize = 24;

impl Server {
    fn name(&self) -> &[u8] {
        let used = self.name.iter().position(|byte| *byte == 0);
        self.name.get(..used.unwrap_or(NAME_BYTES)).unwrap_or(&[])
    }
}

/// The number of the server whose `main` runs.
static STARTING: AtomicU32 = AtomicU32::new(0);

/// The number of the server whose `main` runs; of the last one when all have run.
pub(crate) fn starting() -> u32 {
    STARTING.load(Relaxed)
}

/// Makes a server of the given `fn()`, under the name by which manifests give it a home.
///
/// The function sets the server up, says what it serves, and returns. When all servers of the home
/// have done so, the home takes calls for as long as the machine runs. On the host it defines nothing.
///
/// Registered in assembly because each server must be a section of its own for the link to keep some
/// and drop others.
#[macro_export]
macro_rules! server {
    ($name:literal, $main:path) => {
        #[cfg(kiln_freestanding)]
        extern "sysv64" fn kiln_server_start() {
            let main: fn() = $main;
            main();
        }

        #[cfg(kiln_freestanding)]
        const _: () = assert!($name.len() <= $crate::home::NAME_BYTES);

        #[cfg(kiln_freestanding)]
        ::core::arch::global_asm!(
            concat!(
                ".section kiln_servers.", $name, ", \"a\", @progbits\n",
                ".balign 8\n",
                ".globl KILN_SERVER_", $name, "\n",
                ".type KILN_SERVER_", $name, ", @object\n",
                "KILN_SERVER_", $name, ":\n",
                ".quad {start}\n",
                "772: .ascii \"", $name, "\"\n",
                ".skip {name_bytes} - (. - 772b)\n",
                ".size KILN_SERVER_", $name, ", . - KILN_SERVER_", $name, "\n",
            ),
            start = sym kiln_server_start,
            name_bytes = const $crate::home::NAME_BYTES,
        );
    };
}

/// Defines the entry of a component with the servers that are linked with it.
#[macro_export]
macro_rules! home {
    () => {
        $crate::component!($crate::home::start_all);
    };
}

#[cfg(kiln_freestanding)]
core::arch::global_asm!(
    r#"
    .section .rodata.kiln_server_range, "a", @progbits
    .balign 8
    .weak __start_kiln_servers
    .weak __stop_kiln_servers
    .globl kiln_server_range
kiln_server_range:
    .quad __start_kiln_servers
    .quad __stop_kiln_servers
    "#
);

/// The servers that were linked into this home.
fn servers() -> &'static [Server] {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_server_range: [*const Server; 2];
        }
        // SAFETY: the linker delimits an array of `Server`s, or leaves both ends null: the symbols
        // are weak, so that a component without servers links.
        unsafe {
            let [start, stop] = kiln_server_range;
            let count = (stop as usize - start as usize) / size_of::<Server>();
            if !start.is_null() && count > 0 {
                return core::slice::from_raw_parts(start, count);
            }
        }
    }
    &[]
}

/// Starts the servers that live here, one after the other: the `main` of a home.
///
/// # Panics
/// If one was not linked; then the image does not fit its configuration.
pub fn start_all() {
    for (number, name) in (0..).zip(crate::startup().hosted()) {
        let server = servers()
            .iter()
            .find(|server| server.name() == name.as_bytes());
        let Some(server) = server else {
            panic!("there is no server `{name}` in this home");
        };
        STARTING.store(number, Relaxed);
        (server.start)();
    }
}
