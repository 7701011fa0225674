//! The read-only pages that the kernel lays out for a process: who it is, what it was told, time.

use kiln_object::configuration::Configuration;
use kiln_object::startup::{KernelInformation, Startup};

/// What the kernel wrote for this process before it started.
///
/// On the host: a block that names no object, no server and no client.
#[must_use]
#[inline]
pub fn startup() -> &'static Startup {
    source::startup()
}

/// The configuration of the image; empty on the host.
#[must_use]
pub fn configuration() -> Configuration<'static> {
    Configuration::new(source::configuration())
}

/// The page that the kernel keeps up to date: see [`time`](crate::time).
#[must_use]
#[inline]
pub fn kernel_information() -> &'static KernelInformation {
    source::kernel_information()
}

#[cfg(kiln_kernel)]
use crate::kernel_home as source;

#[cfg(all(kiln_freestanding, not(kiln_kernel)))]
mod source {
    use core::ptr::with_exposed_provenance;

    use kiln_object::layout::{CONFIGURATION_BASE, KERNEL_INFORMATION_BASE, STARTUP_BASE};

    use super::{KernelInformation, Startup};

    #[inline(always)]
    pub fn startup() -> &'static Startup {
        // SAFETY: the kernel maps an aligned `Startup` there, read-only and for as long as the
        // process lives; any bytes are a valid `Startup`, and what the kernel changes is atomic.
        unsafe { &*with_exposed_provenance::<Startup>(STARTUP_BASE as usize) }
    }

    pub fn configuration() -> &'static [u8] {
        let length = startup().configuration_bytes as usize;
        if length == 0 {
            return &[];
        }
        // SAFETY: the kernel maps as many bytes there, read-only, for as long as the process lives.
        unsafe {
            core::slice::from_raw_parts(
                with_exposed_provenance::<u8>(CONFIGURATION_BASE as usize),
                length,
            )
        }
    }

    #[inline(always)]
    pub fn kernel_information() -> &'static KernelInformation {
        // SAFETY: the kernel maps the page there for as long as the process lives; it holds atomics
        // only, so the kernel may write while we read.
        unsafe { &*with_exposed_provenance::<KernelInformation>(KERNEL_INFORMATION_BASE as usize) }
    }
}

#[cfg(not(kiln_freestanding))]
mod source {
    use core::sync::atomic::AtomicU64;

    use kiln_object::ProcessId;

    use super::{KernelInformation, Startup};

    static STARTUP: Startup = {
        let mut startup = Startup::new();
        startup.process = ProcessId::new(1, 1);
        startup.memory_bytes = 64 << 20;
        startup
    };

    static INFORMATION: KernelInformation = KernelInformation {
        version: AtomicU64::new(0),
        tsc_base: AtomicU64::new(0),
        ns_base: AtomicU64::new(0),
        multiplier: AtomicU64::new(1 << 32),
        wall_clock_offset: AtomicU64::new(1_600_000_000_000_000_000),
        cpus_online: AtomicU64::new(1),
        memory_free: AtomicU64::new(64 << 20),
        features: AtomicU64::new(0),
        deaths: AtomicU64::new(0),
    };

    pub fn startup() -> &'static Startup {
        &STARTUP
    }

    pub fn configuration() -> &'static [u8] {
        &[]
    }

    pub fn kernel_information() -> &'static KernelInformation {
        &INFORMATION
    }
}
