//! The kernel's own address space: what the upper half of every address space shows.
//!
//! Text is executable and read-only, everything else is not executable; stacks have an unmapped
//! page below them. All top-level entries are made here, before the first process, so that the
//! upper halves of all address spaces stay equal for good.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::Mutex;
use x86_64::registers::control::{Cr4, Cr4Flags};

use super::page_table::{GLOBAL, LARGE, NO_EXECUTE, PRESENT, PageTable, WRITABLE};
use super::{DIRECT_MAP_BASE, KERNEL_BASE, PAGE_BYTES, frames};
use crate::boot::BootInformation;
use crate::firmware::physical::DIRECT_MAP_BYTES;
use crate::processor::{Features, features};

/// Where kernel stacks lie.
const STACK_BASE: u64 = 0xffff_c000_0000_0000;

/// Where the heap of the servers that live in the kernel lies; a top-level entry of its own.
pub const HOME_BASE: u64 = 0xffff_c100_0000_0000;

/// Bytes of address space for that heap.
pub const HOME_BYTES: u64 = 64 << 30;

/// Bytes of a kernel stack.
pub const STACK_BYTES: u64 = 32 << 10;

/// Distance between stacks; the difference is the guard.
const STACK_DISTANCE: u64 = 64 << 10;

static KERNEL: Mutex<Option<PageTable>> = Mutex::new(None);
static ROOT: AtomicU64 = AtomicU64::new(0);
static STACKS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static boot_pointers_direct: u8;
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
    forget_global();
}

/// Forgets all translations of the tables that were loaded before: those of the entry code's are global,
/// and allow everything.
fn forget_global() {
    let control = Cr4::read_raw();
    // SAFETY: global pages are off for a moment; the rest of the register stays as it is.
    unsafe {
        Cr4::write_raw(control & !Cr4Flags::PAGE_GLOBAL.bits());
        Cr4::write_raw(control);
    }
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
///
/// The entry code's tables have the first 4 GiB already, to which nothing but this leads any more; they
/// allow execution, which the entry that leads to them takes away.
fn map_directly(root: frames::Frame, boot: &BootInformation) {
    const GIB: u64 = 1 << 30;
    const MAPPED: u64 = DIRECT_MAP_BYTES / GIB;
    let upper = frames::Frame::at(physical_of(&raw const boot_pointers_direct as u64, boot));
    let slot = ((DIRECT_MAP_BASE >> 39) & 511) as usize;
    let entries = boot.memory_end().div_ceil(GIB).min(512);
    // SAFETY: `root` is a fresh table owned by the caller; slots are below 512; nobody else changes the
    // entry code's tables.
    unsafe {
        root.pointer()
            .cast::<u64>()
            .add(slot)
            .write(upper.physical() | PRESENT | WRITABLE | NO_EXECUTE);
        for gigabyte in MAPPED..entries {
            let slot = upper.pointer().cast::<u64>().add(gigabyte as usize);
            slot.write(gigabyte_entry(gigabyte * GIB));
        }
    }
}

/// What maps a GiB from `start` on: one page, or a table of smaller ones.
#[cold]
fn gigabyte_entry(start: u64) -> u64 {
    let rights = PRESENT | WRITABLE | GLOBAL | LARGE;
    if features().contains(Features::HUGE_PAGES) {
        return start | rights;
    }
    let table = frames::allocate_zeroed().expect("no memory for the direct map");
    for page in 0..512 {
        // SAFETY: the table is fresh, and has 512 entries.
        unsafe {
            let slot = table.pointer().cast::<u64>().add(page as usize);
            slot.write((start + page * (2 << 20)) | rights);
        }
    }
    table.physical() | PRESENT | WRITABLE
}

/// Whether `address` lies below a kernel stack, where nothing is.
#[must_use]
pub fn is_guard(address: u64) -> bool {
    let end = STACK_BASE + STACKS.load(Ordering::Relaxed) * STACK_DISTANCE;
    let inside = (STACK_BASE..end).contains(&address);
    inside && address % STACK_DISTANCE < STACK_DISTANCE - STACK_BYTES
}

/// The top of the boot processor's kernel stack, which is the first.
pub const FIRST_STACK_TOP: u64 = STACK_BASE + STACK_DISTANCE;

/// How many bytes of the kernel stack with that top were ever used: it was made of zeroes. What was stored at
/// the very bottom may have been zero, too.
#[must_use]
pub fn used_of_stack(top: u64) -> u64 {
    let mut address = top - STACK_BYTES;
    while address < top {
        // SAFETY: `allocate_stack` made it and it stays; its processor may be using it.
        let word =
            unsafe { core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() };
        if word != 0 {
            break;
        }
        address += 8;
    }
    top - address
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
