//! Virtio devices whose registers are just there in memory: microvm, Firecracker.
//!
//! The command line says where. QEMU's microvm says so only without ACPI, else in a definition
//! block, which takes an interpreter to read; so where there is neither a parameter nor PCI,
//! microvm's fixed places are looked at. They are checked by the devices' magic number, and on
//! another machine without PCI nothing answers there. Source: section 4.2.

use kiln_kernel::boot::{self, BootInformation};
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

use super::Kind;
use super::parameter::{self, Malformed};
use crate::device_memory::{self, LARGEST, Registers};

/// Where microvm puts its devices, how many bytes each has, and how many there can be.
const FIXED: u64 = 0xfeb0_0000;
const FIXED_BYTES: u64 = 512;
const FIXED_COUNT: u64 = 24;

const MAGIC: usize = 0x000;
const DEVICE: usize = 0x008;
/// What the magic register holds: "virt".
const MAGIC_VALUE: u32 = 0x7472_6976;

/// The first answer of `visit`, which is called for each device of a kind.
///
/// # Safety
/// Called at [`Stage::Device`](kiln_kernel::device::Stage::Device); nobody else uses devices of
/// this kind.
pub unsafe fn find_map<R>(
    kind: Kind,
    has_pci: bool,
    mut visit: impl FnMut(MmioTransport<'static>, u64) -> Option<R>,
) -> Option<R> {
    let command_line = boot::information().command_line();
    let mut named = parameter::devices(command_line).peekable();
    let places = if named.peek().is_some() || has_pci {
        0
    } else {
        FIXED_COUNT
    };
    let fixed = (0..places).map(|number| {
        Ok(Registers {
            base: FIXED + number * FIXED_BYTES,
            bytes: FIXED_BYTES,
        })
    });
    for device in named.chain(fixed) {
        // SAFETY: the caller's word.
        match unsafe { attach(device, kind) } {
            Attached::Found(transport, base) => {
                let answer = visit(transport, base);
                if answer.is_some() {
                    return answer;
                }
            }
            // Microvm's places have no holes.
            Attached::Nothing if places != 0 => break,
            Attached::Nothing | Attached::OfAnotherKind => {}
        }
    }
    None
}

/// Whether the loader's memory list says that there is memory.
fn is_memory(information: &BootInformation, registers: Registers) -> bool {
    let end = registers.base.saturating_add(registers.bytes);
    information
        .usable_memory()
        .any(|range| range.start < end && registers.base < range.end)
}

enum Attached {
    Nothing,
    OfAnotherKind,
    Found(MmioTransport<'static>, u64),
}

/// Looks who answers; a device of another kind is not touched, since it may be in use.
///
/// # Safety
/// As for [`find_map`].
unsafe fn attach(device: Result<Registers, Malformed<'_>>, kind: Kind) -> Attached {
    let registers = match device {
        Ok(registers) => Registers {
            bytes: registers.bytes.min(LARGEST),
            ..registers
        },
        Err(malformed) => {
            let text = core::str::from_utf8(malformed.0).unwrap_or("?");
            kiln_kernel::error!("virtio_mmio.device={text}: not understood");
            return Attached::Nothing;
        }
    };
    let base = registers.base;
    if is_memory(boot::information(), registers) {
        kiln_kernel::error!("virtio_mmio: there is memory at {base:#x}");
        return Attached::Nothing;
    }
    // SAFETY: the stage is the caller's word. That a device is there is the loader's, or nothing
    // is; memory is not.
    let Some(mapped) = (unsafe { device_memory::map(registers) }) else {
        kiln_kernel::error!("virtio_mmio: {base:#x} cannot be mapped");
        return Attached::Nothing;
    };
    // SAFETY: both registers are mapped and may be read at any time.
    let read = |offset| unsafe { mapped.byte_add(offset).cast::<u32>().read_volatile() };
    if read(MAGIC) != MAGIC_VALUE {
        return Attached::Nothing;
    }
    if read(DEVICE) != u32::from(kind as u16) {
        return Attached::OfAnotherKind;
    }
    let bytes = registers.bytes as usize;
    // SAFETY: all mapped for good, and a device of a kind that nobody else uses.
    match unsafe { MmioTransport::new(mapped.cast::<VirtIOHeader>(), bytes) } {
        Ok(transport) => Attached::Found(transport, base),
        Err(_) => {
            kiln_kernel::error!("virtio at {base:#x}: registers of an unknown version");
            Attached::OfAnotherKind
        }
    }
}
