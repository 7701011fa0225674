//! Virtio devices on PCI, by the modern standard only.

use virtio_drivers::transport::DeviceType;

use super::Kind;
use super::pci_structures::Structures;
use super::pci_transport::PciTransport;
use crate::pci::ports::Ports;
use crate::pci::walk::{self, Function};
use crate::pci::{
    COMMAND, COMMAND_BUS_MASTER, COMMAND_MEMORY, COMMAND_NO_LINE, ConfigurationAccess,
    DeviceFunction,
};

/// Who makes virtio devices.
const VENDOR: u16 = 0x1af4;

/// The first answer of `visit`, which is called for each device of a kind.
///
/// # Safety
/// Called at [`Stage::Device`](kiln_kernel::device::Stage::Device); nobody else uses devices of
/// this kind.
pub unsafe fn find_map<R>(
    kind: Kind,
    mut ports: Ports,
    mut visit: impl FnMut(PciTransport, DeviceFunction) -> Option<R>,
) -> Option<R> {
    walk::find_map(&ports.clone(), |function| {
        if !is_of_kind(&function, kind) {
            return None;
        }
        // SAFETY: the caller's word.
        let transport = unsafe { attach(&mut ports, function.place, kind) }?;
        visit(transport, function.place)
    })
}

/// Whether a function is a virtio device of a kind, purely modern or transitional (section
/// 4.1.2.1).
fn is_of_kind(function: &Function, kind: Kind) -> bool {
    let transitional = match kind {
        Kind::Entropy => 0x1005,
    };
    function.vendor == VENDOR
        && function.header == 0
        && [0x1040 + kind as u16, transitional].contains(&function.device)
}

/// # Safety
/// As for [`find_map`], and a virtio device of this kind is at `place`.
unsafe fn attach(ports: &mut Ports, place: DeviceFunction, kind: Kind) -> Option<PciTransport> {
    let structures = Structures::find(ports, place)
        .inspect_err(|unusable| kiln_kernel::error!("virtio at PCI {place}: {unusable}"))
        .ok()?;
    // The status half is cleared by writing ones, so it is written as zero.
    let command = ports.read_word(place, COMMAND) & 0xffff;
    let command = command | COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_NO_LINE;
    ports.write_word(place, COMMAND, command);
    let kind = match kind {
        Kind::Entropy => DeviceType::EntropySource,
    };
    // SAFETY: the caller's word; the device's memory registers answer now.
    let transport = unsafe { PciTransport::new(kind, &structures) };
    if transport.is_none() {
        let base = structures.common.base;
        kiln_kernel::error!("virtio at PCI {place}: registers at {base:#x} cannot be mapped");
    }
    transport
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_sources_are_known_by_both_numbers() {
        let place = DeviceFunction {
            bus: 0,
            device: 3,
            function: 0,
        };
        let is = |vendor, device, header| {
            let function = Function {
                place,
                vendor,
                device,
                header,
            };
            is_of_kind(&function, Kind::Entropy)
        };
        assert!(is(0x1af4, 0x1044, 0) && is(0x1af4, 0x1005, 0));
        assert!(!is(0x1af4, 0x1041, 0) && !is(0x8086, 0x1044, 0) && !is(0x1af4, 0x1044, 1));
    }
}
