//! Driver `virtio_rng`: entropy from the host, once, at the start.
//!
//! The device is asked, waited for with a limit, and reset again. What it was given to write to is
//! freed only when it says that it has been reset: a device that hangs may still write later.
//! Source: section 5.4.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kiln_kernel::device::{Outcome, Stage};
use kiln_kernel::{random, time};
use virtio_drivers::device::common::Feature;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, Transport};
use virtio_drivers::{BufferDirection, Error, Hal};

use super::memory::Memory;
use super::{Kind, memory_mapped, pci};
use crate::pci::ports::Ports;

kiln_kernel::driver!("KILN_DRIVER_VIRTIO_RNG", 3, "virtio_rng", start);

/// The name in messages; apart from their texts, all of which share a section of every image.
const NAME: &str = "virtio_rng";
/// How much is asked for: twice what a key of the generator has.
const BYTES: usize = 64;
/// The device's only queue, and how many descriptors it gets.
const QUEUE: u16 = 0;
const DESCRIPTORS: usize = 2;
/// How long a device is waited for. A hypervisor answers within microseconds.
const PATIENCE_NS: u64 = 100_000_000;
/// How often it is looked at, should the clock stand still.
const MOST_LOOKS: u32 = 10_000_000;

extern "sysv64" fn start(stage: Stage) -> Outcome {
    if stage != Stage::Device {
        return Outcome::Ready;
    }
    let mut bytes = [0; BYTES];
    let mut seen = false;
    let ports = Ports::find();
    // SAFETY: this is the device stage, and this is the only driver of entropy sources.
    let mut count = unsafe {
        memory_mapped::find_map(Kind::Entropy, ports.is_some(), |transport, base| {
            seen = true;
            let result = collect::<Memory, _>(transport, time::monotonic_ns, &mut bytes);
            report(format_args!("{base:#x}"), result)
        })
    };
    if let (None, Some(ports)) = (count, ports) {
        // SAFETY: as above.
        count = unsafe {
            pci::find_map(Kind::Entropy, ports, |transport, place| {
                seen = true;
                let result = collect::<Memory, _>(transport, time::monotonic_ns, &mut bytes);
                report(format_args!("PCI {place}"), result)
            })
        };
    }
    if let Some(count) = count
        && let Some(bytes) = bytes.get(..count)
    {
        random::add_entropy(bytes);
    }
    // A device that is there but has nothing to give has been reported.
    if seen {
        Outcome::Ready
    } else {
        Outcome::Absent
    }
}

/// Logs what came of asking a device; how many bytes, if any.
fn report(place: fmt::Arguments<'_>, result: Result<usize, Problem>) -> Option<usize> {
    result
        .inspect(|count| {
            kiln_kernel::info!("{NAME}: {count} bytes of entropy from {place}, mixed in");
        })
        .inspect_err(|problem| {
            kiln_kernel::error!("{NAME}: no entropy from {place}: {problem}");
        })
        .ok()
}

/// Why there is no entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    /// The device does not come out of reset.
    NoReset,
    /// The device wants a feature that is not known.
    Features,
    /// There is no memory for queue or buffer.
    Memory,
    /// The queue cannot be set up or used.
    Queue(Error),
    /// The device took the request and did not answer.
    Silent,
}

/// Written out, because derived text of nested errors is a few KiB of an image.
impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::NoReset => "it cannot be reset",
            Self::Features => "it wants features that are not known",
            Self::Memory | Self::Queue(Error::DmaError) => "no memory for its queue",
            Self::Queue(Error::InvalidParam) => "it has no queue, or too small a one",
            Self::Queue(_) => "its queue is out of order",
            Self::Silent => "it does not answer",
        })
    }
}

/// Waits for something with a limit; true if it came.
struct Patience {
    clock: fn() -> u64,
    until: u64,
    looks: u32,
}

impl Patience {
    fn new(clock: fn() -> u64) -> Self {
        Self {
            clock,
            until: clock().saturating_add(PATIENCE_NS),
            looks: MOST_LOOKS,
        }
    }

    fn wait_for(&mut self, mut arrived: impl FnMut() -> bool) -> bool {
        while self.looks > 0 {
            if arrived() {
                return true;
            }
            if (self.clock)() >= self.until {
                return false;
            }
            self.looks -= 1;
            core::hint::spin_loop();
        }
        false
    }
}

