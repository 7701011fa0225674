//! What an ELF file says about the files it needs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{LittleEndian, StringTable};

use super::ProgramError;

type Header = elf::FileHeader64<LittleEndian>;

/// Why a file is no program or library for an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// It is empty.
    #[error("is empty, not a program")]
    Empty,
    /// It is a script.
    #[error(
        "is a script for `{0}`, not a program\n  = help: name the interpreter as the program and bring the script with --file (or `files`)"
    )]
    Script(String),
    /// It is no ELF file.
    #[error("is not an ELF program\n  = help: give a program built for x86-64 Linux")]
    NotElf,
    /// It is for a 32-bit machine.
    #[error("is a 32-bit program\n  = help: give a program built for x86-64 Linux")]
    Bits32,
    /// It is for another machine.
    #[error("is a program for {0}, not x86-64\n  = help: give a program built for x86-64 Linux")]
    OtherMachine(String),
    /// It is an object file or a core dump.
    #[error("is an ELF file but not a program that can be run\n  = help: link it first")]
    NotExecutable,
    /// Its headers point outside of it.
    #[error("is cut off or damaged: {0}\n  = help: build or copy it again")]
    Damaged(String),
}

/// The parts of an ELF program or library that lead to other files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ObjectFile {
    /// The loader, if it names one.
    pub interpreter: Option<String>,
    /// Names of the libraries it needs, in order.
    pub needed: Vec<String>,
    /// Where to look for them (DT_RPATH).
    pub rpath: Vec<String>,
    /// Where to look for them (DT_RUNPATH).
    pub runpath: Vec<String>,
}

impl ObjectFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read or is no program or library for x86-64.
    pub fn read(path: &Path) -> Result<Self, ProgramError> {
        let bytes = std::fs::read(path).map_err(|error| ProgramError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&bytes).map_err(|reason| ProgramError::Unsuitable {
            path: path.to_owned(),
            reason,
        })
    }

    /// Whether the file at `path` is there and a library for this machine: the loader
    /// passes over those that are for another.
    pub fn fits(path: &Path) -> bool {
        let mut start = [0; 20];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && start.starts_with(b"\x7fELF\x02\x01") && start[18..20] == [62, 0]
    }

    /// The loader that a program names, from the first bytes of its file; none if it names
    /// none, or is no program.
    pub fn interpreter_of(start: &[u8]) -> Option<String> {
        let header = Header::parse(start).ok()?;
        let segments = header.program_headers(LittleEndian, start).ok()?;
        let path = segments
            .iter()
            .find_map(|segment| segment.interpreter(LittleEndian, start).ok().flatten())?;
        Some(String::from_utf8_lossy(path).into_owned())
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// They are no program or library for x86-64.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unsuitable> {
        let damaged = |error: object::Error| Unsuitable::Damaged(error.to_string());
        if bytes.is_empty() {
            return Err(Unsuitable::Empty);
        }
        if let Some(script) = bytes.strip_prefix(b"#!") {
            let line = script
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            let line = String::from_utf8_lossy(line.get(..128).unwrap_or(line));
            return Err(Unsuitable::Script(line.trim().to_owned()));
        }
        match bytes.get(..5) {
            Some(b"\x7fELF\x02") => {}
            Some(b"\x7fELF\x01") => return Err(Unsuitable::Bits32),
            _ => return Err(Unsuitable::NotElf),
        }
        let header = Header::parse(bytes).map_err(damaged)?;
        let machine = header.e_machine.get(LittleEndian);
        if bytes.get(5) != Some(&1) || machine != elf::EM_X86_64 {
            return Err(Unsuitable::OtherMachine(machine_name(machine)));
        }
        let kind = header.e_type.get(LittleEndian);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(Unsuitable::NotExecutable);
        }
        let segments = header
            .program_headers(LittleEndian, bytes)
            .map_err(damaged)?;
        let mut found = Self::default();
        for segment in segments {
            let end = segment
                .p_offset
                .get(LittleEndian)
                .checked_add(segment.p_filesz.get(LittleEndian));
            if end.is_none_or(|end| end > bytes.len() as u64) {
                return Err(Unsuitable::Damaged(
                    "a segment lies past its end".to_owned(),
                ));
            }
            let path = segment
                .interpreter(LittleEndian, bytes)
                .map_err(|_| Unsuitable::Damaged("the loader's name lies outside".to_owned()))?;
            if let Some(path) = path {
                found.interpreter = Some(String::from_utf8_lossy(path).into_owned());
            }
        }
        found.read_dynamic(bytes, segments)?;
        Ok(found)
    }

    fn read_dynamic(
        &mut self,
        bytes: &[u8],
        segments: &[elf::ProgramHeader64<LittleEndian>],
    ) -> Result<(), Unsuitable> {
        let damaged = |what: &str| Unsuitable::Damaged(what.to_owned());
        let mut entries: &[elf::Dyn64<LittleEndian>] = &[];
        for segment in segments {
            let dynamic = segment
                .dynamic(LittleEndian, bytes)
                .map_err(|error| damaged(&error.to_string()))?;
            entries = dynamic.unwrap_or(entries);
        }
        let value = |tag| {
            let found = entries
                .iter()
                .find(|entry| entry.d_tag(LittleEndian) == tag);
            found.map(|entry| entry.d_val(LittleEndian))
        };
        let Some(address) = value(elf::DT_STRTAB) else {
            return Ok(());
        };
        let size = value(elf::DT_STRSZ).unwrap_or(0);
        let strings = segments
            .iter()
            .find_map(|segment| {
                segment
                    .data_range(LittleEndian, bytes, address, size)
                    .ok()
                    .flatten()
            })
            .ok_or_else(|| damaged("the names of its libraries lie outside"))?;
        let strings = StringTable::new(strings, 0, strings.len() as u64);
        for entry in entries {
            let tag = entry.d_tag(LittleEndian);
            if ![elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH].contains(&tag) {
                continue;
            }
            let offset = u32::try_from(entry.d_val(LittleEndian)).ok();
            let text = offset
                .and_then(|offset| strings.get(offset).ok())
                .ok_or_else(|| damaged("the name of a library lies outside"))?;
            let text = String::from_utf8_lossy(text).into_owned();
            match tag {
                elf::DT_NEEDED => self.needed.push(text),
                elf::DT_RPATH => self.rpath.extend(paths(&text)),
                _ => self.runpath.extend(paths(&text)),
            }
        }
        Ok(())
    }
}

fn paths(text: &str) -> impl Iterator<Item = String> {
    text.split(':')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
}

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_AARCH64 => "64-bit Arm".to_owned(),
        elf::EM_ARM => "32-bit Arm".to_owned(),
        elf::EM_386 => "32-bit x86".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        elf::EM_PPC64 => "64-bit PowerPC".to_owned(),
        elf::EM_S390 => "S/390".to_owned(),
        other => format!("machine number {other:?}"),
    }
}
