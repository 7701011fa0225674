//! What `/proc/self` says: the process as this library knows it.
//!
//! Formats are those of proc(5); numbers that nobody counts are zero.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use kiln_interface::kernel::Protection;
use kiln_object::layout::PAGE_BYTES;

use crate::errno::Errno;
use crate::files::Files;
use crate::memory::{self, Region};
use crate::process::identity::PROCESS;

/// The process's number: it is the first of its image.
#[must_use]
pub const fn process_number() -> i32 {
    PROCESS as i32
}

/// The open descriptors.
#[derive(Debug)]
pub struct DescriptorList(pub Vec<i32>);

impl DescriptorList {
    /// Those open now.
    #[must_use]
    pub fn of(files: &Files) -> Self {
        Self(files.open_descriptors())
    }
}

/// `cmdline`
pub fn command_line(files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(files.program.lock().arguments());
}

/// `environ`
pub fn environment(files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(files.program.lock().environment());
}

/// `auxv`
pub fn auxiliary_vector(files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(files.program.lock().auxiliary());
}

/// `comm`
pub fn name(files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(files.program.lock().name());
    text.push(b'\n');
}

/// Takes a new `comm`.
pub fn set_name(files: &Files, bytes: &[u8]) -> Result<(), Errno> {
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'\n'));
    let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    files.program.lock().set_name(name);
    Ok(())
}

/// `cgroup`
pub fn control_groups(_files: &Files, text: &mut Vec<u8>) {
    text.extend_from_slice(b"0::/\n");
}

/// `limits`
pub fn limits(_files: &Files, text: &mut Vec<u8>) {
    const LINES: [[&str; 4]; 16] = [
        ["Max cpu time", "unlimited", "unlimited", "seconds"],
        ["Max file size", "unlimited", "unlimited", "bytes"],
        ["Max data size", "unlimited", "unlimited", "bytes"],
        ["Max stack size", "8388608", "unlimited", "bytes"],
        ["Max core file size", "0", "unlimited", "bytes"],
        ["Max resident set", "unlimited", "unlimited", "bytes"],
        ["Max processes", "1", "1", "processes"],
        ["Max open files", "1024", "1048576", "files"],
        ["Max locked memory", "8388608", "8388608", "bytes"],
        ["Max address space", "unlimited", "unlimited", "bytes"],
        ["Max file locks", "unlimited", "unlimited", "locks"],
        ["Max pending signals", "1024", "1024", "signals"],
        ["Max msgqueue size", "819200", "819200", "bytes"],
        ["Max nice priority", "0", "0", ""],
        ["Max realtime priority", "0", "0", ""],
        ["Max realtime timeout", "unlimited", "unlimited", "us"],
    ];
    let mut lines = String::from(
        "Limit                     Soft Limit           Hard Limit           Units     \n",
    );
    for [name, soft, hard, unit] in LINES {
        let _ = writeln!(lines, "{name:<25} {soft:<20} {hard:<20} {unit:<10}");
    }
    text.extend_from_slice(lines.as_bytes());
}

/// `maps`
pub fn maps(_files: &Files, text: &mut Vec<u8>) {
    let mut shared_object = Some(crate::entry::vdso::region());
    for region in memory::regions() {
        if let Some(before) = shared_object.take_if(|object| object.start < region.start) {
            write_region(&before, text);
        }
        write_region(&region, text);
    }
}

fn write_region(region: &Region, text: &mut Vec<u8>) {
    let may = |protection, letter| {
        if region.protection.contains(protection) {
            letter
        } else {
            '-'
        }
    };
    let mut line = String::new();
    let _ = write!(
        line,
        "{:08x}-{:08x} {}{}{}p {:08x} 00:00 0 ",
        region.start,
        region.end,
        may(Protection::READ, 'r'),
        may(Protection::WRITE, 'w'),
        may(Protection::EXECUTE, 'x'),
        region.offset,
    );
    text.extend_from_slice(line.as_bytes());
    if !region.name.is_empty() {
        // The name starts in column 73, as far as the addresses leave room.
        text.extend(core::iter::repeat_n(
            b' ',
            73_usize.saturating_sub(line.len()),
        ));
        text.extend_from_slice(&region.name);
    }
    text.push(b'\n');
}

