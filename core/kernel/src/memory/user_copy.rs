//! Copies between kernel memory and the current process's memory.
//!
//! The address range is checked to be user space; whether it is mapped is found out by touching it:
//! a fault that cannot be resolved ends the copy early (see [`fixup`](super::fixup)).

use core::arch::global_asm;

use kiln_object::layout::USER_END;

use crate::processor::{Features, features};

/// The range is no user memory, or not mapped for the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadUserMemory;

/// STAC where there is SMAP. On the host nothing puts it in place.
macro_rules! open {
    () => {
        if_freestanding!(crate::stac!())
    };
}

/// CLAC where there is SMAP.
macro_rules! close {
    () => {
        if_freestanding!(crate::clac!())
    };
}

#[cfg(kiln_freestanding)]
macro_rules! if_freestanding {
    ($text:expr) => {
        $text
    };
}

#[cfg(not(kiln_freestanding))]
macro_rules! if_freestanding {
    ($text:expr) => {
        ""
    };
}

// `rdi` to, `rsi` from, `rdx` bytes; `rax` is 0 when all was copied and 1 otherwise. Nothing here
// uses the stack below the return address, so the fault's frame destroys nothing. AC is set only
// between the two markers; on machines without SMAP the callers take the plain entry.
global_asm!(
    ".section .text.user_copy, \"ax\"",
    ".globl kiln_user_copy_smap",
    "kiln_user_copy_smap:",
    "stac",
    "call kiln_user_copy",
    "clac",
    "ret",
    ".globl kiln_user_copy",
    "kiln_user_copy:",
    "mov rcx, rdx",
    "shr rcx, 3",
    "and edx, 7",
    ".globl kiln_user_copy_start",
    "kiln_user_copy_start:",
    "rep movsq",
    "mov ecx, edx",
    "rep movsb",
    ".globl kiln_user_copy_end",
    "kiln_user_copy_end:",
    "xor eax, eax",
    "ret",
    ".globl kiln_user_copy_fixup",
    "kiln_user_copy_fixup:",
    "mov eax, 1",
    "ret",
    // For the straight line of a call: `rdi` to, `rsi` from, `ecx` bytes, of which the caller has
    // checked that they are the user's. Carry says that not all could be copied; all other registers
    // are kept.
    ".globl kiln_copy_across",
    "kiln_copy_across:",
    "push rcx",
    "shr ecx, 3",
    open!(),
    ".globl kiln_copy_across_start",
    "kiln_copy_across_start:",
    "rep movsq",
    "mov ecx, [rsp]",
    "and ecx, 7",
    "rep movsb",
    ".globl kiln_copy_across_end",
    "kiln_copy_across_end:",
    close!(),
    "pop rcx",
    "clc",
    "ret",
    ".globl kiln_copy_across_fixup",
    "kiln_copy_across_fixup:",
    close!(),
    "pop rcx",
    "stc",
    "ret",
    ".text",
);

unsafe extern "sysv64" {
    fn kiln_user_copy_smap(to: u64, from: u64, bytes: u64) -> u64;
    fn kiln_user_copy(to: u64, from: u64, bytes: u64) -> u64;
    fn kiln_user_copy_start();
    fn kiln_user_copy_end();
    fn kiln_user_copy_fixup();
    pub(crate) fn kiln_copy_across();
    fn kiln_copy_across_start();
    fn kiln_copy_across_end();
    fn kiln_copy_across_fixup();
}

/// First instruction that may fault, the one after the last, and where to go on, of each copy.
pub(super) fn fault_ranges() -> [(u64, u64, u64); 2] {
    [
        (
            kiln_user_copy_start as *const () as u64,
            kiln_user_copy_end as *const () as u64,
            kiln_user_copy_fixup as *const () as u64,
        ),
        (
            kiln_copy_across_start as *const () as u64,
            kiln_copy_across_end as *const () as u64,
            kiln_copy_across_fixup as *const () as u64,
        ),
    ]
}

fn check(address: u64, bytes: usize) -> Result<(), BadUserMemory> {
    match address.checked_add(bytes as u64) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(BadUserMemory),
    }
}

fn copy(to: u64, from: u64, bytes: usize) -> Result<(), BadUserMemory> {
    // SAFETY: one side is a kernel slice that the caller holds, the other lies in user space
    // (checked by both callers), where a fault is survived through the fixup; the CPU has SMAP
    // whenever the first form is chosen.
    let left = unsafe {
        if features().contains(Features::SMAP) {
            kiln_user_copy_smap(to, from, bytes as u64)
        } else {
            kiln_user_copy(to, from, bytes as u64)
        }
    };
    if left == 0 {
        Ok(())
    } else {
        Err(BadUserMemory)
    }
}

/// Fills `to` from the current process's memory at `from`.
///
/// # Errors
/// [`BadUserMemory`]; `to` may then be filled in part.
pub fn copy_in(to: &mut [u8], from: u64) -> Result<(), BadUserMemory> {
    check(from, to.len())?;
    copy(to.as_mut_ptr() as u64, from, to.len())
}

/// Writes `from` to the current process's memory at `to`.
///
/// # Errors
/// [`BadUserMemory`]; part may have been written.
pub fn copy_out(to: u64, from: &[u8]) -> Result<(), BadUserMemory> {
    check(to, from.len())?;
    copy(to, from.as_ptr() as u64, from.len())
}
