//! Where drivers meet the kernel.
//!
//! Drivers live in a crate above this one. Each is one record in a section of its own, all named
//! `kiln_drivers`; the last link keeps those that the manifest names and puts them side by side,
//! and the kernel starts what it finds there.

pub mod console;

/// When a driver is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Stage {
    /// Before anything else, without interrupts or memory: channels for the kernel's messages.
    Channel,
    /// When memory, time and interrupts work.
    Device,
}

/// What a driver exports, by [`driver!`](crate::driver).
#[repr(C)]
pub struct Driver {
    /// Its start for a stage; called once for each stage, on the boot processor.
    start: extern "sysv64" fn(Stage) -> Outcome,
    name: [u8; NAME_BYTES],
}

/// Longest name of a driver, in bytes.
pub const NAME_BYTES: usize = 24;

impl Driver {
    /// The name by which a manifest chooses it.
    pub fn name(&self) -> &str {
        let used = self
            .name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.name[..used]).unwrap_or("?")
    }
}

/// What a driver's start has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Outcome {
    /// The device is in use, or has nothing to do at this stage.
    Ready,
    /// The device is not in this machine; not a fault.
    Absent,
}

/// Registers a driver: symbol `$symbol`, which a manifest makes a root of the link, the number of
/// the driver in its crate, its name, and its start.
///
/// Registered in assembly because each driver must be a section of its own for the link to keep
/// some and drop others, and a compiler puts all statics of one section name into one section.
#[macro_export]
macro_rules! driver {
    ($symbol:literal, $number:literal, $name:literal, $start:path) => {
        const _: extern "sysv64" fn($crate::device::Stage) -> $crate::device::Outcome = $start;
        const _: () = assert!($name.len() <= $crate::device::NAME_BYTES);
        #[cfg(kiln_freestanding)]
        ::core::arch::global_asm!(
            concat!(
                ".section kiln_drivers, \"a\", @progbits, unique, ", $number, "\n",
                ".balign 8\n",
                ".globl ", $symbol, "\n",
                ".type ", $symbol, ", @object\n",
                $symbol, ":\n",
                ".quad {start}\n",
                "771: .ascii \"", $name, "\"\n",
                ".skip {name_bytes} - (. - 771b)\n",
                ".size ", $symbol, ", . - ", $symbol, "\n",
            ),
            start = sym $start,
            name_bytes = const $crate::device::NAME_BYTES,
        );
    };
}

#[cfg(kiln_freestanding)]
core::arch::global_asm!(
    r#"
    .section .rodata.kiln_driver_range, "a", @progbits
    .balign 8
    .weak __start_kiln_drivers
    .weak __stop_kiln_drivers
    .globl kiln_driver_range
kiln_driver_range:
    .quad __start_kiln_drivers
    .quad __stop_kiln_drivers
    "#
);

/// The drivers in this image.
fn drivers() -> &'static [Driver] {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_driver_range: [*const Driver; 2];
        }
        // SAFETY: the linker delimits an array of `Driver`s, or leaves both ends null: the symbols
        // are weak, so that an image without drivers links.
        unsafe {
            let [start, stop] = kiln_driver_range;
            let count = (stop as usize - start as usize) / size_of::<Driver>();
            if !start.is_null() && count > 0 {
                return core::slice::from_raw_parts(start, count);
            }
        }
    }
    &[]
}

/// Starts what the image has for a stage; devices that are not there are passed over.
pub(crate) fn start(stage: Stage) {
    for driver in drivers() {
        if (driver.start)(stage) == Outcome::Absent {
            crate::info!("no device for driver {}", driver.name());
        }
    }
}
