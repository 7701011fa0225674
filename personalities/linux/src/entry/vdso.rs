//! The shared object in which C libraries look for calls that need no kernel: reading clocks.
//!
//! It is a part of this library's own read-only code and reads the page that the kernel shares, so
//! there is nothing to map and nothing to write. Its functions run on the program's stack as if they
//! were the program's: a bad pointer faults in them as it would there. Whatever else they are asked
//! goes the way of a rewritten call, and so does everything when the kernel has told of input or of
//! the timer: it does not stop a program in here, and one that reads clocks all day must see it. Names and version are those of Linux (vdso(7)).

use core::arch::global_asm;
use core::mem::offset_of;

use kiln_interface::kernel::Protection;
use kiln_object::dispatcher::soft_interrupt::{CONSOLE, TIMER};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::KernelInformation;
use linux_raw_sys::general as abi;

use crate::memory::Region;

/// Clocks that are answered here, a bit for each number.
const WALL: u32 = 1 << abi::CLOCK_REALTIME
    | 1 << abi::CLOCK_REALTIME_COARSE
    | 1 << abi::CLOCK_REALTIME_ALARM
    | 1 << abi::CLOCK_TAI;
const MONOTONIC: u32 = 1 << abi::CLOCK_MONOTONIC
    | 1 << abi::CLOCK_MONOTONIC_RAW
    | 1 << abi::CLOCK_MONOTONIC_COARSE
    | 1 << abi::CLOCK_BOOTTIME
    | 1 << abi::CLOCK_BOOTTIME_ALARM;

