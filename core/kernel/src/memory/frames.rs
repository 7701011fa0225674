//! The frame allocator: physical memory in pages of 4 KiB.
//!
//! Memory that was never used is a few ranges from which pages are cut; returned pages form a list
//! through their own first word. So set-up touches no memory, and a page costs nothing until used.
//! Each CPU keeps a few pages of its own and goes to the shared pool for `BATCH` at a time. When
//! memory runs low, whoever matters less is refused first (see [`Purpose`]): what a program takes can
//! neither end the servers nor keep the kernel from answering.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use kiln_object::startup::KernelInformation;

use spin::Mutex;

use super::{PAGE_BYTES, direct};
use crate::boot::BootInformation;
use crate::processor::PerCpu;
use crate::rolled::one_pass;

/// Pages that a CPU takes or gives back at once.
const BATCH: usize = 32;

/// Pages that a CPU keeps at most.
const CACHE: usize = 2 * BATCH;

/// Ranges of unused memory that are kept track of; smaller ones beyond that many are not used.
const RANGES: usize = 32;

/// CPUs that have a cache.
const CPUS: usize = 64;

/// What a page is for. Each purpose leaves some pages of the pool to those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The program's own memory.
    Program,
    /// The kernel's notes about processes, which they can make long.
    Notes,
    /// What the system's part of the program's process needs, to say that memory ran out above all.
    System,
    /// A server's memory.
    Server,
    /// What the kernel cannot do without.
    Kernel,
}

impl Purpose {
    /// Pages that this purpose leaves in a pool of `total`: for each of those after it a step, which
    /// is small in a small machine.
    fn left_to_others(self, total: u64) -> u64 {
        let step = (total / 256).clamp(8, 256);
        (Purpose::Kernel as u64 - self as u64) * step
    }
}

/// One page of physical memory, by address. Holding the value proves nothing about ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Frame(u64);

impl Frame {
    /// The page at `physical`, which is page-aligned.
    #[must_use]
    pub const fn at(physical: u64) -> Self {
        Self(physical & !(PAGE_BYTES - 1))
    }

    /// The page's physical address.
    #[must_use]
    pub const fn physical(self) -> u64 {
        self.0
    }

    /// Where the kernel reaches the page.
    #[must_use]
    pub const fn pointer(self) -> *mut u8 {
        direct(self.0) as *mut u8
    }
}

struct Pool {
    unused: [(u64, u64); RANGES],
    current: usize,
    returned: u64,
}

impl Pool {
    fn take(&mut self) -> Option<Frame> {
        if self.returned != 0 {
            let frame = Frame(self.returned);
            // SAFETY: pages on the list belong to the pool, and their first word is the link.
            self.returned = unsafe { frame.pointer().cast::<u64>().read() };
            return Some(frame);
        }
        self.cut(1)
    }

    fn cut(&mut self, pages: u64) -> Option<Frame> {
        let bytes = pages.checked_mul(PAGE_BYTES)?;
        for place in self.current..RANGES {
            let (start, end) = self.unused.get_mut(place)?;
            if *end - *start >= bytes {
                let frame = Frame(*start);
                *start += bytes;
                return Some(frame);
            }
            if start == end && place == self.current {
                self.current += 1;
            }
        }
        None
    }

    fn give(&mut self, frame: Frame) {
        // SAFETY: the caller gave the page up; nobody else writes to it now.
        unsafe { frame.pointer().cast::<u64>().write(self.returned) };
        self.returned = frame.0;
    }
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    unused: [(0, 0); RANGES],
    current: 0,
    returned: 0,
});

/// Pages in all, and pages given out (those in the CPUs' caches included).
static TOTAL: AtomicU64 = AtomicU64::new(0);
static FREE: AtomicU64 = AtomicU64::new(0);

/// Where all processes read how much is free.
static INFORMATION: AtomicPtr<KernelInformation> = AtomicPtr::new(core::ptr::null_mut());

struct Cache {
    frames: [u64; CACHE],
    count: usize,
}

struct Caches([UnsafeCell<Cache>; CPUS]);

// SAFETY: each cell is used by its own CPU alone, with interrupts off (always so in the kernel).
unsafe impl Sync for Caches {}

static CACHES: Caches = Caches(
    [const {
        UnsafeCell::new(Cache {
            frames: [0; CACHE],
            count: 0,
        })
    }; CPUS],
);

fn with_cache<R>(action: impl FnOnce(&mut Cache) -> R) -> Option<R> {
    let cell = CACHES.0.get(PerCpu::number() as usize)?;
    // SAFETY: only this CPU uses this cell, the kernel is not interrupted, and no action below
    // calls `with_cache` again.
    Some(action(unsafe { &mut *cell.get() }))
}

/// Below this the memory is left to firmware, and to processors that start.
const FIRST: u64 = 1 << 20;

/// Takes over the usable memory.
pub fn initialise(boot: &BootInformation) {
    let mut pool = POOL.lock();
    let (mut place, mut total) = (0, 0);
    for range in boot.usable_memory() {
        one_pass();
        let start = range.start.max(FIRST);
        if start < range.end
            && let Some(unused) = pool.unused.get_mut(place)
        {
            *unused = (start, range.end);
            place += 1;
            total += (range.end - start) / PAGE_BYTES;
        }
    }
    TOTAL.store(total, Ordering::Relaxed);
    FREE.store(total, Ordering::Relaxed);
}

