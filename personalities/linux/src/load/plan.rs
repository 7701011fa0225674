//! What an ELF file asks for, checked, before anything is mapped.
//!
//! Everything here is computed from bytes that anyone may have written: a plan that comes out is
//! one that can be carried out inside the program's part of the address space, whatever the bytes.

use alloc::vec::Vec;
use core::fmt;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
use kiln_object::layout::{PAGE_BYTES, SYSTEM_END, SYSTEM_START, USER_END, USER_START};

/// Bytes of an ELF64 file header.
pub const HEADER_BYTES: usize = 64;

/// Bytes of an ELF64 program header.
pub use kiln_linux_start::PROGRAM_HEADER_BYTES;

/// Most bytes of program headers (Linux has the same bound).
const TABLE_BYTES: usize = 64 << 10;

/// Longest path of an interpreter.
const INTERPRETER_BYTES: u64 = 4096;

/// Most bytes that one program may spread over.
const SPAN: u64 = 1 << 46;

/// Why a file cannot be run. The texts are for whoever made the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not an ELF file at all.
    NotElf,
    /// An ELF file for other processors.
    Machine(u16),
    /// A 32-bit or big-endian ELF file.
    NotSixtyFourBit,
    /// An object or core file.
    NotExecutable(u16),
    /// The file ends before what its headers promise.
    Truncated(&'static str),
    /// A header contradicts itself or asks for an impossible place.
    Malformed(&'static str),
    /// A segment that is both written and executed.
    WritableCode,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::NotElf => {
                formatter.write_str("unknown format: neither an ELF file nor a #! script")
            }
            Refusal::Machine(machine) => {
                formatter.write_str("wrong architecture: this is an ELF file for ")?;
                match machine_name(machine) {
                    Some(name) => formatter.write_str(name)?,
                    None => write!(formatter, "machine {machine}")?,
                }
                formatter.write_str("; Kiln runs x86-64")
            }
            Refusal::NotSixtyFourBit => formatter.write_str(
                "wrong architecture: this is a 32-bit or big-endian ELF file; Kiln runs x86-64",
            ),
            Refusal::NotExecutable(kind) => write!(
                formatter,
                "this ELF file is {}, not a program",
                match kind {
                    abi::ET_REL => "an object file to be linked",
                    abi::ET_CORE => "a core dump",
                    _ => "of an unknown type",
                }
            ),
            Refusal::Truncated(what) => {
                write!(formatter, "truncated ELF file: it ends before {what}")
            }
            Refusal::Malformed(what) => write!(formatter, "malformed ELF file: {what}"),
            Refusal::WritableCode => formatter.write_str(
                "a segment of this ELF file is both writable and executable, which Kiln never maps",
            ),
        }
    }
}

impl core::error::Error for Refusal {}

fn machine_name(machine: u16) -> Option<&'static str> {
    Some(match machine {
        abi::EM_386 => "Intel 80386",
        abi::EM_ARM => "ARM",
        abi::EM_AARCH64 => "AARCH64",
        abi::EM_RISCV => "RISC-V",
        abi::EM_PPC => "PowerPC",
        abi::EM_PPC64 => "PowerPC64",
        abi::EM_S390 => "S/390",
        abi::EM_MIPS => "MIPS",
        abi::EM_SPARCV9 => "SPARC V9",
        abi::EM_LOONGARCH => "LoongArch",
        abi::EM_68K => "Motorola 68000",
        abi::EM_IA_64 => "Itanium",
        _ => return None,
    })
}

/// The checked file header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the file may be placed anywhere (`ET_DYN`).
    pub relocatable: bool,
    /// Entry point, before relocation.
    pub entry: u64,
    /// Where the program headers lie in the file.
    pub table_offset: u64,
    /// How many program headers there are; at least one.
    pub table_entries: usize,
}

