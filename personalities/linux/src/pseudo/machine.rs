//! What `/proc` and `/sys` say about the machine.
//!
//! Formats are those of proc(5) and sysfs; numbers that nobody counts are zero.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, CpuidResult};
use core::fmt::Write as _;
use core::sync::atomic::Ordering;

use spin::Once;

use super::device::fill_random;
use crate::errno::Errno;
use crate::files::Files;
use crate::process::{UtsField, uts_field};

fn put(text: &mut Vec<u8>, what: &str) {
    text.extend_from_slice(what.as_bytes());
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(_files: &Files, text: &mut Vec<u8>) {
            put(text, $text);
            text.push(b'\n');
        }
    )*};
}

fixed! {
    /// `0`
    zero = "0";
    /// `2`
    two = "2";
    /// `sys/kernel/pid_max`
    most_processes = "32768";
    /// `sys/kernel/cap_last_cap`
    last_capability = "40";
    /// `sys/kernel/ngroups_max`
    most_groups = "65536";
    /// `sys/kernel/random/entropy_avail`
    entropy = "256";
    /// `sys/vm/max_map_count`
    most_mappings = "65530";
    /// `sys/vm/mmap_min_addr`
    lowest_mapping = "65536";
    /// `sys/fs/file-max`
    most_files = "9223372036854775807";
    /// `sys/fs/nr_open`
    most_descriptors = "1048576";
    /// `sys/fs/pipe-max-size`
    most_pipe_bytes = "1048576";
    /// `enabled` of `transparent_hugepage`
    no_large_pages = "always madvise [never]";
    /// `loadavg`
    load = "0.00 0.00 0.00 1/1 1";
    /// `filesystems`
    file_systems = "nodev\tsysfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tkiln";
}

/// Takes what is written and does nothing.
pub fn ignore(_files: &Files, _bytes: &[u8]) -> Result<(), Errno> {
    Ok(())
}

/// `cmdline`
pub fn command_line(_files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(kiln_runtime::startup().command_line());
    text.push(b'\n');
}

/// A line that says what `uname` says.
fn put_field(text: &mut Vec<u8>, field: UtsField) {
    text.extend_from_slice(uts_field(field));
    text.push(b'\n');
}

/// `sys/kernel/hostname`
pub fn host_name(_files: &Files, text: &mut Vec<u8>) {
    put_field(text, UtsField::Host);
}

/// `sys/kernel/ostype`
pub fn system(_files: &Files, text: &mut Vec<u8>) {
    put_field(text, UtsField::System);
}

/// `sys/kernel/osrelease`
pub fn release(_files: &Files, text: &mut Vec<u8>) {
    put_field(text, UtsField::Release);
}

/// `version`
pub fn version(_files: &Files, text: &mut Vec<u8>) {
    put(text, "Linux version ");
    text.extend_from_slice(uts_field(UtsField::Release));
    put(text, " (kiln@kiln) ");
    put_field(text, UtsField::Version);
}

/// `uptime`
pub fn uptime(_files: &Files, text: &mut Vec<u8>) {
    let hundredths = kiln_runtime::time::monotonic_ns() / 10_000_000;
    put(
        text,
        &format!("{}.{:02} 0.00\n", hundredths / 100, hundredths % 100),
    );
}

/// `meminfo`
pub fn memory(_files: &Files, text: &mut Vec<u8>) {
    let free = kiln_runtime::kernel_information()
        .memory_free
        .load(Ordering::Relaxed)
        >> 10;
    let all = (kiln_runtime::startup().memory_bytes >> 10).max(free);
    for (name, amount) in [
        ("MemTotal", all),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", all - free),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("CommitLimit", all),
        ("Committed_AS", all - free),
    ] {
        put(
            text,
            &format!("{:<15} {amount:>8} kB\n", format!("{name}:")),
        );
    }
}

fn processors_online() -> u64 {
    let online = kiln_runtime::kernel_information()
        .cpus_online
        .load(Ordering::Relaxed);
    online.clamp(1, 64)
}

/// A bit for each processor.
pub fn processor_mask() -> u64 {
    u64::MAX >> (64 - processors_online())
}

/// The processors as a list: `0` or `0-3`.
pub fn processor_list() -> String {
    match processors_online() {
        1 => String::from("0"),
        count => format!("0-{}", count - 1),
    }
}

/// `online`, `possible`, `present`
pub fn processor_range(_files: &Files, text: &mut Vec<u8>) {
    put(text, &processor_list());
    text.push(b'\n');
}