// In turn: file header, program headers, symbols, their hash table (one chain), versions, dynamic
// section, names, code. See the System V ABI, chapters 4 and 5.
macro_rules! shared_object {
    ($information:literal, $is_told:literal, $($operand:tt)*) => {
        global_asm!(
            ".pushsection .text.kiln_linux_vdso, \"ax\", @progbits",
            ".p2align 6",
            ".globl kiln_linux_vdso",
            "kiln_linux_vdso:",
            ".byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0",
            ".quad 0",
            ".short 3, 62",
            ".long 1",
            ".quad 0, .Lvdso_segments - kiln_linux_vdso, 0",
            ".long 0",
            ".short 64, 56, 2, 64, 0, 0",
            ".Lvdso_segments:",
            // PT_LOAD, readable and executable.
            ".long 1, 5",
            ".quad 0, 0, 0",
            ".quad kiln_linux_vdso_end - kiln_linux_vdso",
            ".quad kiln_linux_vdso_end - kiln_linux_vdso",
            ".quad 4096",
            // PT_DYNAMIC, readable.
            ".long 2, 4",
            ".quad .Lvdso_dynamic - kiln_linux_vdso",
            ".quad .Lvdso_dynamic - kiln_linux_vdso",
            ".quad .Lvdso_dynamic - kiln_linux_vdso",
            ".quad .Lvdso_dynamic_end - .Lvdso_dynamic",
            ".quad .Lvdso_dynamic_end - .Lvdso_dynamic",
            ".quad 8",
            // Each symbol: a global function in some section.
            ".Lvdso_symbols:",
            ".zero 24",
            ".long .Lvdso_name1 - .Lvdso_names",
            ".short 0x12, 1",
            ".quad .Lvdso_clock_gettime - kiln_linux_vdso",
            ".quad .Lvdso_gettimeofday - .Lvdso_clock_gettime",
            ".long .Lvdso_name2 - .Lvdso_names",
            ".short 0x12, 1",
            ".quad .Lvdso_gettimeofday - kiln_linux_vdso",
            ".quad .Lvdso_time - .Lvdso_gettimeofday",
            ".long .Lvdso_name3 - .Lvdso_names",
            ".short 0x12, 1",
            ".quad .Lvdso_time - kiln_linux_vdso",
            ".quad .Lvdso_getcpu - .Lvdso_time",
            ".long .Lvdso_name4 - .Lvdso_names",
            ".short 0x12, 1",
            ".quad .Lvdso_getcpu - kiln_linux_vdso",
            ".quad .Lvdso_now - .Lvdso_getcpu",
            ".Lvdso_hash:",
            ".long 1, 5, 1, 0, 2, 3, 4, 0",
            // Two definitions: the object's own name, and the version that all symbols have.
            ".Lvdso_definitions:",
            ".short 1, 1, 1, 1",
            ".long {name_hash}, 20, 28",
            ".long .Lvdso_own_name - .Lvdso_names, 0",
            ".short 1, 0, 2, 1",
            ".long {version_hash}, 20, 0",
            ".long .Lvdso_version - .Lvdso_names, 0",
            ".Lvdso_versions:",
            ".short 0, 2, 2, 2, 2",
            ".p2align 3",
            ".Lvdso_dynamic:",
            ".quad 14, .Lvdso_own_name - .Lvdso_names",
            ".quad 4, .Lvdso_hash - kiln_linux_vdso",
            ".quad 5, .Lvdso_names - kiln_linux_vdso",
            ".quad 6, .Lvdso_symbols - kiln_linux_vdso",
            ".quad 10, .Lvdso_names_end - .Lvdso_names",
            ".quad 11, 24",
            ".quad 0x6ffffff0, .Lvdso_versions - kiln_linux_vdso",
            ".quad 0x6ffffffc, .Lvdso_definitions - kiln_linux_vdso",
            ".quad 0x6ffffffd, 2",
            ".quad 0, 0",
            ".Lvdso_dynamic_end:",
            ".Lvdso_names:",
            ".byte 0",
            ".Lvdso_name1: .asciz \"__vdso_clock_gettime\"",
            ".Lvdso_name2: .asciz \"__vdso_gettimeofday\"",
            ".Lvdso_name3: .asciz \"__vdso_time\"",
            ".Lvdso_name4: .asciz \"__vdso_getcpu\"",
            ".Lvdso_own_name: .asciz \"linux-vdso.so.1\"",
            ".Lvdso_version: .asciz \"LINUX_2.6\"",
            ".Lvdso_names_end:",
            ".p2align 4",
            // edi: clock, rsi: where to.
            ".Lvdso_clock_gettime:",
            "cmp edi, {last_clock}",
            "ja 2f",
            "mov eax, {clocks}",
            "bt eax, edi",
            "jnc 2f",
            $is_told,
            "jnz 2f",
            "mov ecx, {wall}",
            "bt ecx, edi",
            "call .Lvdso_now",
            "mov [rsi], rdx",
            "mov [rsi + 8], r9",
            "xor eax, eax",
            "ret",
            "2:",
            "mov eax, {clock_gettime}",
            "jmp .Lvdso_call",
            ".p2align 4",
            // rdi: where to, rsi: the time zone, which is UTC; either may be null.
            ".Lvdso_gettimeofday:",
            $is_told,
            "jnz 3f",
            "test rdi, rdi",
            "jz 2f",
            "stc",
            "call .Lvdso_now",
            "mov [rdi], rdx",
            "mov eax, r9d",
            "xor edx, edx",
            "mov ecx, 1000",
            "div ecx",
            "mov [rdi + 8], rax",
            "2:",
            "test rsi, rsi",
            "jz 2f",
            "mov qword ptr [rsi], 0",
            "2:",
            "xor eax, eax",
            "ret",
            "3:",
            "mov eax, {gettimeofday}",
            "jmp .Lvdso_call",
            ".p2align 4",
            // rdi: where to as well, or null.
            ".Lvdso_time:",
            $is_told,
            "jnz 3f",
            "stc",
            "call .Lvdso_now",
            "mov rax, rdx",
            "test rdi, rdi",
            "jz 2f",
            "mov [rdi], rax",
            "2:",
            "ret",
            "3:",
            "mov eax, {time}",
            "jmp .Lvdso_call",
            ".p2align 4",
            ".Lvdso_getcpu:",
            "mov eax, {getcpu}",
            "jmp .Lvdso_call",
            ".p2align 4",
            // Answers seconds in rdx and nanoseconds in r9: since 1970 if the carry flag is set, else
            // since the machine started. Destroys rax, rcx, r8, r10, r11 besides.
            ".Lvdso_now:",
            "sbb ecx, ecx",
            $information,
            "3:",
            "mov r9, [r8 + {version}]",
            "mov r10, [r8 + {tsc_base}]",
            // The counter must not be read before the version was.
            "lfence",
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            // Another processor's counter may be slightly behind: time stands still then.
            "xor edx, edx",
            "sub rax, r10",
            "cmovb rax, rdx",
            "mov r10, [r8 + {ns_base}]",
            "mov r11, [r8 + {offset}]",
            "mul qword ptr [r8 + {multiplier}]",
            "test r9b, 1",
            "jnz 4f",
            "cmp r9, [r8 + {version}]",
            "jne 4f",
            "shrd rax, rdx, 32",
            "add rax, r10",
            "movsxd rcx, ecx",
            "and r11, rcx",
            "add rax, r11",
            // A division by 10^9: by 2^9, then by multiplying with 2^75 / (10^9 / 2^9), rounded up.
            "mov r9, rax",
            "shr rax, 9",
            "movabs rdx, 0x44b82fa09b5a53",
            "mul rdx",
            "shr rdx, 11",
            "imul rax, rdx, 1000000000",
            "sub r9, rax",
            "ret",
            "4:",
            "pause",
            "jmp 3b",
            // The call of number eax by the way of a rewritten site.
            ".Lvdso_call:",
            "lea rcx, [rip + 2f]",
            "jmp {called}",
            "2:",
            "ret",
            ".globl kiln_linux_vdso_end",
            "kiln_linux_vdso_end:",
            ".popsection",
            name_hash = const hash(b"linux-vdso.so.1"),
            version_hash = const hash(b"LINUX_2.6"),
            last_clock = const abi::CLOCK_TAI,
            clocks = const WALL | MONOTONIC,
            wall = const WALL,
            clock_gettime = const abi::__NR_clock_gettime,
            gettimeofday = const abi::__NR_gettimeofday,
            time = const abi::__NR_time,
            getcpu = const abi::__NR_getcpu,
            stops = const CONSOLE | TIMER,
            version = const offset_of!(KernelInformation, version),
            tsc_base = const offset_of!(KernelInformation, tsc_base),
            ns_base = const offset_of!(KernelInformation, ns_base),
            multiplier = const offset_of!(KernelInformation, multiplier),
            offset = const offset_of!(KernelInformation, wall_clock_offset),
            $($operand)*
        );
    };
}

