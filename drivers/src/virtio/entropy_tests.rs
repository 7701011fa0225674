//! Devices that answer, answer strangely, or do not answer.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::vec::Vec;

use virtio_drivers::transport::{DeviceType, InterruptStatus};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;

std::thread_local! {
    static PAGES: Cell<usize> = const { Cell::new(0) };
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A clock that goes on by a millisecond when it is looked at.
fn clock() -> u64 {
    NOW.set(NOW.get() + 1_000_000);
    NOW.get()
}

/// Memory whose physical addresses are its addresses.
struct HostMemory;

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * virtio_drivers::PAGE_SIZE, virtio_drivers::PAGE_SIZE).unwrap()
}

// SAFETY: the global allocator gives out what nobody else has; the layout is page-aligned.
unsafe impl Hal for HostMemory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        PAGES.set(PAGES.get() + pages);
        // SAFETY: the layout is not empty.
        let pointer = NonNull::new(unsafe { alloc_zeroed(layout(pages)) }).unwrap();
        (pointer.as_ptr() as PhysAddr, pointer)
    }

    unsafe fn dma_dealloc(_: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        PAGES.set(PAGES.get() - pages);
        // SAFETY: allocated above with the same layout.
        unsafe { dealloc(pointer.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        panic!("the device has no registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// How a made-up device behaves.
#[derive(Clone)]
struct Device {
    /// What it writes to each request, and how much it says that it wrote; then it is silent.
    answers: Vec<(u8, u32)>,
    /// It can be reset this many times.
    resets: u32,
    accepts_features: bool,
    legacy: bool,
    /// It says that it used another descriptor.
    confused: bool,
    queue_size: u32,
    features: u64,
    accepted: u64,
    status: DeviceStatus,
    queue: [u64; 3],
}

impl Device {
    fn new(answers: &[(u8, u32)]) -> Self {
        Self {
            answers: answers.to_vec(),
            resets: u32::MAX,
            accepts_features: true,
            legacy: false,
            confused: false,
            queue_size: 8,
            features: u64::MAX,
            accepted: 0,
            status: DeviceStatus::DRIVER_OK,
            queue: [0; 3],
        }
    }
}

impl Transport for &mut Device {
    fn device_type(&self) -> DeviceType {
        DeviceType::EntropySource
    }

    fn read_device_features(&mut self) -> u64 {
        self.features
    }

    fn write_driver_features(&mut self, features: u64) {
        self.accepted = features;
    }

    fn max_queue_size(&mut self, _: u16) -> u32 {
        self.queue_size
    }

    fn notify(&mut self, queue: u16) {
        assert_eq!(queue, 0);
        assert!(self.status.contains(DeviceStatus::DRIVER_OK));
        if self.answers.is_empty() {
            return;
        }
        let (value, length) = self.answers.remove(0);
        let [descriptors, available, used] = self.queue;
        // SAFETY: the queue's memory, laid out as in section 2.7; nobody else touches it now.
        unsafe {
            let count = (used as *const u16).add(1).read();
            assert_eq!((available as *const u16).add(1).read(), count + 1);
            let slot = usize::from(count) % DESCRIPTORS;
            let head = (available as *const u16).add(2 + slot).read();
            let descriptor = descriptors + 16 * u64::from(head);
            let buffer = (descriptor as *const u64).read() as *mut u8;
            let size = (descriptor as *const u32).add(2).read();
            buffer.write_bytes(value, size.min(length) as usize);
            let element = (used as *mut u32).add(1 + 2 * slot);
            element.write(u32::from(head) + u32::from(self.confused));
            element.add(1).write(length);
            (used as *mut u16).add(1).write(count + 1);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        self.status
    }

    fn set_status(&mut self, status: DeviceStatus) {
        if status.is_empty() {
            let Some(left) = self.resets.checked_sub(1) else {
                return;
            };
            self.resets = left;
        }
        self.status = status;
        if !self.accepts_features {
            self.status.remove(DeviceStatus::FEATURES_OK);
        }
    }

    fn set_guest_page_size(&mut self, size: u32) {
        assert_eq!(size, 4096);
    }

    fn requires_legacy_layout(&self) -> bool {
        self.legacy
    }

    fn queue_set(&mut self, _: u16, size: u32, a: PhysAddr, b: PhysAddr, c: PhysAddr) {
        assert_eq!(size, DESCRIPTORS as u32);
        self.queue = [a, b, c];
    }

    fn queue_unset(&mut self, _: u16) {
        panic!("not every device can do that");
    }

    fn queue_used(&mut self, _: u16) -> bool {
        false
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        panic!("nobody enabled interrupts")
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> Result<T> {
        Err(Error::ConfigSpaceMissing)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(Error::ConfigSpaceMissing)
    }
}

/// What is collected from a device, what became of the device, and how many pages it keeps.
fn ask(mut device: Device) -> (core::result::Result<Vec<u8>, Problem>, Device, usize) {
    let before = PAGES.get();
    let mut bytes = [0; BYTES];
    let result = collect::<HostMemory, _>(&mut device, clock, &mut bytes)
        .map(|count| bytes[..count].to_vec());
    (result, device, PAGES.get() - before)
}

#[test]
fn a_full_answer_is_taken_and_the_device_is_reset() {
    let (result, device, kept) = ask(Device::new(&[(7, 64)]));
    assert_eq!(result, Ok([7; 64].to_vec()));
    assert!(device.status.is_empty());
    assert_eq!(kept, 0);
    let known = Feature::VERSION_1 | Feature::ACCESS_PLATFORM;
    assert_eq!(device.accepted, known.bits());
}

#[test]
fn short_answers_are_put_together() {
    let (result, _, kept) = ask(Device::new(&[(1, 10), (2, 20), (3, 34)]));
    let expected = [[1; 10].as_slice(), &[2; 20], &[3; 34]].concat();
    assert_eq!(result, Ok(expected));
    assert_eq!(kept, 0);
}

#[test]
fn what_came_before_silence_counts() {
    assert_eq!(ask(Device::new(&[(1, 10)])).0, Ok([1; 10].to_vec()));
    assert_eq!(ask(Device::new(&[(1, 10), (0, 0)])).0, Ok([1; 10].to_vec()));
}

#[test]
fn a_silent_device_is_given_up_and_frees_its_memory() {
    let start = NOW.get();
    let (result, device, kept) = ask(Device::new(&[]));
    assert_eq!(result, Err(Problem::Silent));
    assert!(device.status.is_empty());
    assert_eq!(kept, 0);
    assert!(NOW.get() - start < 3 * PATIENCE_NS);
}

#[test]
fn a_stopped_clock_is_no_endless_wait() {
    let mut patience = Patience::new(|| 5);
    patience.looks = 1000;
    assert!(!patience.wait_for(|| false));
    assert!(!patience.wait_for(|| true));
}

#[test]
fn a_device_that_hangs_keeps_its_memory_and_no_more_is_given() {
    let mut hung = Device::new(&[]);
    hung.resets = 1;
    let (result, _, kept) = ask(hung.clone());
    assert_eq!(result, Err(Problem::Silent));
    assert!(kept > 0);
    hung.resets = 0;
    let (result, _, kept) = ask(hung);
    assert_eq!(result, Err(Problem::NoReset));
    assert_eq!(kept, 0);
}

#[test]
fn strange_devices_are_told() {
    let refuse = |change: fn(&mut Device)| {
        let mut device = Device::new(&[(9, 64)]);
        change(&mut device);
        let (result, device, kept) = ask(device);
        assert!(device.status.is_empty());
        assert_eq!(kept, 0);
        result.unwrap_err()
    };
    assert_eq!(
        refuse(|device| device.accepts_features = false),
        Problem::Features
    );
    assert_eq!(
        refuse(|device| device.queue_size = 0),
        Problem::Queue(Error::InvalidParam)
    );
    assert_eq!(
        refuse(|device| device.confused = true),
        Problem::Queue(Error::WrongToken)
    );
}

#[test]
fn an_answer_longer_than_the_buffer_is_cut() {
    let (result, _, kept) = ask(Device::new(&[(5, u32::MAX)]));
    assert_eq!(result, Ok([5; 64].to_vec()));
    assert_eq!(kept, 0);
}

#[test]
fn devices_older_than_the_standard_are_used_as_well() {
    let mut device = Device::new(&[(6, 64)]);
    device.legacy = true;
    device.accepts_features = false;
    device.features = 0;
    let (result, device, kept) = ask(device);
    assert_eq!(result, Ok([6; 64].to_vec()));
    assert_eq!((device.accepted, kept), (0, 0));
}
