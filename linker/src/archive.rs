//! Opens inputs, and finds the archive member that defines a symbol without reading the others.

use crate::elf_object::{self, ElfObject};
use crate::{Error, Input, naming};
use object::read::archive::{ArchiveFile, ArchiveMember, ArchiveOffset};

/// An archive whose members are read when they are wanted.
pub(crate) struct Archive<'a> {
    name: &'a str,
    bytes: &'a [u8],
    file: ArchiveFile<'a>,
}

/// An input, told apart by its first bytes.
pub(crate) enum Opened<'a> {
    Object(ElfObject<'a>),
    Archive(Archive<'a>),
}

pub(crate) fn open<'a>(input: &Input<'a>) -> Result<Opened<'a>, Error> {
    if input.bytes.starts_with(&object::archive::MAGIC) {
        let file = ArchiveFile::parse(input.bytes)
            .map_err(|error| malformed(input.name, &error.to_string()))?;
        return Ok(Opened::Archive(Archive {
            name: input.name,
            bytes: input.bytes,
            file,
        }));
    }
    if input.bytes.starts_with(&object::archive::THIN_MAGIC) {
        return Err(malformed(
            input.name,
            "a thin archive has no content; make a full one",
        ));
    }
    Ok(Opened::Object(ElfObject::parse(
        input.name.to_owned(),
        input.bytes,
    )?))
}

impl<'a> Archive<'a> {
    /// Calls `found` with each symbol that a member defines and the member's offset.
    pub(crate) fn for_each_symbol(
        &self,
        mut found: impl FnMut(&'a [u8], u64),
    ) -> Result<(), Error> {
        let fault = |error: object::read::Error| malformed(self.name, &error.to_string());
        if let Some(symbols) = self.file.symbols().map_err(fault)? {
            for symbol in symbols {
                let symbol = symbol.map_err(fault)?;
                found(symbol.name(), symbol.offset().0);
            }
            return Ok(());
        }
        // Without an index every member has to be read once.
        self.for_each_member(|member, offset| match self.read(member) {
            Ok(object) => object.for_each_definition(|name| found(name, offset)),
            // What is not an object, such as a compiler's notes to itself, defines nothing.
            Err(_) => Ok(()),
        })
    }

    /// Offsets of the members that have a section for which `wanted` holds.
    pub(crate) fn members_with(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<u64>, Error> {
        let mut offsets = Vec::new();
        self.for_each_member(|member, offset| {
            let bytes = member.data(self.bytes).unwrap_or_default();
            if elf_object::has_section(bytes, &wanted) {
                offsets.push(offset);
            }
            Ok(())
        })?;
        Ok(offsets)
    }

    fn for_each_member(
        &self,
        mut found: impl FnMut(&ArchiveMember<'a>, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for member in self.file.members() {
            let member = member.map_err(|error| malformed(self.name, &error.to_string()))?;
            found(&member, member.file_range().0.saturating_sub(HEADER_BYTES))?;
        }
        Ok(())
    }

    /// Reads the member at this offset.
    pub(crate) fn member(&self, offset: u64) -> Result<ElfObject<'a>, Error> {
        let member = self
            .file
            .member(ArchiveOffset(offset))
            .map_err(|error| malformed(self.name, &error.to_string()))?;
        self.read(&member)
    }

    fn read(&self, member: &ArchiveMember<'a>) -> Result<ElfObject<'a>, Error> {
        let name = format!("{}({})", self.name, naming::text(member.name()));
        let bytes = member
            .data(self.bytes)
            .map_err(|error| malformed(&name, &error.to_string()))?;
        ElfObject::parse(name, bytes)
    }
}

/// Size of a member's header; its content follows at once in the formats that we read.
const HEADER_BYTES: u64 = 60;

pub(crate) fn malformed(object: &str, reason: &str) -> Error {
    Error::Malformed {
        object: object.to_owned(),
        reason: reason.to_owned(),
    }
}