/// Takes a page for the kernel; its contents are whatever they were.
pub fn allocate() -> Option<Frame> {
    allocate_for(Purpose::Kernel)
}

/// Takes a page; its contents are whatever they were.
#[inline(never)]
pub fn allocate_for(purpose: Purpose) -> Option<Frame> {
    take(purpose)
}

#[inline(always)]
fn take(purpose: Purpose) -> Option<Frame> {
    let cached = with_cache(|cache| {
        if cache.count == 0 {
            refill(cache, purpose);
        }
        cache.count = cache.count.checked_sub(1)?;
        Some(Frame(cache.frames[cache.count]))
    });
    cached.flatten()
}

#[inline(never)]
fn refill(cache: &mut Cache, purpose: Purpose) {
    let spare = spare_pages(purpose).min(BATCH as u64) as usize;
    let mut pool = POOL.lock();
    while cache.count < spare
        && let Some(frame) = pool.take()
    {
        cache.frames[cache.count] = frame.0;
        cache.count += 1;
    }
    drop(pool);
    add_to_free(-(cache.count as i64));
}

/// Pages of the pool that `purpose` may still take.
#[must_use]
pub fn spare_pages(purpose: Purpose) -> u64 {
    let left = purpose.left_to_others(TOTAL.load(Ordering::Relaxed));
    FREE.load(Ordering::Relaxed).saturating_sub(left)
}

fn add_to_free(pages: i64) {
    let before = FREE.fetch_add(pages as u64, Ordering::Relaxed);
    // SAFETY: null, or what `publish` was given for good.
    if let Some(information) = unsafe { INFORMATION.load(Ordering::Relaxed).as_ref() } {
        let bytes = before.wrapping_add(pages as u64) * PAGE_BYTES;
        information.memory_free.store(bytes, Ordering::Relaxed);
    }
}

/// Keeps the free bytes up to date in the page that all processes read.
pub fn publish(information: &'static KernelInformation) {
    information
        .memory_free
        .store(free_bytes(), Ordering::Relaxed);
    let pointer = core::ptr::from_ref(information).cast_mut();
    INFORMATION.store(pointer, Ordering::Relaxed);
}

/// Takes a page for the kernel and fills it with zeroes.
#[inline(never)]
pub fn allocate_zeroed() -> Option<Frame> {
    let frame = allocate_for(Purpose::Kernel)?;
    zero(frame);
    Some(frame)
}

/// Takes a page and fills it with zeroes: in place, since page faults do.
#[inline(always)]
pub fn allocate_zeroed_for(purpose: Purpose) -> Option<Frame> {
    let frame = take(purpose)?;
    zero(frame);
    Some(frame)
}

/// Fills a page that the caller owns with zeroes.
pub fn zero(frame: Frame) {
    // SAFETY: the caller owns the page, which the direct map covers whole. The count is in words:
    // byte-wise string instructions are slow where they are emulated.
    unsafe {
        core::arch::asm!(
            "rep stosq",
            inout("rdi") frame.pointer() => _,
            inout("rcx") PAGE_BYTES / 8 => _,
            in("rax") 0u64,
            options(nostack, preserves_flags)
        );
    }
}

/// Copies a whole page to another that the caller owns.
pub fn copy(to: Frame, from: Frame) {
    // SAFETY: both pages are covered by the direct map, `to` is the caller's own.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            inout("rdi") to.pointer() => _,
            inout("rsi") from.pointer() => _,
            inout("rcx") PAGE_BYTES / 8 => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Takes `pages` pages that lie one after the other, for the kernel. More than one are only found
/// in memory that was never used.
pub fn allocate_contiguous(pages: u64) -> Option<Frame> {
    allocate_contiguous_for(pages, Purpose::Kernel)
}

/// As [`allocate_contiguous`], for `purpose`.
pub fn allocate_contiguous_for(pages: u64, purpose: Purpose) -> Option<Frame> {
    if pages == 1 {
        return allocate_for(purpose);
    }
    if spare_pages(purpose) < pages {
        return None;
    }
    let frame = POOL.lock().cut(pages)?;
    add_to_free(-(pages as i64));
    Some(frame)
}

/// Gives a page back. The caller owned it and no mapping of it is left.
pub fn free(frame: Frame) {
    with_cache(|cache| {
        if cache.count == CACHE {
            let mut pool = POOL.lock();
            for _ in 0..BATCH {
                cache.count -= 1;
                pool.give(Frame(cache.frames[cache.count]));
            }
            drop(pool);
            add_to_free(BATCH as i64);
        }
        cache.frames[cache.count] = frame.0;
        cache.count += 1;
    });
}

/// Bytes of memory that the allocator was given.
#[must_use]
pub fn total_bytes() -> u64 {
    TOTAL.load(Ordering::Relaxed) * PAGE_BYTES
}

/// Bytes not given out; pages in the CPUs' caches count as given out.
#[must_use]
pub fn free_bytes() -> u64 {
    FREE.load(Ordering::Relaxed) * PAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_matter_more_find_more() {
        let order = [
            Purpose::Program,
            Purpose::Notes,
            Purpose::System,
            Purpose::Server,
            Purpose::Kernel,
        ];
        for total in [500, 16 << 10, 4 << 20] {
            let left = order.map(|purpose| purpose.left_to_others(total));
            assert!(left.is_sorted_by(|more, less| more > less), "{left:?}");
            assert_eq!(left.last(), Some(&0));
            assert!(left.iter().all(|left| *left <= total / 12 || *left <= 1024));
        }
    }
}
