//! Virtio devices whose registers are just there in memory: microvm, Firecracker.
//!
//! The command line says where. QEMU's microvm says so only without ACPI, else in a definition
//! block, which takes an interpreter to read; so where there is neither a parameter nor PCI,
//! microvm's fixed places are looked at. They are checked by the devices' magic number, and on
//! another machine without PCI nothing answers there. Source: section 4.2.

use core::ptr::NonNull;

use kiln_kernel::boot::{self, BootInformation};
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

use super::{Kind, parameter};
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
    let information = boot::information();
    let mut named = false;
    for device in parameter::devices(information.command_line()) {
        named = true;
        let registers = match device {
            Ok(registers) if is_memory(information, registers) => {
                let base = registers.base;
                kiln_kernel::error!("virtio_mmio.device: there is memory at {base:#x}");
                continue;
            }
            Ok(registers) => Registers {
                bytes: registers.bytes.min(LARGEST),
                ..registers
            },
            Err(malformed) => {
                let text = core::str::from_utf8(malformed.0).unwrap_or("?");
                kiln_kernel::error!("virtio_mmio.device={text}: not understood");
                continue;
            }
        };
        // SAFETY: the stage is the caller's word, and the loader's that a device is there.
        let Some(mapped) = (unsafe { device_memory::map(registers) }) else {
            let base = registers.base;
            kiln_kernel::error!("virtio_mmio.device: {base:#x} cannot be mapped");
            continue;
        };
        // SAFETY: these are the mapped registers, all of them.
        let found = unsafe { attach(mapped, registers.bytes, kind) };
        if let Attached::Found(transport) = found
            && let Some(answer) = visit(transport, registers.base)
        {
            return Some(answer);
        }
    }
    if named || has_pci {
        return None;
    }
    let all = Registers {
        base: FIXED,
        bytes: FIXED_BYTES * FIXED_COUNT,
    };
    if is_memory(information, all) {
        return None;
    }
    // SAFETY: the stage is the caller's word; that there is no memory has been looked up.
    let mapped = unsafe { device_memory::map(all) }?;
    for number in 0..FIXED_COUNT {
        let offset = number * FIXED_BYTES;
        // SAFETY: within what has been mapped.
        let found = unsafe { attach(mapped.byte_add(offset as usize), FIXED_BYTES, kind) };
        match found {
            Attached::Found(transport) => {
                if let Some(answer) = visit(transport, FIXED + offset) {
                    return Some(answer);
                }
            }
            Attached::OfAnotherKind => {}
            // Microvm's places have no holes.
            Attached::Nothing => break,
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
    Found(MmioTransport<'static>),
}

/// Looks who answers; a device of another kind is not touched, since it may be in use.
///
/// # Safety
/// `bytes` bytes of a device's registers, or of nothing, are mapped for good at `registers`.
unsafe fn attach(registers: NonNull<u8>, bytes: u64, kind: Kind) -> Attached {
    // SAFETY: both registers are mapped and may be read at any time.
    let read = |offset| unsafe { registers.byte_add(offset).cast::<u32>().read_volatile() };
    if read(MAGIC) != MAGIC_VALUE {
        return Attached::Nothing;
    }
    if read(DEVICE) != u32::from(kind as u16) {
        return Attached::OfAnotherKind;
    }
    // SAFETY: mapped for good, and a device of a kind that nobody else uses.
    let made = unsafe { MmioTransport::new(registers.cast::<VirtIOHeader>(), bytes as usize) };
    match made {
        Ok(transport) => Attached::Found(transport),
        Err(_) => {
            kiln_kernel::error!("virtio: registers of an unknown version");
            Attached::OfAnotherKind
        }
    }
}