/// What programs may use, by the answers of CPUID's leaves.
fn flags(leaf: impl Fn(u32) -> CpuidResult) -> String {
    // Programs look for these; the bits are CPUID's (leaf, register, bit).
    const FLAGS: [(u32, char, u32, &str); 24] = [
        (1, 'd', 0, "fpu"),
        (1, 'd', 4, "tsc"),
        (1, 'd', 8, "cx8"),
        (1, 'd', 15, "cmov"),
        (1, 'd', 23, "mmx"),
        (1, 'd', 24, "fxsr"),
        (1, 'd', 25, "sse"),
        (1, 'd', 26, "sse2"),
        (1, 'c', 0, "pni"),
        (1, 'c', 1, "pclmulqdq"),
        (1, 'c', 9, "ssse3"),
        (1, 'c', 12, "fma"),
        (1, 'c', 13, "cx16"),
        (1, 'c', 19, "sse4_1"),
        (1, 'c', 20, "sse4_2"),
        (1, 'c', 22, "movbe"),
        (1, 'c', 23, "popcnt"),
        (1, 'c', 25, "aes"),
        (1, 'c', 26, "xsave"),
        (1, 'c', 28, "avx"),
        (1, 'c', 29, "f16c"),
        (1, 'c', 30, "rdrand"),
        (7, 'b', 5, "avx2"),
        (7, 'b', 8, "bmi2"),
    ];
    // Of no use where the kernel has not switched XSAVE on, though CPUID has their bits.
    const BY_XSAVE: [&str; 5] = ["xsave", "avx", "avx2", "fma", "f16c"];
    const OSXSAVE: u32 = 1 << 27;
    let highest = leaf(0).eax;
    let has_xsave = leaf(1).ecx & OSXSAVE != 0;
    let mut flags = String::new();
    for (number, register, bit, name) in FLAGS {
        if number > highest || !has_xsave && BY_XSAVE.contains(&name) {
            continue;
        }
        let found = leaf(number);
        let word = match register {
            'b' => found.ebx,
            'c' => found.ecx,
            _ => found.edx,
        };
        if word >> bit & 1 == 1 {
            let _ = write!(flags, " {name}");
        }
    }
    flags
}

/// `cpuinfo`
pub fn processors(_files: &Files, text: &mut Vec<u8>) {
    let most = __cpuid(0);
    let mut vendor = Vec::new();
    for word in [most.ebx, most.edx, most.ecx] {
        vendor.extend(word.to_le_bytes());
    }
    let signature = __cpuid(1).eax;
    let family = (signature >> 8 & 15) + (signature >> 20 & 255);
    let model = (signature >> 4 & 15) | (signature >> 12 & 0xf0);
    let flags = flags(__cpuid);
    let vendor = String::from_utf8_lossy(&vendor).into_owned();
    let megahertz = kiln_runtime::kernel_information()
        .multiplier
        .load(Ordering::Relaxed);
    let megahertz = (1000_u64 << 32).checked_div(megahertz).unwrap_or(0);
    for processor in 0..processors_online() {
        put(
            text,
            &format!(
                "processor\t: {processor}\nvendor_id\t: {vendor}\ncpu family\t: {family}\n\
                 model\t\t: {model}\nmodel name\t: {vendor} processor\nstepping\t: {}\n\
                 cpu MHz\t\t: {megahertz}.000\nphysical id\t: 0\nsiblings\t: {count}\n\
                 core id\t\t: {processor}\ncpu cores\t: {count}\nflags\t\t:{flags}\n\n",
                signature & 15,
                count = processors_online(),
            ),
        );
    }
}

/// `stat`
pub fn statistics(_files: &Files, text: &mut Vec<u8>) {
    let ticks = kiln_runtime::time::monotonic_ns() / 10_000_000;
    put(text, &format!("cpu  {ticks} 0 0 0 0 0 0 0 0 0\n"));
    for processor in 0..processors_online() {
        put(text, &format!("cpu{processor} {ticks} 0 0 0 0 0 0 0 0 0\n"));
    }
    let started = kiln_runtime::time::wall_clock_ns()
        .saturating_sub(kiln_runtime::time::monotonic_ns())
        / 1_000_000_000;
    put(
        text,
        &format!(
            "intr 0\nctxt 0\nbtime {started}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
        ),
    );
}

/// A random identity as text: version 4 of RFC 9562.
fn identity() -> String {
    let mut bytes = [0; 16];
    // An identity of zeroes tells a reader that there is no randomness better than an error does.
    let _ = fill_random(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// `sys/kernel/random/uuid`
pub fn new_identity(_files: &Files, text: &mut Vec<u8>) {
    put(text, &identity());
    text.push(b'\n');
}

/// `sys/kernel/random/boot_id`
pub fn boot_identity(_files: &Files, text: &mut Vec<u8>) {
    static IDENTITY: Once<String> = Once::new();
    put(text, IDENTITY.call_once(identity));
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor that has everything, with XSAVE switched on or not.
    fn with_everything(has_xsave: bool) -> impl Fn(u32) -> CpuidResult {
        move |leaf| CpuidResult {
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: match leaf {
                1 if !has_xsave => !(1 << 27),
                _ => u32::MAX,
            },
            edx: u32::MAX,
        }
    }

    #[test]
    fn vectors_of_256_bits_are_there_only_with_xsave() {
        let with = flags(with_everything(true));
        let without = flags(with_everything(false));
        for name in ["xsave", "avx", "avx2", "fma", "f16c"] {
            assert!(with.split(' ').any(|flag| flag == name), "{with}");
            assert!(!without.split(' ').any(|flag| flag == name), "{without}");
        }
        for name in ["sse4_2", "bmi2", "aes"] {
            assert!(without.split(' ').any(|flag| flag == name), "{without}");
        }
    }
}
