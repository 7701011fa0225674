//! The image's first page: all that boot loaders look for.
//!
//! | offset | what | who reads it |
//! | --- | --- | --- |
//! | 0 | ELF header and program headers | all but multiboot 1 |
//! | 0x200 | PVH note (`XEN_ELFNOTE_PHYS32_ENTRY`) | QEMU, Firecracker, Cloud Hypervisor |
//! | 0x240 | multiboot 1 header with addresses | QEMU `-kernel` |
//! | 0x280 | multiboot 2 header | GRUB |
//! | end - 32 | location of the image table | tools |
//!
//! QEMU refuses a 64-bit ELF file by multiboot 1 unless the header itself says what to load
//! (specification 3.1.3); the file being flat, that is one range.

use kiln_image_format::{
    KERNEL_OFFSET, LOCATION_IN_HEADER, Location, PAGE_BYTES, PHYSICAL_BASE, Permissions,
    VIRTUAL_BASE,
};

const NOTE: usize = 0x200;
const MULTIBOOT1: usize = 0x240;
const MULTIBOOT2: usize = 0x280;
const NOTE_BYTES: u64 = 24;
const ELF_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;

/// A range that a loader puts into memory.
pub(super) struct Load {
    pub offset: u64,
    pub file_bytes: u64,
    pub memory_bytes: u64,
    pub permissions: Permissions,
}

/// What the first page says. Entries are kernel virtual addresses of 32-bit code.
pub(super) struct FirstPage {
    pub pvh_entry: u64,
    pub multiboot1_entry: u64,
    pub multiboot2_entry: u64,
    pub loads: Vec<Load>,
    pub image_bytes: u64,
    pub memory_bytes: u64,
    pub location: Location,
}

impl FirstPage {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES as usize];
        let mut put = |offset: usize, bytes: &[u8]| {
            if let Some(place) = page.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &self.elf());
        put(NOTE, &self.note());
        put(MULTIBOOT1, &words(&self.multiboot1()));
        put(MULTIBOOT2, &words(&self.multiboot2()));
        put(LOCATION_IN_HEADER, &self.location.to_bytes());
        page
    }

    fn elf(&self) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        let count = self.loads.len() as u16 + 1;
        let halves = |bytes: &mut Vec<u8>, halves: &[u16]| {
            halves
                .iter()
                .for_each(|half| bytes.extend_from_slice(&half.to_le_bytes()));
        };
        halves(&mut bytes, &[2, 62]);
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        for word in [self.pvh_entry, u64::from(ELF_HEADER_BYTES), 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        halves(
            &mut bytes,
            &[ELF_HEADER_BYTES, PROGRAM_HEADER_BYTES, count, 0, 0, 0],
        );
        let mut header = |kind: u32, flags: u32, load: [u64; 3], alignment: u64| {
            let [offset, file_bytes, memory_bytes] = load;
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            let (virtual_, physical) = (VIRTUAL_BASE + offset, PHYSICAL_BASE + offset);
            for word in [
                offset,
                virtual_,
                physical,
                file_bytes,
                memory_bytes,
                alignment,
            ] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        };
        for load in &self.loads {
            let ranges = [load.offset, load.file_bytes, load.memory_bytes];
            header(1, load.permissions.bits(), ranges, PAGE_BYTES);
        }
        // Readers round the note's parts up to this alignment.
        header(
            4,
            Permissions::Read.bits(),
            [NOTE as u64, NOTE_BYTES, NOTE_BYTES],
            4,
        );
        bytes
    }

    fn note(&self) -> Vec<u8> {
        let mut note = words(&[4, 8, 18]);
        note.extend_from_slice(b"Xen\0");
        note.extend_from_slice(&physical(self.pvh_entry).to_le_bytes());
        note
    }

    fn multiboot1(&self) -> [u32; 8] {
        const MAGIC: u32 = 0x1bad_b002;
        // Modules on pages, memory information, and the addresses below.
        const FLAGS: u32 = 1 << 0 | 1 << 1 | 1 << 16;
        [
            MAGIC,
            FLAGS,
            0_u32.wrapping_sub(MAGIC.wrapping_add(FLAGS)),
            low(PHYSICAL_BASE + MULTIBOOT1 as u64),
            low(PHYSICAL_BASE),
            low(PHYSICAL_BASE + self.image_bytes),
            low(PHYSICAL_BASE + self.memory_bytes),
            low(physical(self.multiboot1_entry)),
        ]
    }

    fn multiboot2(&self) -> [u32; 16] {
        const MAGIC: u32 = 0xe852_50d6;
        const LENGTH: u32 = 64;
        const ENTRY_TAG: u32 = 3;
        const RELOCATABLE_TAG: u32 = 10;
        const LOWEST: u32 = 1;
        [
            MAGIC,
            0,
            LENGTH,
            0_u32.wrapping_sub(MAGIC.wrapping_add(LENGTH)),
            ENTRY_TAG,
            12,
            low(physical(self.multiboot2_entry)),
            0,
            // Where the image is linked, unless firmware is there; else further up by whole large
            // pages, the base being a multiple of one, so that the kernel can map itself by them.
            RELOCATABLE_TAG,
            24,
            low(PHYSICAL_BASE),
            u32::MAX,
            low(PHYSICAL_BASE),
            LOWEST,
            0,
            8,
        ]
    }
}

fn physical(virtual_address: u64) -> u64 {
    virtual_address.wrapping_sub(KERNEL_OFFSET)
}

/// The composer has checked that all physical addresses are below 2 GiB.
fn low(address: u64) -> u32 {
    address as u32
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
