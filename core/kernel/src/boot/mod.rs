//! From a boot loader's hand-over to one description of the machine.
//!
//! Everything the loader says is copied out here, checked, and never looked at again.

#[cfg(kiln_freestanding)]
mod entry;
pub mod memory_map;
pub mod protocol;

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::set_once::FillOnce;
use memory_map::MemoryMap;

/// Size of the boot processor's stack in bytes; it stays that processor's kernel stack.
pub const BOOT_STACK_BYTES: usize = 32 * 1024;

/// Physical address for which the image's first byte is linked.
pub const LINK_BASE: u64 = kiln_image_format::PHYSICAL_BASE;

/// Longest command line that is kept, in bytes.
pub const COMMAND_LINE_BYTES: usize = 512;

/// The protocol by which the image was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Protocol {
    /// Xen's PVH boot ABI: QEMU, Firecracker, Cloud Hypervisor.
    Pvh = 1,
    /// Multiboot 0.6.96: QEMU's `-kernel`, older loaders.
    Multiboot1 = 2,
    /// Multiboot2: GRUB on BIOS and UEFI.
    Multiboot2 = 3,
}

impl Protocol {
    /// The protocol of an entry stub's number.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Pvh),
            2 => Some(Self::Multiboot1),
            3 => Some(Self::Multiboot2),
            _ => None,
        }
    }
}

/// The loader's command line, cut at [`COMMAND_LINE_BYTES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    bytes: [u8; COMMAND_LINE_BYTES],
    used: usize,
}

impl CommandLine {
    /// An empty line.
    pub const EMPTY: Self = Self {
        bytes: [0; COMMAND_LINE_BYTES],
        used: 0,
    };

    /// Adds a byte; false if there is no room.
    fn push(&mut self, byte: u8) -> bool {
        let Some(place) = self.bytes.get_mut(self.used) else {
            return false;
        };
        *place = byte;
        self.used += 1;
        true
    }

    /// The line's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or(&[])
    }
}

/// The machine as the loader described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootInformation {
    memory: MemoryMap,
    command_line: CommandLine,
    root_pointer: Option<u64>,
    image_start: u64,
    image_end: u64,
}

impl BootInformation {
    pub(crate) const EMPTY: Self = Self {
        memory: MemoryMap::EMPTY,
        command_line: CommandLine::EMPTY,
        root_pointer: None,
        image_start: 0,
        image_end: 0,
    };

    /// Physical memory that nobody uses, in order; neither the image nor anything reserved.
    pub fn usable_memory(&self) -> impl Iterator<Item = Range<u64>> + Clone + '_ {
        self.memory.ranges()
    }

    /// The physical end of that memory.
    #[inline(never)]
    pub fn memory_end(&self) -> u64 {
        self.usable_memory().last().map_or(0, |range| range.end)
    }

    /// What the loader was told to pass on.
    pub fn command_line(&self) -> &[u8] {
        self.command_line.as_bytes()
    }

    /// Physical address of ACPI's root pointer, if the loader knows it.
    pub fn root_pointer(&self) -> Option<u64> {
        self.root_pointer
    }

    /// Physical address of the image's first byte.
    pub fn image_start(&self) -> u64 {
        self.image_start
    }

    /// Physical end of the image, its zeroed part included.
    pub fn image_end(&self) -> u64 {
        self.image_end
    }
}

static INFORMATION: FillOnce<BootInformation> = FillOnce::new(BootInformation::EMPTY);
static MOVED_BY: AtomicU64 = AtomicU64::new(0);

/// What the loader handed over.
///
/// # Panics
/// Before it has been read, which is the first thing the kernel does.
pub fn information() -> &'static BootInformation {
    INFORMATION.get().expect("the hand-over is read first")
}

/// Whether a word of a command line may begin so; whoever asks looks closer then. Short code: most
/// machines are asked for nothing.
#[inline(never)]
pub fn may_ask(mut command_line: &[u8], start: &[u8]) -> bool {
    while let [_, rest @ ..] = command_line {
        if command_line.starts_with(start) {
            return true;
        }
        command_line = rest;
    }
    false
}

/// Whether there is an [`information`] yet.
pub fn is_initialised() -> bool {
    INFORMATION.is_filled()
}

/// Physical address of something in the kernel's own image.
pub fn physical_of(linked: *const u8) -> u64 {
    (linked as u64)
        .wrapping_sub(kiln_image_format::KERNEL_OFFSET)
        .wrapping_add(MOVED_BY.load(Ordering::Relaxed))
}

/// Notes how far from its linked address the loader put the image, in bytes.
pub(crate) fn set_moved_by(distance: i64) {
    MOVED_BY.store(distance.cast_unsigned(), Ordering::Relaxed);
}

/// Physical address of the image's first byte; known before anything has been read.
pub(crate) fn image_start() -> u64 {
    LINK_BASE.wrapping_add(MOVED_BY.load(Ordering::Relaxed))
}

/// Reads the hand-over; `image_end` is the physical end of the image with its zeroed part. `None` if it
/// was read before.
pub(crate) fn initialise(
    memory: &impl crate::firmware::PhysicalMemory,
    protocol: Protocol,
    information: u64,
    image_end: u64,
) -> Option<Result<&'static BootInformation, protocol::HandOverError>> {
    let image = image_start()..image_end;
    INFORMATION.fill(|boot| protocol::read(memory, protocol, information, image, boot))
}
