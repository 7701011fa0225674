//! A virtio PCI device's registers, as the queue code wants them.
//!
//! The crate has a transport of its own. It measures base address registers, which takes the
//! device off the bus several times, and it trusts the device: lists may be rings, a notification
//! offset may be anywhere, a reset may take for ever. This one is made from structures that have
//! been checked. Source: section 4.1.4.

use core::ptr::NonNull;

use safe_mmio::fields::{ReadOnly, ReadPure, ReadPureWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::pci_structures::Structures;
use crate::device_memory::{self, Registers};

/// The common configuration structure, section 4.1.4.3. Quad words are written in halves, as
/// section 4.1.3.1 demands.
#[repr(C)]
struct Common {
    device_feature_select: ReadPureWrite<u32>,
    device_feature: ReadPure<u32>,
    driver_feature_select: ReadPureWrite<u32>,
    driver_feature: ReadPureWrite<u32>,
    configuration_vector: ReadPureWrite<u16>,
    queues: ReadPure<u16>,
    status: ReadPureWrite<u8>,
    generation: ReadPure<u8>,
    queue_select: ReadPureWrite<u16>,
    queue_size: ReadPureWrite<u16>,
    queue_vector: ReadPureWrite<u16>,
    queue_enable: ReadPureWrite<u16>,
    queue_notification: ReadPure<u16>,
    queue_descriptors: [ReadPureWrite<u32>; 2],
    queue_driver: [ReadPureWrite<u32>; 2],
    queue_device: [ReadPureWrite<u32>; 2],
}

/// A device's registers.
#[derive(Debug)]
pub struct PciTransport {
    kind: DeviceType,
    common: UniqueMmioPointer<'static, Common>,
    notification: UniqueMmioPointer<'static, [WriteOnly<u16>]>,
    multiplier: usize,
    interrupt: UniqueMmioPointer<'static, ReadOnly<u8>>,
}

impl PciTransport {
    /// Maps a device's structures; `None` if that cannot be.
    ///
    /// # Safety
    /// Called at [`Stage::Device`](kiln_kernel::device::Stage::Device). The structures are those
    /// of a virtio device whose memory registers answer, and nobody else uses it.
    #[must_use]
    pub unsafe fn new(kind: DeviceType, structures: &Structures) -> Option<Self> {
        // SAFETY: the caller's word.
        let map = |registers: Registers| unsafe { device_memory::map(registers) };
        let common = map(structures.common)?;
        let notification = map(structures.notification)?;
        let interrupt = map(structures.interrupt)?;
        let notification_bytes = usize::try_from(structures.notification.bytes).ok()?;
        // SAFETY: each is mapped for good, is aligned and has the size of its structure, which
        // `Structures` has checked; nobody else uses the registers.
        Some(unsafe {
            Self::over(
                kind,
                common.cast(),
                NonNull::slice_from_raw_parts(notification.cast(), notification_bytes / 2),
                structures.notification_multiplier,
                interrupt.cast(),
            )
        })
    }

    /// # Safety
    /// The pointers are to registers that stay mapped and that nobody else uses.
    unsafe fn over(
        kind: DeviceType,
        common: NonNull<Common>,
        notification: NonNull<[WriteOnly<u16>]>,
        multiplier: u32,
        interrupt: NonNull<ReadOnly<u8>>,
    ) -> Self {
        // SAFETY: the caller's word.
        unsafe {
            Self {
                kind,
                common: UniqueMmioPointer::new(common),
                notification: UniqueMmioPointer::new(notification),
                multiplier: multiplier as usize,
                interrupt: UniqueMmioPointer::new(interrupt),
            }
        }
    }

    fn select(&mut self, queue: u16) {
        field!(self.common, queue_select).write(queue);
    }
}

/// Writes an address in halves.
fn write_halves(mut halves: UniqueMmioPointer<'_, [ReadPureWrite<u32>; 2]>, address: PhysAddr) {
    for (index, half) in [address as u32, (address >> 32) as u32]
        .into_iter()
        .enumerate()
    {
        if let Some(mut place) = halves.get(index) {
            place.write(half);
        }
    }
}

impl Transport for PciTransport {
    fn device_type(&self) -> DeviceType {
        self.kind
    }

    fn read_device_features(&mut self) -> u64 {
        let mut half = |index| {
            field!(self.common, device_feature_select).write(index);
            u64::from(field_shared!(self.common, device_feature).read())
        };
        half(0) | half(1) << 32
    }

    fn write_driver_features(&mut self, features: u64) {
        for (index, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            field!(self.common, driver_feature_select).write(index);
            field!(self.common, driver_feature).write(half);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.select(queue);
        field_shared!(self.common, queue_size).read().into()
    }

    /// A place outside the structure is not written to: that device is never told.
    fn notify(&mut self, queue: u16) {
        self.select(queue);
        let place = usize::from(field_shared!(self.common, queue_notification).read());
        if let Some(offset) = place.checked_mul(self.multiplier)
            && offset.is_multiple_of(2)
            && let Some(mut place) = self.notification.get(offset / 2)
        {
            place.write(queue);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(field_shared!(self.common, status).read().into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        field!(self.common, status).write(status.bits() as u8);
    }

    /// Only devices older than this transport's standard want to know.
    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.select(queue);
        field!(self.common, queue_size).write(size as u16);
        write_halves(field!(self.common, queue_descriptors), descriptors);
        write_halves(field!(self.common, queue_driver), driver_area);
        write_halves(field!(self.common, queue_device), device_area);
        field!(self.common, queue_enable).write(1);
    }

    /// Queues stay until the device is reset (section 4.1.4.3.2).
    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.select(queue);
        field_shared!(self.common, queue_enable).read() != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        // Reading takes the interrupt back.
        InterruptStatus::from_bits_truncate(self.interrupt.read().into())
    }

    fn read_config_generation(&self) -> u32 {
        field_shared!(self.common, generation).read().into()
    }

    /// The devices that use this transport have no configuration of their own.
    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> Result<T> {
        Err(Error::ConfigSpaceMissing)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(Error::ConfigSpaceMissing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers that are plain memory.
    struct Memory {
        common: [u32; 14],
        notification: [u16; 4],
        interrupt: u8,
    }

    impl Memory {
        fn transport(&mut self, multiplier: u32) -> PciTransport {
            let pointer = NonNull::from(&mut self.notification).cast();
            // SAFETY: the tests look at the memory only when the transport is gone.
            unsafe {
                PciTransport::over(
                    DeviceType::EntropySource,
                    NonNull::from(&mut self.common).cast(),
                    NonNull::slice_from_raw_parts(pointer, 4),
                    multiplier,
                    NonNull::from(&mut self.interrupt).cast(),
                )
            }
        }
    }

    fn memory() -> Memory {
        Memory {
            common: [0; 14],
            notification: [0xffff; 4],
            interrupt: 0,
        }
    }

    #[test]
    fn the_structure_is_that_of_the_standard() {
        assert_eq!(size_of::<Common>(), 56);
        assert_eq!(core::mem::offset_of!(Common, status), 20);
        assert_eq!(core::mem::offset_of!(Common, queue_notification), 30);
        assert_eq!(core::mem::offset_of!(Common, queue_device), 48);
    }

    #[test]
    fn a_queue_is_set_up_in_halves() {
        let mut memory = memory();
        let (a, b, c) = (0x1_2345_6000, 0x2_0000_1000, 0x3_0000_2000);
        memory.transport(4).queue_set(3, 8, a, b, c);
        assert_eq!(memory.common[8..], [0x2345_6000, 1, 0x1000, 2, 0x2000, 3]);
        // Selected queue, size, vector, enable.
        assert_eq!(memory.common[5] >> 16, 3);
        assert_eq!(memory.common[6] & 0xffff, 8);
        assert_eq!(memory.common[7] & 0xffff, 1);
    }

    #[test]
    fn notifications_stay_in_their_structure() {
        let notify = |place: u32, multiplier| {
            let mut memory = memory();
            memory.common[7] = place << 16;
            memory.transport(multiplier).notify(0);
            memory.notification
        };
        assert_eq!(notify(1, 4), [0xffff, 0xffff, 0, 0xffff]);
        assert_eq!(notify(0xffff, 0), [0, 0xffff, 0xffff, 0xffff]);
        for (place, multiplier) in [(2, 4), (1, 3), (0xffff, u32::MAX)] {
            assert_eq!(notify(place, multiplier), [0xffff; 4]);
        }
    }

    #[test]
    fn status_and_features_are_read_and_written() {
        let mut memory = memory();
        memory.common[1] = 0x8000_0001;
        let mut transport = memory.transport(0);
        assert_eq!(transport.read_device_features(), 0x8000_0001_8000_0001);
        transport.write_driver_features(0x3_0000_0000);
        transport.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::FAILED);
        assert!(transport.get_status().contains(DeviceStatus::FAILED));
        assert_eq!(memory.common[2..4], [1, 3]);
        assert_eq!(memory.common[5] & 0xff, 0x81);
    }
}
