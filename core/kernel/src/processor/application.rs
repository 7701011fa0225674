//! Starting the processors other than the boot one, without making anybody wait for them.
//!
//! All are sent INIT and STARTUP at once and take their number, stack and block in the order in
//! which they arrive. Processors of the last decades and every hypervisor need no pause between
//! the two; the timer repeats STARTUP a few times for those that have not shown up. A processor
//! that never does is logged and left alone.

use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use x86_64::registers::control::{Cr0, Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;

use super::{PerCpu, roster, segments};
use crate::firmware::physical::DIRECT_MAP;
use crate::firmware::{MAX_PROCESSORS, machine};
use crate::interrupt::local_apic::{self, Message};
use crate::time::{self, timer};

/// Where in its page the trampoline finds its parameters: well behind its code.
pub(super) const PARAMETERS_OFFSET: u32 = 2048;

/// What the trampoline finds there.
#[repr(C)]
pub(super) struct Parameters {
    segments: [u64; 4],
    pub(super) segments_pointer: [u16; 4],
    pub(super) protected_mode: [u32; 2],
    pub(super) long_mode: [u32; 2],
    pub(super) control0: u32,
    pub(super) control4: u32,
    pub(super) enable: u32,
    pub(super) page_table: u32,
    pub(super) entry: u64,
}

/// What a starting processor takes for its own.
#[repr(C)]
pub(super) struct Claim {
    pub(super) stack_top: AtomicU64,
    separate_stacks: AtomicU64,
    block: AtomicPtr<PerCpu>,
}

/// By processor number; the boot processor's stays empty.
pub(super) static CLAIMS: [Claim; MAX_PROCESSORS] = [const {
    Claim {
        stack_top: AtomicU64::new(0),
        separate_stacks: AtomicU64::new(0),
        block: AtomicPtr::new(core::ptr::null_mut()),
    }
}; MAX_PROCESSORS];

/// Number that the next processor to arrive takes.
pub(super) static NEXT: AtomicU32 = AtomicU32::new(1);
/// Numbers below this have a claim.
pub(super) static EXPECTED: AtomicU32 = AtomicU32::new(1);
/// Physical address of the page tables that the kernel runs on.
pub(super) static KERNEL_TABLES: AtomicU64 = AtomicU64::new(0);

static TRAMPOLINE_PAGE: AtomicU32 = AtomicU32::new(0);
static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

/// Pauses before STARTUP is sent again, and before the missing are given up.
const PAUSES_NS: [u64; 4] = [300_000, 10_000_000, 200_000_000, 1_000_000_000];

/// Lets the boot processor be found by the others.
pub(crate) fn enter_boot_processor() {
    roster::enter(0);
}

/// Starts all other processors; returns at once.
pub(crate) fn start_others() {
    if machine().processors().len() < 2 {
        return;
    }
    let own = local_apic::identifier();
    let others = || {
        machine()
            .processors()
            .iter()
            .copied()
            .filter(move |other| *other != own)
    };
    let Some(page) = trampoline_page() else {
        crate::error!("no memory below 1 MiB: one processor only");
        return;
    };
    let mut expected = 1;
    for _ in others() {
        if !claim(expected) {
            crate::error!("not enough memory to start processor {expected}");
            break;
        }
        expected += 1;
    }
    EXPECTED.store(expected, Ordering::Release);
    // SAFETY: the page is usable memory that the frame allocator does not give out.
    unsafe { write_trampoline(page) };
    TRAMPOLINE_PAGE.store(page, Ordering::Relaxed);
    for other in others() {
        local_apic::send(other, Message::Initialise);
    }
    timer::on_expiry_for(timer::User::Starting, again);
    send_start_up();
}

/// The tops of the other processors' kernel stacks.
pub(crate) fn stack_tops() -> impl Iterator<Item = u64> {
    let tops = CLAIMS
        .iter()
        .map(|claim| claim.stack_top.load(Ordering::Relaxed));
    tops.filter(|top| *top != 0)
}

/// A page below 1 MiB that nobody uses; page 0 is left to real mode's interrupt table.
fn trampoline_page() -> Option<u32> {
    crate::boot::information()
        .usable_memory()
        .filter_map(|range| {
            let end = range.end.min(0xa_0000) & !0xfff;
            let page = end.checked_sub(0x1000)?;
            (page >= range.start.max(0x1000)).then_some(page)
        })
        .next()
        .and_then(|page| u32::try_from(page).ok())
}

/// Provides for processor `number`; false if there is no room or memory.
fn claim(number: u32) -> bool {
    let Some(claim) = CLAIMS.get(number as usize) else {
        return false;
    };
    let (Some(stack), Some(separate), Some(frame)) = (
        crate::memory::kernel_space::allocate_stack(),
        crate::memory::kernel_space::allocate_stack(),
        crate::memory::frames::allocate(),
    ) else {
        return false;
    };
    const { assert!(size_of::<PerCpu>() <= 4096) };
    let block = frame.pointer().cast::<PerCpu>();
    // SAFETY: the frame is fresh, page-aligned and large enough.
    unsafe { block.write(PerCpu::EMPTY) };
    // SAFETY: it was just written, and the processor that it is for has not been started.
    crate::trace::enter_processor(number, unsafe { &*block });
    claim.stack_top.store(stack, Ordering::Relaxed);
    let separate = separate - segments::SEPARATE_STACKS_BYTES as u64;
    claim.separate_stacks.store(separate, Ordering::Relaxed);
    claim.block.store(block, Ordering::Relaxed);
    true
}

/// Copies the trampoline to its page and fills in its parameters.
///
/// # Safety
/// The page must be memory that is nobody else's.
unsafe fn write_trampoline(page: u32) {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_trampoline: u8;
            static kiln_trampoline_end: u8;
            static kiln_trampoline_protected: u8;
            static kiln_trampoline_long: u8;
            static kiln_application_entry: u8;
            static kiln_boot_page_table: u8;
        }
        const CODE_64: u32 = 0x08;
        const CODE_32: u32 = 0x10;
        let start = &raw const kiln_trampoline;
        let offset = |symbol: *const u8| (symbol as u64).wrapping_sub(start as u64) as u32;
        let bytes = offset(&raw const kiln_trampoline_end);
        assert!(bytes <= PARAMETERS_OFFSET);
        let parameters = page + PARAMETERS_OFFSET;
        let tables: u64;
        // SAFETY: reads registers.
        let enable = unsafe {
            core::arch::asm!("mov {}, cr3", out(reg) tables, options(nomem, nostack));
            Msr::new(0xc000_0080).read() as u32
        };
        KERNEL_TABLES.store(tables, Ordering::Release);
        let control4 = Cr4::read()
            & (Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
                | Cr4Flags::PAGE_GLOBAL
                | Cr4Flags::OSFXSR
                | Cr4Flags::OSXMMEXCPT_ENABLE);
        let content = Parameters {
            segments: [
                0,
                0x00af_9b00_0000_ffff,
                0x00cf_9b00_0000_ffff,
                0x00cf_9300_0000_ffff,
            ],
            segments_pointer: [31, parameters as u16, (parameters >> 16) as u16, 0],
            protected_mode: [page + offset(&raw const kiln_trampoline_protected), CODE_32],
            long_mode: [page + offset(&raw const kiln_trampoline_long), CODE_64],
            control0: Cr0::read_raw() as u32,
            control4: control4.bits() as u32,
            // Without LMA, which the processor sets itself.
            enable: enable & !(1 << 10),
            page_table: crate::boot::physical_of(&raw const kiln_boot_page_table) as u32,
            entry: (&raw const kiln_application_entry) as u64,
        };
        let target = (DIRECT_MAP + u64::from(page)) as *mut u8;
        // SAFETY: the caller gives the page; code and parameters together are shorter than one.
        unsafe {
            target.copy_from_nonoverlapping(start, bytes as usize);
            let parameters = target.add(PARAMETERS_OFFSET as usize).cast::<Parameters>();
            parameters.write(content);
        }
    }
    #[cfg(not(kiln_freestanding))]
    let _ = (
        page,
        DIRECT_MAP,
        Cr0::read_raw,
        Cr4::read,
        Cr4Flags::PAGE_GLOBAL,
        Msr::new,
    );
}

