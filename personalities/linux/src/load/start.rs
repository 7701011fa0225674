//! What a program finds when it starts, however it came into memory: stack, heap, its words.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_object::layout::{PAGE_BYTES, USER_END};
use linux_raw_sys::auxvec;

use super::Failure;
use super::plan::PROGRAM_HEADER_BYTES;
use super::stack::{Auxiliary, Content, InitialStack, Places};
use super::strings::Strings;
use crate::errno::Errno;
use crate::files::files as open_files;
use crate::memory::{Break, Range};
use crate::process::{self, STACK_BYTES, has_fsgsbase};
use crate::pseudo::Program;
use crate::{LINUX, program_memory, time};

/// Bytes below the stack that are kept free, so that running over its end is a fault.
pub const STACK_GAP: u64 = 1 << 20;

/// Distance of mappings from the top of the stack, as Linux keeps it at the least.
const STACK_RESERVE: u64 = 128 << 20;

/// Randomness of the stack's top (16 GiB, as Linux) and of the mappings below it.
const STACK_SPREAD: u64 = 1 << 34;
const MAPPING_SPREAD: u64 = 1 << 40;

/// Where a program that may lie anywhere is put at the least, as Linux does.
const PROGRAM_BASE: u64 = 0x5555_5555_4000;
const PROGRAM_SPREAD: u64 = 1 << 40;

/// Randomness of the heap's start behind the program.
const BREAK_SPREAD: u64 = 1 << 25;

/// What the auxiliary vector says to every program; its end, since the rest comes before.
const COMMON_AUXILIARY: [Auxiliary; 10] = [
    [auxvec::AT_PAGESZ as u64, PAGE_BYTES],
    [auxvec::AT_CLKTCK as u64, time::TICKS_PER_SECOND],
    [auxvec::AT_PHENT as u64, PROGRAM_HEADER_BYTES as u64],
    [auxvec::AT_FLAGS as u64, 0],
    [auxvec::AT_UID as u64, process::identity::USER as u64],
    [auxvec::AT_EUID as u64, process::identity::USER as u64],
    [auxvec::AT_GID as u64, process::identity::GROUP as u64],
    [auxvec::AT_EGID as u64, process::identity::GROUP as u64],
    [auxvec::AT_SECURE as u64, 0],
    [auxvec::AT_NULL as u64, 0],
];

/// Entries of the auxiliary vector that [`auxiliary_vector`] makes.
const OWN_AUXILIARY: usize = 11;

/// A program in its place in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Where it begins: its interpreter's entry, if it has one.
    pub entry: u64,
    /// Its own entry.
    pub program_entry: u64,
    /// Where its interpreter lies; zero without one.
    pub interpreter_base: u64,
    /// Where its program headers are; zero if they are nowhere.
    pub table_address: u64,
    /// How many they are.
    pub table_entries: u64,
    /// The end of its memory, behind which the heap starts.
    pub end: u64,
}

/// What a program is started with.
pub(super) struct Start<'a> {
    /// The path that was asked for.
    pub path: &'a [u8],
    /// The absolute path of the file.
    pub executable: Vec<u8>,
    /// `argv`.
    pub arguments: Strings,
    /// `envp`.
    pub environment: Strings,
    /// What its layout is drawn from.
    pub random: Randomness,
}

impl Start<'_> {
    /// Whether it fits on a stack, which does not depend on where that is.
    pub(super) fn check(&self) -> Result<(), Failure> {
        places(&self.content(), USER_END).map(|_| ())
    }

    fn content(&self) -> Content<'_> {
        Content {
            arguments: &self.arguments,
            environment: &self.environment,
            file_name: self.path,
            random: &self.random.key,
            platform: b"x86_64",
        }
    }

    /// Makes the heap and the stack, which ends at `stack_top`; answers where the program starts and
    /// its stack pointer.
    pub(super) fn finish(self, stack_top: u64, program: &Placed) -> Result<(u64, u64), Failure> {
        let break_start = program.end + self.random.below(3, BREAK_SPREAD);
        *LINUX.memory.program_break.lock() = Break::at(break_start & !(PAGE_BYTES - 1));
        map_stack(stack_top.next_multiple_of(PAGE_BYTES))?;
        let content = self.content();
        let places = places(&content, stack_top)?;
        let own = auxiliary_vector(program, &places);
        let stack = InitialStack::make(&content, places, [&own, &COMMON_AUXILIARY]);
        program_memory::copy_out(places.pointer, &stack.bytes).map_err(Failure::Map)?;
        *open_files().program.lock() = Program::started(self.executable, stack);
        Ok((program.entry, places.pointer))
    }
}