#[cfg(kiln_freestanding)]
shared_object!(
    "movabs r8, {information}",
    "test dword ptr gs:[{pending}], {stops}",
    information = const kiln_object::layout::KERNEL_INFORMATION_BASE,
    pending = const offset_of!(kiln_object::dispatcher::DispatcherPage, pending),
    called = sym super::called,
);
#[cfg(all(not(kiln_freestanding), not(test)))]
shared_object!(
    "lea r8, [rip + kiln_linux_vdso]",
    "test esp, {stops}",
    called = sym kiln_linux_vdso,
);
#[cfg(test)]
shared_object!(
    "lea r8, [rip + {information}]",
    "test dword ptr [rip + {pending}], {stops}",
    information = sym super::vdso_tests::INFORMATION,
    pending = sym super::vdso_tests::PENDING,
    called = sym super::vdso_tests::called,
);

unsafe extern "C" {
    fn kiln_linux_vdso();
    fn kiln_linux_vdso_end();
}

/// The hash of a version's name (System V ABI, 5.3, hash table).
pub(super) const fn hash(name: &[u8]) -> u32 {
    let mut hash = 0_u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash << 4).wrapping_add(name[at] as u32);
        let high = hash & 0xf000_0000;
        hash = (hash ^ (high >> 24)) & !high;
        at += 1;
    }
    hash
}

/// Where the object is: its start, for `AT_SYSINFO_EHDR`, and its end.
#[must_use]
pub fn range() -> core::ops::Range<u64> {
    kiln_linux_vdso as *const () as u64..kiln_linux_vdso_end as *const () as u64
}

/// The object as `/proc/self/maps` shows it: whole pages.
#[must_use]
pub fn region() -> Region {
    let range = range();
    Region {
        start: range.start & !(PAGE_BYTES - 1),
        end: range.end.next_multiple_of(PAGE_BYTES),
        protection: Protection::READ | Protection::EXECUTE,
        offset: 0,
        name: b"[vdso]".to_vec(),
    }
}