impl Header {
    /// Checks the first bytes of a file (all of it, if it is shorter than [`HEADER_BYTES`]).
    ///
    /// # Errors
    /// Why the file is no program for this machine.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.get(..4) != Some(&abi::ELFMAGIC[..]) {
            return Err(Refusal::NotElf);
        }
        let header = bytes
            .get(..HEADER_BYTES)
            .ok_or(Refusal::Truncated("the end of its header"))?;
        let (ident, tail) = header.split_at(abi::EI_NIDENT);
        let data_encoding = ident.get(abi::EI_DATA).copied().unwrap_or(0);
        if data_encoding == abi::ELFDATA2MSB {
            return Err(Refusal::NotSixtyFourBit);
        }
        let ident = parse_ident::<LittleEndian>(ident)
            .map_err(|_| Refusal::Malformed("its identification"))?;
        if ident.1 == Class::ELF32 {
            // The machine field lies at the same place for both classes.
            return Err(match tail.get(2..4) {
                Some(&[low, high]) if u16::from_le_bytes([low, high]) != abi::EM_X86_64 => {
                    Refusal::Machine(u16::from_le_bytes([low, high]))
                }
                _ => Refusal::NotSixtyFourBit,
            });
        }
        let header = FileHeader::parse_tail(ident, tail)
            .map_err(|_| Refusal::Malformed("its file header"))?;
        if header.e_machine != abi::EM_X86_64 {
            return Err(Refusal::Machine(header.e_machine));
        }
        let relocatable = match header.e_type {
            abi::ET_EXEC => false,
            abi::ET_DYN => true,
            other => return Err(Refusal::NotExecutable(other)),
        };
        let table_entries = header.e_phnum as usize;
        if header.e_phentsize as usize != PROGRAM_HEADER_BYTES {
            return Err(Refusal::Malformed(
                "its program headers are of a wrong size",
            ));
        }
        if table_entries == 0 || table_entries * PROGRAM_HEADER_BYTES > TABLE_BYTES {
            return Err(Refusal::Malformed("it has no program headers, or too many"));
        }
        Ok(Self {
            relocatable,
            entry: header.e_entry,
            table_offset: header.e_phoff,
            table_entries,
        })
    }

    /// Bytes of the program header table.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.table_entries * PROGRAM_HEADER_BYTES
    }
}

/// A stretch of the file to be mapped, addresses before relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte in memory; congruent to `file_offset` modulo the page size.
    pub address: u64,
    /// Bytes in memory; at least `file_bytes`, at least one.
    pub memory_bytes: u64,
    /// First byte in the file.
    pub file_offset: u64,
    /// Bytes in the file; the rest of the memory is zero.
    pub file_bytes: u64,
    /// Loads allowed.
    pub readable: bool,
    /// Stores allowed; never with `executable`.
    pub writable: bool,
    /// Instruction fetches allowed.
    pub executable: bool,
}

/// What is to be done to run a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether the file may be placed anywhere.
    pub relocatable: bool,
    /// Entry point, before relocation.
    pub entry: u64,
    /// Segments by ascending address; at least one.
    pub segments: Vec<Segment>,
    /// Where the interpreter's path lies in the file, with its NUL.
    pub interpreter: Option<(u64, usize)>,
    /// Where the program header table lies in memory, before relocation; zero if nowhere.
    pub table_address: u64,
    /// How many program headers there are.
    pub table_entries: usize,
    /// What a relocation must be a multiple of: at least the page size, a power of two.
    pub alignment: u64,
}

impl Plan {
    /// Makes the plan from the program header table of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// Why the file cannot be run.
    pub fn make(header: &Header, table: &[u8], file_bytes: u64) -> Result<Self, Refusal> {
        if table.len() < header.table_bytes() {
            return Err(Refusal::Truncated("the end of its program headers"));
        }
        let mut plan = Self {
            relocatable: header.relocatable,
            entry: header.entry,
            segments: Vec::new(),
            interpreter: None,
            table_address: 0,
            table_entries: header.table_entries,
            alignment: PAGE_BYTES,
        };
        for entry in SegmentTable::new(LittleEndian, Class::ELF64, table)
            .iter()
            .take(header.table_entries)
        {
            match entry.p_type {
                abi::PT_LOAD => plan.add(&entry, file_bytes)?,
                abi::PT_INTERP if plan.interpreter.is_none() => {
                    plan.interpreter = Some(interpreter(&entry, file_bytes)?);
                }
                _ => {}
            }
        }
        let (Some(first), Some(last)) = (plan.segments.first(), plan.segments.last()) else {
            return Err(Refusal::Malformed("it has nothing to load"));
        };
        let (start, end) = (page_down(first.address), last.address + last.memory_bytes);
        if !plan.relocatable && !place_is_free(start, end) {
            return Err(Refusal::Malformed(
                "its segments lie where no program may be",
            ));
        }
        if end - start > SPAN {
            return Err(Refusal::Malformed("its segments spread too far"));
        }
        plan.table_address = plan
            .segments
            .iter()
            .find_map(|segment| {
                let inside = header.table_offset.checked_sub(segment.file_offset)?;
                let end = inside.checked_add(header.table_bytes() as u64)?;
                (end <= segment.file_bytes).then(|| segment.address + inside)
            })
            .unwrap_or(0);
        Ok(plan)
    }

