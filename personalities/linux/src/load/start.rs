//! What a program finds when it starts, however it came into memory: stack, heap, its words.

use alloc::borrow::Cow;
use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_linux_start::InitialStack;
use kiln_linux_start::stack::Machine;
use kiln_object::layout::{PAGE_BYTES, USER_END};

use super::Failure;
use crate::errno::Errno;
use crate::files::files as open_files;
use crate::memory::{Break, Range};
use crate::process::{self, STACK_BYTES, has_fsgsbase};
use crate::pseudo::Program;
use crate::{LINUX, program_memory};

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

/// A program in its place in memory.
pub(super) struct Placed {
    /// Its absolute path.
    pub executable: Cow<'static, [u8]>,
    /// The end of its memory, behind which the heap starts.
    pub end: u64,
    /// Its stack, not settled yet.
    pub stack: InitialStack,
}

impl Placed {
    /// Makes the heap, and the stack, which ends at `stack_top`; answers its pointer and its pages.
    pub(super) fn finish(
        self,
        stack_top: u64,
        random: &Randomness,
    ) -> Result<(u64, Range), Failure> {
        let Self {
            executable,
            end,
            mut stack,
        } = self;
        let break_start = end + random.below(3, BREAK_SPREAD);
        *LINUX.memory.program_break.lock() = Break::at(break_start & !(PAGE_BYTES - 1));
        let pages = map_stack(stack_top.next_multiple_of(PAGE_BYTES))?;
        let pointer = stack_top - stack.bytes().len() as u64;
        stack.settle(pointer, random.key(), &machine());
        program_memory::copy_out(pointer, stack.bytes()).map_err(Failure::Map)?;
        *open_files().program.lock() = Program::started(executable, stack);
        Ok((pointer, pages))
    }
}

/// Random numbers for the layout, drawn at once: four offsets and a key.
pub(super) struct Randomness([u64; 6]);

impl Randomness {
    /// Those that the kernel drew for the first program, which nobody else may use.
    pub(super) fn of_first_program() -> Self {
        Self(kiln_runtime::startup().random)
    }

    pub(super) fn draw() -> Result<Self, Errno> {
        use zerocopy::IntoBytes;
        let mut drawn = Self([0; 6]);
        process::random_bytes(drawn.0.as_mut_bytes())?;
        Ok(drawn)
    }

    /// The `n`-th offset: below `spread`, a power of two, in steps of 16 bytes.
    fn below(&self, n: usize, spread: u64) -> u64 {
        self.0.get(n).copied().unwrap_or(0) & (spread - 1) & !15
    }

    /// For `AT_RANDOM`.
    fn key(&self) -> [u64; 2] {
        let [.., low, high] = self.0;
        [low, high]
    }

    /// Where the stack ends; mappings are kept below it from now on.
    pub(super) fn stack_top(&self) -> u64 {
        let top = (USER_END - self.below(0, STACK_SPREAD)) & !15;
        let ceiling = top - STACK_BYTES - STACK_RESERVE - self.below(1, MAPPING_SPREAD);
        LINUX
            .memory
            .ceiling
            .store(ceiling & !(PAGE_BYTES - 1), Relaxed);
        top
    }

    /// Where a program that may lie anywhere is put.
    pub(super) fn program(&self) -> u64 {
        PROGRAM_BASE + self.below(2, PROGRAM_SPREAD)
    }
}

fn map_stack(top: u64) -> Result<Range, Failure> {
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
    Ok(Range {
        start: bottom,
        length: STACK_BYTES,
    })
}

/// What this machine says of itself.
fn machine() -> Machine {
    use core::arch::x86_64::__cpuid;
    /// `AT_HWCAP2`: FSGSBASE may be used in user mode.
    const HWCAP2_FSGSBASE: u64 = 2;
    // While system calls are traced, clocks are read by them.
    let traced = crate::entry::TRACING.load(Relaxed);
    Machine {
        shared_object: (!traced).then(|| crate::entry::vdso::range().start),
        capabilities: __cpuid(1).edx.into(),
        capabilities_2: if has_fsgsbase() { HWCAP2_FSGSBASE } else { 0 },
        signal_stack_bytes: crate::signal::minimum_stack_bytes(),
    }
}
