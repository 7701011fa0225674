//! The program, laid out when the image is made.
//!
//! A program that is linked to one place, needs no loader and lies in whole pages of the root file
//! system is mapped by the kernel with the personality, and nobody has to find it, read it or map it
//! when the machine starts. Any other is left to the personality, which also says what is wrong
//! with it: so whatever is unusual here is only not laid out.

use kiln_erofs::Image;
use kiln_erofs::write::Tree;
use kiln_linker::{Permissions, ProgramInput, SegmentRecord};
use kiln_linux_start::laid_out::Pieces;
use kiln_linux_start::stack::Places;
use kiln_linux_start::{Content, InitialStack, LaidOut, Strings};
use kiln_object::configuration::{key, write_record};
use kiln_object::layout::{PAGE_BYTES, SYSTEM_END, SYSTEM_START, USER_END, USER_START};
use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use super::configuration::Launch;
use crate::manifest;

type Header = elf::FileHeader64<LE>;

/// A program in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// What the kernel maps.
    pub input: ProgramInput,
    /// What the personality is told, but for what depends on the stack.
    pub told: LaidOut,
    /// Where its program headers are; zero if they are nowhere.
    table_address: u64,
    /// How many program headers there are.
    table_entries: u64,
}

impl Program {
    /// Adds to a configuration what the personality is told: in front, where it is found at once.
    /// `None` if what the manifest gives the program is more than fits on a stack.
    pub fn write_record(
        &self,
        program: &manifest::Program,
        launch: Launch,
        configuration: &mut Vec<u8>,
    ) -> Option<()> {
        let (mut arguments, mut environment) = (Strings::default(), Strings::default());
        arguments.push(program.name().as_bytes());
        for argument in &program.args {
            arguments.push(argument.as_bytes());
        }
        for (name, value) in &program.env {
            environment.push(format!("{name}={value}").as_bytes());
        }
        let stack = InitialStack::make(&Content {
            arguments: &arguments,
            environment: &environment,
            file_name: program.path.value.as_bytes(),
            table_address: self.table_address,
            table_entries: self.table_entries,
            interpreter_base: 0,
            entry: self.told.entry,
        });
        let stack = stack.ok()?;
        let told = LaidOut {
            traced: launch.strace.into(),
            places: *stack.places(),
            ..self.told
        };
        let value = told.write(&Pieces {
            path: self.input.name.as_bytes(),
            directory: program.directory.as_bytes(),
            stack: stack.bytes(),
        });
        let mut record = Vec::new();
        write_record(
            |bytes| record.extend_from_slice(bytes),
            key::PROGRAM_LAID_OUT,
            &value,
        );
        configuration.splice(..0, record);
        Some(())
    }
}

/// The program at `path` of the tree that was written to `root`, if it can be laid out.
pub fn lay_out(tree: &Tree, path: &str, root: &[u8]) -> Option<Program> {
    // The kernel's table holds text.
    let path = String::from_utf8(tree.resolve(path).ok()?).ok()?;
    let image = Image::new(root).ok()?;
    let mut inode = image.inode(image.root()).ok()?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        inode = image
            .inode(image.lookup(&inode, name.as_bytes()).ok()?)
            .ok()?;
    }
    let extent = image.data_extent(&inode).ok()??;
    let start = usize::try_from(extent.offset).ok()?;
    let end = start.checked_add(usize::try_from(extent.length).ok()?)?;
    place(path, root.get(start..end)?, extent.offset)
}

/// Lays out the program whose file is `bytes` and lies at `offset` of the root file system.
fn place(name: String, bytes: &[u8], offset: u64) -> Option<Program> {
    let header = Header::parse(bytes).ok()?;
    let fits = bytes.starts_with(b"\x7fELF\x02\x01")
        && header.e_machine.get(LE) == elf::EM_X86_64
        && header.e_type.get(LE) == elf::ET_EXEC;
    if !fits {
        return None;
    }
    let headers = header.program_headers(LE, bytes).ok()?;
    let table = header.e_phoff.get(LE);
    let mut table_address = 0;
    let mut told = LaidOut {
        entry: header.e_entry.get(LE),
        start: 0,
        end: 0,
        clear: 0,
        traced: 0,
        path_bytes: 0,
        directory_bytes: 0,
        places: Places::default(),
    };
    let mut segments: Vec<SegmentRecord> = Vec::new();
    for header in headers {
        if header.p_type(LE) == elf::PT_INTERP {
            return None;
        }
        if header.p_type(LE) != elf::PT_LOAD || header.p_memsz(LE) == 0 {
            continue;
        }
        let segment = segment(header, bytes.len() as u64)?;
        let first_page = segment.virtual_address & !(PAGE_BYTES - 1);
        if first_page < told.end || !is_free(segment.virtual_address, segment.memory_bytes) {
            return None;
        }
        let file_end = segment.virtual_address + segment.file_bytes;
        if segment.memory_bytes > segment.file_bytes && !file_end.is_multiple_of(PAGE_BYTES) {
            // One page that is partly the file's is the usual case.
            if segment.permissions != Permissions::ReadWrite || told.clear != 0 {
                return None;
            }
            told.clear = file_end;
        }
        let inside = table.checked_sub(segment.image_offset);
        let whole = |start: u64| start + size_of_val(headers) as u64 <= segment.file_bytes;
        if let Some(inside) = inside.filter(|start| table_address == 0 && whole(*start)) {
            table_address = segment.virtual_address + inside;
        }
        if segments.is_empty() {
            told.start = first_page;
        }
        told.end = (segment.virtual_address + segment.memory_bytes).next_multiple_of(PAGE_BYTES);
        segments.push(SegmentRecord {
            image_offset: offset + segment.image_offset,
            ..segment
        });
    }
    if segments.is_empty() {
        return None;
    }
    let entry = told.entry;
    let input = ProgramInput {
        name,
        entry,
        segments,
    };
    Some(Program {
        input,
        told,
        table_address,
        table_entries: headers.len() as u64,
    })
}

