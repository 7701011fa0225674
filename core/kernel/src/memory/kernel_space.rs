//! The kernel's own address space: what the upper half of every address space shows.
//!
//! Text is executable and read-only, everything else is not executable; stacks have an unmapped
//! page below them. All top-level entries are made here, before the first process, so that the
//! upper halves of all address spaces stay equal for good.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;

use super::page_table::{self, GLOBAL, LARGE, NO_EXECUTE, PRESENT, PageTable, WRITABLE};
use super::{DIRECT_MAP_BASE, KERNEL_BASE, PAGE_BYTES, frames};
use crate::boot::BootInformation;
use crate::processor::{Features, features};

/// Where kernel stacks lie.
const STACK_BASE: u64 = 0xffff_c000_0000_0000;

/// Where the heap of the servers that live in the kernel lies; a top-level entry of its own.
pub const HOME_BASE: u64 = 0xffff_c100_0000_0000;

/// Bytes of address space for that heap.
pub const HOME_BYTES: u64 = 64 << 30;

/// Bytes of a kernel stack.
const STACK_BYTES: u64 = 32 << 10;

/// Distance between stacks; the difference is the guard.
const STACK_DISTANCE: u64 = 64 << 10;

static KERNEL: Mutex<Option<PageTable>> = Mutex::new(None);
static ROOT: AtomicU64 = AtomicU64::new(0);
static STACKS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __bss_end: u8;
}

/// Physical address of the level-4 table that CPUs without a process use.
#[must_use]
pub fn root() -> u64 {
    ROOT.load(Ordering::Relaxed)
}

/// Physical address of a byte of the kernel's linked image.
#[must_use]
pub fn physical_of(address: u64, boot: &BootInformation) -> u64 {
    address
        .wrapping_sub(KERNEL_BASE)
        .wrapping_add(boot.image_start() - kiln_image_format::PHYSICAL_BASE)
}

/// Builds the tables and switches to them.
///
/// # Panics
/// If there is no memory for them: the machine cannot run anything then.
pub fn initialise(boot: &BootInformation) {
    let root = frames::allocate_zeroed().expect("no memory for the kernel's page tables");
    // SAFETY: the table is fresh and this is its only owner.
    let mut tables = unsafe { PageTable::from_root(root) };
    map_directly(root, boot);
    for (start, end, rights) in sections() {
        map_section(&mut tables, boot, (start, end), rights);
    }
    for base in [STACK_BASE, HOME_BASE] {
        tables
            .slot_for(base)
            .expect("no memory for the kernel's page tables");
    }
    ROOT.store(root.physical(), Ordering::Relaxed);
    *KERNEL.lock() = Some(tables);
    load(root.physical());
}

#[inline(never)]
fn map_section(
    tables: &mut PageTable,
    boot: &BootInformation,
    (start, end): (u64, u64),
    rights: u64,
) {
    let mut address = start & !(PAGE_BYTES - 1);
    while address < end {
        tables
            .slot_for(address)
            .expect("no memory for the kernel's page tables")
            .set(physical_of(address, boot) | PRESENT | GLOBAL | rights);
        address += PAGE_BYTES;
    }
}

fn sections() -> [(u64, u64, u64); 3] {
    [
        (
            &raw const __text_start as u64,
            &raw const __text_end as u64,
            0,
        ),
        (
            &raw const __rodata_start as u64,
            &raw const __rodata_end as u64,
            NO_EXECUTE,
        ),
        (
            &raw const __data_start as u64,
            &raw const __bss_end as u64,
            NO_EXECUTE | WRITABLE,
        ),
    ]
}

/// Maps all memory, and at least the first 4 GiB for the devices there, with the largest pages.
fn map_directly(root: frames::Frame, boot: &BootInformation) {
    const GIB: u64 = 1 << 30;
    let top = boot.memory_end().max(4 * GIB);
    let gigabyte_pages = features().contains(Features::HUGE_PAGES);
    let entries = top.div_ceil(GIB).min(512);
    let table = |entry: u64| page_table::frame_of(entry).pointer().cast::<u64>();
    let upper = frames::allocate_zeroed().expect("no memory for the direct map");
    let slot = ((DIRECT_MAP_BASE >> 39) & 511) as usize;
    let rights = PRESENT | WRITABLE | GLOBAL | NO_EXECUTE | LARGE;
    // SAFETY: `root` and `upper` are fresh tables owned by the caller; indices are below 512.
    unsafe {
        table(root.physical())
            .add(slot)
            .write(upper.physical() | PRESENT | WRITABLE);
        for gigabyte in 0..entries {
            // Volatile, so that the loops stay short: they run once.
            let entry = if gigabyte_pages {
                (gigabyte * GIB) | rights
            } else {
                let lower = frames::allocate_zeroed().expect("no memory for the direct map");
                for page in 0..512 {
                    lower
                        .pointer()
                        .cast::<u64>()
                        .add(page as usize)
                        .write_volatile((gigabyte * GIB + page * (2 << 20)) | rights);
                }
                lower.physical() | PRESENT | WRITABLE
            };
            upper
                .pointer()
                .cast::<u64>()
                .add(gigabyte as usize)
                .write_volatile(entry);
        }
    }
}

/// Makes a kernel stack with a guard below it; answers its top, 16-aligned.
#[must_use]
pub fn allocate_stack() -> Option<u64> {
    let number = STACKS.fetch_add(1, Ordering::Relaxed);
    let top = STACK_BASE + (number + 1) * STACK_DISTANCE;
    let mut kernel = KERNEL.lock();
    let tables = kernel.as_mut()?;
    let mut address = top - STACK_BYTES;
    while address < top {
        let frame = frames::allocate_zeroed()?;
        let entry = frame.physical() | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE;
        tables.slot_for(address).ok()?.set(entry);
        address += PAGE_BYTES;
    }
    Some(top)
}

/// Puts empty pages at `address` and after it, where none are yet; false if there are too few.
#[must_use]
pub fn map(address: u64, pages: u64, purpose: frames::Purpose) -> bool {
    let mut kernel = KERNEL.lock();
    let Some(tables) = kernel.as_mut() else {
        return false;
    };
    (0..pages).all(|page| {
        let Ok(mut slot) = tables.slot_for(address + page * PAGE_BYTES) else {
            return false;
        };
        if slot.get() & PRESENT != 0 {
            return true;
        }
        let Some(frame) = frames::allocate_zeroed_for(purpose) else {
            return false;
        };
        slot.set(frame.physical() | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE);
        true
    })
}

/// Loads a level-4 table on this CPU.
pub fn load(root: u64) {
    // SAFETY: every table handed here shows the kernel's upper half.
    unsafe {
        core::arch::asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags));
    }
}

/// Copies the kernel's half to a fresh level-4 table.
pub fn share_with(root: frames::Frame) {
    let from = super::direct(ROOT.load(Ordering::Relaxed)) as *const u64;
    // SAFETY: both are level-4 tables; the upper halves have 256 entries.
    unsafe {
        core::ptr::copy_nonoverlapping(from.add(256), root.pointer().cast::<u64>().add(256), 256)
    };
}