/// Fills `into` from its start; answers how many bytes, at least one.
fn collect<H: Hal, T: Transport>(
    transport: T,
    clock: fn() -> u64,
    into: &mut [u8],
) -> Result<usize, Problem> {
    // Dropping a transport resets the device, but does not make sure of it.
    let mut transport = ManuallyDrop::new(transport);
    if !reset(&mut *transport, clock) {
        return Err(Problem::NoReset);
    }
    let (physical, buffer) = H::dma_alloc(1, BufferDirection::DeviceToDriver);
    if physical == 0 {
        return Err(Problem::Memory);
    }
    let mut queue = negotiate::<H>(&mut *transport).map(ManuallyDrop::new);
    let result = match &mut queue {
        Ok(queue) => {
            // SAFETY: the page is ours and given to this queue alone; it is freed below, after
            // the device has been reset.
            unsafe { fill(&mut *transport, queue, buffer, clock, into) }
        }
        Err(problem) => Err(*problem),
    };
    if reset(&mut *transport, clock) {
        if let Ok(queue) = queue {
            drop(ManuallyDrop::into_inner(queue));
        }
        // SAFETY: allocated above, and the device has let go of it. What it held is wiped.
        unsafe {
            buffer.write_bytes(0, into.len().min(virtio_drivers::PAGE_SIZE));
            H::dma_dealloc(physical, buffer, 1);
        }
    }
    result
}

/// Resets the device; false if it does not say so in time.
fn reset(transport: &mut impl Transport, clock: fn() -> u64) -> bool {
    transport.set_status(DeviceStatus::empty());
    Patience::new(clock).wait_for(|| transport.get_status().is_empty())
}

/// Agrees on features and sets the queue up (section 3.1.1).
fn negotiate<H: Hal>(transport: &mut impl Transport) -> Result<VirtQueue<H, DESCRIPTORS>, Problem> {
    // Some devices insist that the driver knows of a platform's translation of addresses; there
    // is none in use, which is one way of knowing.
    let known = Feature::VERSION_1 | Feature::ACCESS_PLATFORM;
    let mut status = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
    transport.set_status(status);
    let features = transport.read_device_features() & known.bits();
    transport.write_driver_features(features);
    if transport.requires_legacy_layout() {
        transport.set_guest_page_size(virtio_drivers::PAGE_SIZE as u32);
    } else {
        status |= DeviceStatus::FEATURES_OK;
        transport.set_status(status);
        if !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
            return Err(Problem::Features);
        }
    }
    let mut queue = VirtQueue::new(transport, QUEUE, false, false).map_err(Problem::Queue)?;
    queue.set_dev_notify(false);
    transport.set_status(status | DeviceStatus::DRIVER_OK);
    Ok(queue)
}

/// Asks until `into` is full or the device has been waited for long enough.
///
/// # Safety
/// `buffer` is a page of the caller's that stays until the device has been reset.
unsafe fn fill<H: Hal>(
    transport: &mut impl Transport,
    queue: &mut VirtQueue<H, DESCRIPTORS>,
    buffer: NonNull<u8>,
    clock: fn() -> u64,
    into: &mut [u8],
) -> Result<usize, Problem> {
    let mut patience = Patience::new(clock);
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let wanted = rest.len().min(virtio_drivers::PAGE_SIZE);
        // SAFETY: the page is as long and initialised, and is looked at nowhere else meanwhile.
        let page = || unsafe { core::slice::from_raw_parts_mut(buffer.as_ptr(), wanted) };
        // SAFETY: the caller's word: the page stays until it is popped or the device is reset.
        let token = unsafe { queue.add(&[], &mut [page()]) }.map_err(Problem::Queue)?;
        if queue.should_notify() {
            transport.notify(QUEUE);
        }
        if !patience.wait_for(|| queue.can_pop()) {
            break;
        }
        // SAFETY: the same buffer as was added.
        let written =
            unsafe { queue.pop_used(token, &[], &mut [page()]) }.map_err(Problem::Queue)?;
        // The device may say that it wrote more than it was given, or nothing.
        let written = (written as usize).min(wanted);
        if written == 0 {
            break;
        }
        for (offset, byte) in rest.iter_mut().take(written).enumerate() {
            // SAFETY: within the page. Volatile, since the compiler did not see it written.
            *byte = unsafe { buffer.add(offset).read_volatile() };
        }
        filled += written;
    }
    match filled {
        0 => Err(Problem::Silent),
        filled => Ok(filled),
    }
}

#[cfg(test)]
#[path = "entropy_tests.rs"]
mod tests;