/// Sends STARTUP to whoever has not arrived, and sets the timer to look again.
fn send_start_up() {
    let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed) as usize;
    let page = (TRAMPOLINE_PAGE.load(Ordering::Relaxed) >> 12) as u8;
    for processor in machine().processors() {
        if !roster::is_online(*processor) {
            local_apic::send(*processor, Message::StartUp(page));
        }
    }
    if let Some(pause) = PAUSES_NS.get(attempt) {
        timer::arm_for(timer::User::Starting, time::monotonic_ns() + pause);
    }
}

fn again() {
    let missing = EXPECTED
        .load(Ordering::Relaxed)
        .saturating_sub(roster::online());
    if missing == 0 {
        return;
    }
    if (ATTEMPTS.load(Ordering::Relaxed) as usize) < PAUSES_NS.len() {
        send_start_up();
    } else {
        crate::error!("{missing} processors did not start");
    }
}

/// First Rust code on every processor but the boot one.
pub(super) extern "sysv64" fn application_entry(number: u32) -> ! {
    let claim = &CLAIMS[number as usize];
    let stack_top = claim.stack_top.load(Ordering::Acquire);
    let separate_stacks = claim.separate_stacks.load(Ordering::Relaxed);
    // SAFETY: a claim is one processor's alone, since each takes another number; its parts were
    // allocated for good before any processor was started.
    unsafe {
        let block = &*claim.block.load(Ordering::Relaxed);
        super::initialise(block, number, stack_top, separate_stacks);
    }
    local_apic::initialise();
    timer::initialise();
    roster::enter(number);
    crate::schedule::enter()
}
