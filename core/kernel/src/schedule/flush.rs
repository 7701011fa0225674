//! Making other processors forget translations of a process's memory.
//!
//! The page tables are changed under the process's lock, the lock is given back, and then every
//! processor that has them loaded is asked to drop what it has cached; memory is given back after
//! all have. A processor that waits here answers the others' requests meanwhile. One that does not
//! have the tables loaded is left alone: loading them drops what was cached.

use core::sync::atomic::{Ordering, fence};

use super::cpu::{self, Cpu, Request};
use crate::process::{CPUS, Process};
use crate::processor::PerCpu;

/// Drops what the running processor has cached of user space, and says so.
pub(super) fn flush_here(cpu: &Cpu) {
    cpu.flushes.answer(|| {
        // SAFETY: reloading CR3 with itself changes nothing but the TLB.
        unsafe {
            core::arch::asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags));
        }
    });
}

/// Answers other processors' requests to flush; for whoever waits in the kernel.
pub fn answer_flushes() {
    if let Some(here) = cpu::here()
        && here.shared().take(Request::Flush)
    {
        flush_here(here.shared());
    }
}

/// Waits until no processor in `cpus` but this one has a translation of `process` that was cached
/// before now. The caller holds no lock.
///
/// One that is just leaving `process` for another may still have it loaded: it names the next one first, and
/// loads the tables then, with interrupts off and nothing of the process touched in between. What it has
/// cached of the process's pages is of no use to it, and the tables through which it may yet walk of its own
/// accord stay as they are. To free tables takes [`leave_tables`].
#[cold]
pub fn flush_others(process: &Process, cpus: u64) {
    ask_and_wait(cpus, |cpu| cpu.runs(process));
}

/// Waits until no processor in `cpus` but this one has anything cached of tables that were unlinked before now,
/// nor walks through them. The caller holds no lock.
///
/// All are asked, whatever they say that they run: between naming the next process and loading its tables a
/// processor still has the old ones loaded (see [`flush_others`]), and what it cached by walking through memory
/// that is something else by then could outlast them. It answers when it is beyond that, and has either loaded
/// other tables or loads the same ones anew. This way the call and the thread switch, which do those two
/// steps, pay nothing for it; tables of a process on several processors become empty seldom.
/// `tests/shootdown_model.rs` has all interleavings.
#[cold]
pub fn leave_tables(cpus: u64) {
    ask_and_wait(cpus, |_| true);
}

fn ask_and_wait(cpus: u64, is_concerned: impl Fn(&Cpu) -> bool) {
    // The changes of the page tables come before the look at who has them loaded.
    fence(Ordering::SeqCst);
    let own = PerCpu::number();
    let mut tickets = [0; CPUS];
    let mut waiting = 0_u64;
    for number in bits(cpus & !(1 << own)) {
        let Some(cpu) = cpu::cpu(number).filter(|cpu| is_concerned(cpu)) else {
            continue;
        };
        if let Some(ticket) = tickets.get_mut(number as usize) {
            *ticket = cpu.flushes.take();
            waiting |= 1 << number;
            cpu::ask(number, Request::Flush);
        }
    }
    while waiting != 0 {
        for number in bits(waiting) {
            let done =
                |ticket: &u64| cpu::cpu(number).is_none_or(|cpu| cpu.flushes.is_done(*ticket));
            if tickets.get(number as usize).is_none_or(done) {
                waiting &= !(1 << number);
            }
        }
        answer_flushes();
        core::hint::spin_loop();
    }
}

/// The numbers of the bits that are set.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let number = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(number)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mask_names_its_bits() {
        let numbers: std::vec::Vec<u32> = super::bits(1 << 63 | 0b101).collect();
        assert_eq!(numbers, [0, 2, 63]);
        assert_eq!(super::bits(0).next(), None);
    }
}