/// A segment of a file of `length` bytes; its offset is that in the file.
fn segment(header: &elf::ProgramHeader64<LE>, length: u64) -> Option<SegmentRecord> {
    let segment = SegmentRecord {
        virtual_address: header.p_vaddr(LE),
        image_offset: header.p_offset(LE),
        file_bytes: header.p_filesz(LE),
        memory_bytes: header.p_memsz(LE),
        permissions: match header.p_flags(LE) & (elf::PF_R | elf::PF_W | elf::PF_X) {
            flags if flags == elf::PF_R => Permissions::Read,
            flags if flags == elf::PF_R | elf::PF_W => Permissions::ReadWrite,
            flags if flags == elf::PF_R | elf::PF_X => Permissions::ReadExecute,
            _ => return None,
        },
    };
    let file_end = segment.image_offset.checked_add(segment.file_bytes)?;
    let congruent = segment.virtual_address % PAGE_BYTES == segment.image_offset % PAGE_BYTES;
    let sound = file_end <= length && segment.file_bytes <= segment.memory_bytes && congruent;
    (sound && segment.file_bytes > 0).then_some(segment)
}

/// Whether a program may have its memory there.
fn is_free(start: u64, length: u64) -> bool {
    let Some(end) = start.checked_add(length).filter(|end| *end <= USER_END) else {
        return false;
    };
    start >= USER_START && (end <= SYSTEM_START || start >= SYSTEM_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of two segments: text with the headers, and data with bss.
    fn program() -> Vec<u8> {
        let mut file = vec![0; 0x3000];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &[2, 0, 62, 0, 1, 0, 0, 0]);
        put(24, &0x40_1010_u64.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(52, &[64, 0, 56, 0, 2, 0]);
        let headers = [
            [1 | 5 << 32, 0, 0x40_0000, 0, 0x1800, 0x1800, 4096],
            [1 | 6 << 32, 0x2010, 0x40_3010, 0, 0x100, 0x2000, 4096],
        ];
        for (index, word) in headers.iter().flatten().enumerate() {
            put(64 + 8 * index, &u64::to_le_bytes(*word));
        }
        file
    }

    fn placed(bytes: &[u8]) -> Option<Program> {
        place("/p".to_owned(), bytes, 0x5000)
    }

    #[test]
    fn a_static_program_has_its_place() {
        let found = placed(&program()).unwrap();
        let told = found.told;
        assert_eq!(told.entry, 0x40_1010);
        assert_eq!((told.start, told.end), (0x40_0000, 0x40_6000));
        assert_eq!(told.clear, 0x40_3110);
        assert_eq!((found.table_address, found.table_entries), (0x40_0040, 2));
        assert_eq!(found.input.segments[0].image_offset, 0x5000);
        assert_eq!(found.input.segments[1].image_offset, 0x7010);
        assert_eq!(found.input.segments[1].permissions, Permissions::ReadWrite);
    }

    #[test]
    fn the_personality_is_told_with_the_first_record() {
        let text = "name = \"t\"\n[program]\npath = \"/p\"\ncalled = \"ls\"\nargs = [\"-l\", \"\"]\n[root]\nfrom = []\nwritable = false";
        let source = manifest::Source::new("t.toml", text);
        let manifest = manifest::Manifest::parse(source, "".into()).unwrap();
        let found = placed(&program()).unwrap();
        let mut configuration = b"what was there".to_vec();
        let launch = Launch { strace: true };
        found
            .write_record(&manifest.program, launch, &mut configuration)
            .unwrap();
        assert!(configuration.ends_with(b"what was there"));
        let read = kiln_object::configuration::Configuration::new(&configuration);
        let record = read.records().next().unwrap();
        assert!(record.is(key::PROGRAM_LAID_OUT));
        let (told, pieces) = LaidOut::parse(record.value).unwrap();
        assert_eq!((told.entry, told.traced), (0x40_1010, 1));
        assert_eq!((pieces.path, pieces.directory), (&b"/p"[..], &b"/"[..]));
        let stack = InitialStack::made(pieces.stack, told.places);
        assert_eq!(stack.arguments(), b"ls\0-l\0\0");
    }

    #[test]
    fn what_is_unusual_is_left_to_the_personality() {
        let with = |at: usize, value: &[u8]| {
            let mut bytes = program();
            bytes[at..at + value.len()].copy_from_slice(value);
            placed(&bytes)
        };
        assert_ne!(with(16, &[2]), None);
        assert_eq!(with(16, &[3]), None, "may lie anywhere");
        assert_eq!(with(18, &[183]), None, "another machine");
        assert_eq!(with(64, &[3]), None, "has a loader");
        assert_eq!(with(68, &[7]), None, "written and executed");
        assert_eq!(with(120 + 16, &[0x11]), None, "lies elsewhere in its page");
        assert_eq!(with(120 + 17, &[0x10]), None, "overlaps");
        assert_eq!(
            with(120 + 33, &[0x80]),
            None,
            "larger than its memory or the file"
        );
        assert_eq!(with(64 + 21, &[0x60]), None, "the system's part");
        assert_eq!(placed(&program()[..0x2000]), None, "cut short");
    }
}