    /// First page and end (rounded up to a page) of the memory, before relocation.
    #[must_use]
    pub fn extent(&self) -> (u64, u64) {
        let start = self
            .segments
            .first()
            .map_or(0, |first| page_down(first.address));
        let end = self
            .segments
            .last()
            .map_or(0, |last| page_up(last.address + last.memory_bytes));
        (start, end)
    }

    fn add(&mut self, entry: &ProgramHeader, file_bytes: u64) -> Result<(), Refusal> {
        if entry.p_memsz == 0 {
            return Ok(());
        }
        let segment = Segment {
            address: entry.p_vaddr,
            memory_bytes: entry.p_memsz,
            file_offset: entry.p_offset,
            file_bytes: entry.p_filesz,
            readable: entry.p_flags & abi::PF_R != 0,
            writable: entry.p_flags & abi::PF_W != 0,
            executable: entry.p_flags & abi::PF_X != 0,
        };
        if segment.file_bytes > segment.memory_bytes {
            return Err(Refusal::Malformed(
                "a segment has more bytes in the file than in memory",
            ));
        }
        let end_in_file = segment.file_offset.checked_add(segment.file_bytes);
        if segment.file_bytes > 0 && end_in_file.is_none_or(|end| end > file_bytes) {
            return Err(Refusal::Truncated("the end of a segment"));
        }
        let end = segment.address.checked_add(segment.memory_bytes);
        if end.is_none_or(|end| end > USER_END) {
            return Err(Refusal::Malformed("a segment lies above user memory"));
        }
        if segment.file_bytes > 0
            && segment.address % PAGE_BYTES != segment.file_offset % PAGE_BYTES
        {
            return Err(Refusal::Malformed(
                "a segment's address does not fit its place in the file",
            ));
        }
        if segment.writable && segment.executable {
            return Err(Refusal::WritableCode);
        }
        if let Some(last) = self.segments.last()
            && segment.address < last.address + last.memory_bytes
        {
            return Err(Refusal::Malformed(
                "its segments overlap or are out of order",
            ));
        }
        // An alignment that is no power of two means nothing; one of more than 1 GiB helps nobody.
        if entry.p_align.is_power_of_two() && entry.p_align <= 1 << 30 {
            self.alignment = self.alignment.max(entry.p_align);
        }
        self.segments.push(segment);
        Ok(())
    }
}

fn interpreter(entry: &ProgramHeader, file_bytes: u64) -> Result<(u64, usize), Refusal> {
    if !(2..=INTERPRETER_BYTES).contains(&entry.p_filesz) {
        return Err(Refusal::Malformed(
            "the path of its interpreter is empty or too long",
        ));
    }
    match entry.p_offset.checked_add(entry.p_filesz) {
        Some(end) if end <= file_bytes => Ok((entry.p_offset, entry.p_filesz as usize)),
        _ => Err(Refusal::Truncated("the path of its interpreter")),
    }
}

/// Whether a program may lie there.
#[must_use]
pub fn place_is_free(start: u64, end: u64) -> bool {
    start >= USER_START && end <= USER_END && (end <= SYSTEM_START || start >= SYSTEM_END)
}

/// The page that `address` is in.
#[must_use]
pub const fn page_down(address: u64) -> u64 {
    address & !(PAGE_BYTES - 1)
}

/// The first page boundary at or above `address`; `address` is at most [`USER_END`].
#[must_use]
pub const fn page_up(address: u64) -> u64 {
    page_down(address + (PAGE_BYTES - 1))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