fn places(content: &Content<'_>, top: u64) -> Result<Places, Failure> {
    let entries = OWN_AUXILIARY + COMMON_AUXILIARY.len();
    Places::of(content, entries, top).map_err(|_| Failure::Arguments)
}

/// Random numbers for the layout, drawn at once.
pub(super) struct Randomness {
    offsets: [u64; 4],
    key: [u8; 16],
}

impl Randomness {
    pub(super) fn draw() -> Result<Self, Errno> {
        let mut bytes = [0; 48];
        process::random_bytes(&mut bytes)?;
        let (words, key) = bytes.split_at(32);
        let mut drawn = Self {
            offsets: [0; 4],
            key: [0; 16],
        };
        drawn.key.copy_from_slice(key);
        for (offset, word) in drawn.offsets.iter_mut().zip(words.as_chunks::<8>().0) {
            *offset = u64::from_le_bytes(*word);
        }
        Ok(drawn)
    }

    /// The `n`-th offset: below `spread`, a power of two, in steps of 16 bytes.
    fn below(&self, n: usize, spread: u64) -> u64 {
        self.offsets.get(n).copied().unwrap_or(0) & (spread - 1) & !15
    }

    /// Where the stack ends; mappings are kept below it from now on.
    pub(super) fn stack_top(&self) -> u64 {
        let top = (USER_END - self.below(0, STACK_SPREAD)) & !15;
        let ceiling = top - STACK_BYTES - STACK_RESERVE - self.below(1, MAPPING_SPREAD);
        *LINUX.memory.ceiling.lock() = ceiling & !(PAGE_BYTES - 1);
        top
    }

    /// Where a program that may lie anywhere is put.
    pub(super) fn program(&self) -> u64 {
        PROGRAM_BASE + self.below(2, PROGRAM_SPREAD)
    }
}

fn map_stack(top: u64) -> Result<(), Failure> {
    let space = kiln_runtime::address_space();
    let bottom = top - STACK_BYTES;
    let protection = Protection::READ | Protection::WRITE;
    space
        .map_anonymous(
            bottom,
            STACK_BYTES,
            protection.bits(),
            MapFlags::EXACT.bits(),
        )
        .map_err(|error| Failure::Map(error.into()))?;
    LINUX.memory.stack_bottom.store(bottom, Relaxed);
    let range = Range {
        start: bottom,
        length: STACK_BYTES,
    };
    LINUX.memory.names.lock().insert(range, b"[stack]");
    Ok(())
}

/// What the auxiliary vector says to this program.
fn auxiliary_vector(program: &Placed, places: &Places) -> [Auxiliary; OWN_AUXILIARY] {
    use core::arch::x86_64::__cpuid;
    /// `AT_HWCAP2`: FSGSBASE may be used in user mode.
    const HWCAP2_FSGSBASE: u64 = 2;
    // While system calls are traced, clocks are read by them.
    let shared_object = match crate::entry::TRACING.load(Relaxed) {
        true => [auxvec::AT_IGNORE.into(), 0],
        false => [
            auxvec::AT_SYSINFO_EHDR.into(),
            crate::entry::vdso::range().start,
        ],
    };
    [
        shared_object,
        [auxvec::AT_HWCAP.into(), __cpuid(1).edx.into()],
        [
            auxvec::AT_HWCAP2.into(),
            if has_fsgsbase() { HWCAP2_FSGSBASE } else { 0 },
        ],
        [auxvec::AT_PHDR.into(), program.table_address],
        [auxvec::AT_PHNUM.into(), program.table_entries],
        [auxvec::AT_BASE.into(), program.interpreter_base],
        [auxvec::AT_ENTRY.into(), program.program_entry],
        [
            auxvec::AT_MINSIGSTKSZ.into(),
            crate::signal::minimum_stack_bytes(),
        ],
        [auxvec::AT_RANDOM.into(), places.random],
        [auxvec::AT_EXECFN.into(), places.file_name],
        [auxvec::AT_PLATFORM.into(), places.platform],
    ]
}
