//! What a program finds when it starts, however it came into memory: stack, heap, its words.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_object::layout::{PAGE_BYTES, USER_END};
use linux_raw_sys::auxvec;

use super::plan::PROGRAM_HEADER_BYTES;
use super::strings::Strings;
use super::{Failure, stack};
use crate::errno::Errno;
use crate::files::files as open_files;
use crate::memory::{Break, Range};
use crate::process::{self, STACK_BYTES, has_fsgsbase};
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

/// Entries that [`auxiliary_vector`] makes.
const AUXILIARY_ENTRIES: usize = 17;

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
pub(super) struct Start {
    /// The path that was asked for.
    pub path: Vec<u8>,
    /// The absolute path of the file.
    pub executable: Vec<u8>,
    /// `argv`.
    pub arguments: Strings,
    /// `envp`.
    pub environment: Strings,
    /// What its layout is drawn from.
    pub random: Randomness,
}

impl Start {
    /// Whether it fits on a stack, which does not depend on where that is.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.stack(USER_END, &[(0, 0); AUXILIARY_ENTRIES])?;
        Ok(())
    }

    fn stack(&self, top: u64, auxiliary: &[(u64, u64)]) -> Result<stack::InitialStack, Failure> {
        let content = stack::Content {
            arguments: &self.arguments,
            environment: &self.environment,
            file_name: &self.path,
            random: self.random.key,
            platform: b"x86_64",
            auxiliary,
        };
        stack::lay_out(&content, top).map_err(|_| Failure::Arguments)
    }

    /// Makes the heap and the stack, which ends at `stack_top`; answers where the program starts and
    /// its stack pointer.
    pub(super) fn finish(self, stack_top: u64, program: &Placed) -> Result<(u64, u64), Failure> {
        let break_start = program.end + self.random.below(3, BREAK_SPREAD);
        *LINUX.memory.program_break.lock() = Break::at(break_start & !(PAGE_BYTES - 1));
        map_stack(stack_top.next_multiple_of(PAGE_BYTES))?;
        let initial = self.stack(stack_top, &auxiliary_vector(program))?;
        program_memory::copy_out(initial.pointer, &initial.bytes).map_err(Failure::Map)?;
        let pointer = initial.pointer;
        remember(self.executable, initial);
        Ok((program.entry, pointer))
    }
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

fn auxiliary_vector(program: &Placed) -> [(u64, u64); AUXILIARY_ENTRIES] {
    use core::arch::x86_64::__cpuid;
    /// `AT_HWCAP2`: FSGSBASE may be used in user mode.
    const HWCAP2_FSGSBASE: u64 = 2;
    // While system calls are traced, clocks are read by them.
    let shared_object = match crate::entry::TRACING.load(Relaxed) {
        true => (auxvec::AT_IGNORE, 0),
        false => (auxvec::AT_SYSINFO_EHDR, crate::entry::vdso::range().start),
    };
    [
        shared_object,
        (auxvec::AT_HWCAP, u64::from(__cpuid(1).edx)),
        (auxvec::AT_PAGESZ, PAGE_BYTES),
        (auxvec::AT_CLKTCK, time::TICKS_PER_SECOND),
        (auxvec::AT_PHDR, program.table_address),
        (auxvec::AT_PHENT, PROGRAM_HEADER_BYTES as u64),
        (auxvec::AT_PHNUM, program.table_entries),
        (auxvec::AT_BASE, program.interpreter_base),
        (auxvec::AT_FLAGS, 0),
        (auxvec::AT_ENTRY, program.program_entry),
        (auxvec::AT_UID, u64::from(process::identity::USER)),
        (auxvec::AT_EUID, u64::from(process::identity::USER)),
        (auxvec::AT_GID, u64::from(process::identity::GROUP)),
        (auxvec::AT_EGID, u64::from(process::identity::GROUP)),
        (auxvec::AT_SECURE, 0),
        (
            auxvec::AT_HWCAP2,
            if has_fsgsbase() { HWCAP2_FSGSBASE } else { 0 },
        ),
        (auxvec::AT_MINSIGSTKSZ, crate::signal::minimum_stack_bytes()),
    ]
    .map(|(kind, value)| (u64::from(kind), value))
}

/// Keeps what `/proc/self` tells.
fn remember(executable: Vec<u8>, initial: stack::InitialStack) {
    let place = |address: u64| (address - initial.pointer) as usize;
    let (auxiliary, length) = initial.auxiliary;
    let mut program = open_files().program.lock();
    let name = executable
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    program.name = name.get(..15).unwrap_or(name).to_vec();
    program.arguments = place(initial.arguments.0)..place(initial.arguments.1);
    program.environment = place(initial.environment.0)..place(initial.environment.1);
    program.auxiliary = place(auxiliary)..place(auxiliary) + length;
    program.stack = initial.bytes;
    program.path = executable;
}