/// Bytes mapped in all, and those that may be written.
fn mapped() -> (u64, u64) {
    memory::regions()
        .iter()
        .fold((0, 0), |(all, data), region| {
            let bytes = region.end - region.start;
            let writable = region.protection.contains(Protection::WRITE);
            (all + bytes, data + if writable { bytes } else { 0 })
        })
}

/// `stat`
pub fn statistics(files: &Files, text: &mut Vec<u8>) {
    let (all, data) = mapped();
    let number = process_number();
    text.extend_from_slice(alloc::format!("{number} (").as_bytes());
    text.extend_from_slice(files.program.lock().name());
    let line = alloc::format!(
        ") R 0 {number} {number} 1281 {number} 4194560 0 0 0 0 {ticks} 0 0 0 20 0 1 0 0 {all} {pages} \
         18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        ticks = kiln_runtime::time::monotonic_ns() / 10_000_000,
        pages = data / PAGE_BYTES,
    );
    text.extend_from_slice(line.as_bytes());
}

/// `statm`
pub fn memory_statistics(_files: &Files, text: &mut Vec<u8>) {
    let (all, data) = mapped();
    let (all, data) = (all / PAGE_BYTES, data / PAGE_BYTES);
    text.extend_from_slice(alloc::format!("{all} {data} 0 0 0 {data} 0\n").as_bytes());
}

/// `status`
pub fn status(files: &Files, text: &mut Vec<u8>) {
    let (all, data) = mapped();
    let number = process_number();
    text.extend_from_slice(b"Name:\t");
    text.extend_from_slice(files.program.lock().name());
    let lines = alloc::format!(
        "\nUmask:\t{mask:04o}\nState:\tR (running)\nTgid:\t{number}\nNgid:\t0\nPid:\t{number}\nPPid:\t0\n\
         TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t \n\
         VmPeak:\t{all:8} kB\nVmSize:\t{all:8} kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n\
         VmHWM:\t{data:8} kB\nVmRSS:\t{data:8} kB\nVmData:\t{data:8} kB\nVmSwap:\t       0 kB\n\
         Threads:\t1\nSigQ:\t0/1024\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n\
         SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n\
         CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n\
         CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n\
         Cpus_allowed:\t{cpus:x}\nCpus_allowed_list:\t{list}\n",
        mask = files.mask(),
        all = all >> 10,
        data = data >> 10,
        cpus = super::machine::processor_mask(),
        list = super::machine::processor_list(),
    );
    text.extend_from_slice(lines.as_bytes());
}

/// `mounts`
pub fn mounts(files: &Files, text: &mut Vec<u8>) {
    for (path, kind, read_only) in mounted(files) {
        text.extend_from_slice(kind.as_bytes());
        text.push(b' ');
        escape(&path, text);
        let rest = alloc::format!(" {kind} {} 0 0\n", if read_only { "ro" } else { "rw" });
        text.extend_from_slice(rest.as_bytes());
    }
}

/// `mountinfo`
pub fn mount_information(files: &Files, text: &mut Vec<u8>) {
    for (place, (path, kind, read_only)) in mounted(files).into_iter().enumerate() {
        let how = if read_only { "ro" } else { "rw" };
        let number = place + 20;
        let parent = if place == 0 { 1 } else { 20 };
        text.extend_from_slice(alloc::format!("{number} {parent} 0:{number} / ").as_bytes());
        escape(&path, text);
        text.extend_from_slice(alloc::format!(" {how} - {kind} {kind} {how}\n").as_bytes());
    }
}

fn mounted(files: &Files) -> Vec<(Vec<u8>, &'static str, bool)> {
    let mut all = Vec::new();
    if let Ok(mounts) = files.mounts() {
        for mount in mounts.iter().rev() {
            all.push((mount.path.clone(), "kiln", mount.read_only));
        }
    }
    for (path, kind) in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs")] {
        all.push((path.as_bytes().to_vec(), kind, false));
    }
    all
}

/// Spaces and their like would end a field.
fn escape(path: &[u8], text: &mut Vec<u8>) {
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                text.extend_from_slice(alloc::format!("\\{byte:03o}").as_bytes());
            }
            byte => text.push(*byte),
        }
    }
}
