//! What the numbers in events mean: names from the image.

use std::collections::HashMap;
use std::ops::Range;

use kiln_image_format::{KERNEL_OFFSET, Kind, Permissions, SymbolTable};
use kiln_linker::{Image, InspectedComponent, inspect};
use kiln_object::configuration::{Configuration, key};
use kiln_object::trace::vector;

use super::interfaces::Interfaces;
use crate::compose::ComposeError;

/// Longest text of a process that is shown.
const LONGEST_TEXT: u64 = 128;

/// What an exception is called: SDM volume 3, 6.3.1.
pub fn exception(vector: u32) -> String {
    let name = match vector {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        6 => "invalid opcode",
        7 => "no floating-point unit",
        8 => "double fault",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        14 => "page fault",
        16 => "floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "vector floating-point error",
        other => return format!("exception {other}"),
    };
    name.to_owned()
}

/// What an interrupt is called: the kernel's vectors.
pub fn interrupt(vector: u32) -> String {
    match vector {
        vector::TIMER => "timer".to_owned(),
        vector::WAKE => "another processor".to_owned(),
        vector::SPURIOUS => "spurious interrupt".to_owned(),
        device @ vector::FIRST_DEVICE..=vector::LAST_DEVICE => {
            format!("device {}", device - vector::FIRST_DEVICE)
        }
        other => format!("interrupt {other:#x}"),
    }
}

/// Addresses and names of functions, by rising address.
type Symbols = Vec<(u64, String)>;

/// The bytes of the component of that kind, if the image has one.
fn blob<'a>(components: &[InspectedComponent], wanted: Kind, image: &'a [u8]) -> Option<&'a [u8]> {
    let mut all = components.iter();
    let found = all.find(|component| component.kind == wanted)?;
    found.segments.first()?.bytes(image)
}

/// Names of everything in one image.
#[derive(Debug, Clone, Default)]
pub struct Names {
    image: Vec<u8>,
    components: Vec<InspectedComponent>,
    symbols: HashMap<String, Symbols>,
    interfaces: Interfaces,
    personality: String,
    program: String,
    data: Range<u64>,
}

impl Names {
    /// Those of an image just composed.
    ///
    /// # Errors
    /// The linker's, which cannot be if it made the image.
    pub fn of_composed(image: &Image<'_>) -> Result<Self, ComposeError> {
        let mut names = Self::of_bytes(image.to_bytes())?;
        for component in &image.components {
            let linked = &component.linked;
            let functions = linked
                .symbols
                .iter()
                .filter(|symbol| symbol.kind == kiln_linker::SymbolKind::Function);
            let symbols = functions.map(|symbol| (symbol.address, symbol.name()));
            names.symbols.insert(linked.name.clone(), symbols.collect());
        }
        Ok(names)
    }

    /// Those of an image file.
    ///
    /// # Errors
    /// It is none.
    pub fn of_bytes(image: Vec<u8>) -> Result<Self, ComposeError> {
        let components = inspect(&image)?.components;
        let blob = |wanted: Kind| blob(&components, wanted, &image);
        let configuration = Configuration::new(blob(Kind::Config).unwrap_or_default());
        let value = |key| {
            let value = configuration.value(key).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let (personality, program) = (value(key::PERSONALITY), value(key::PROGRAM_PATH));
        let mut symbols = HashMap::new();
        if let Some(Ok(table)) = blob(Kind::Symbols(0)).map(SymbolTable::parse) {
            let kernel = table
                .iter()
                .map(|(address, name)| (address, name.to_owned()));
            symbols.insert("kernel".to_owned(), kernel.collect());
        }
        let data = data_of_kernel(&components);
        Ok(Self {
            image,
            components,
            symbols,
            interfaces: Interfaces::known(),
            personality,
            program,
            data,
        })
    }

    /// None, of an image whose kernel has its data there.
    #[cfg(test)]
    pub(crate) fn with_kernel_data(data: Range<u64>) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    /// The image's configuration, empty if it has none.
    pub fn configuration(&self) -> &[u8] {
        blob(&self.components, Kind::Config, &self.image).unwrap_or_default()
    }

    /// Physical addresses of the kernel's data.
    pub fn kernel_data(&self) -> Range<u64> {
        self.data.clone()
    }

    /// What a process is called: the personality with its program.
    pub fn process(&self, name: &str) -> String {
        if name == self.personality && !self.program.is_empty() {
            let program = self.program.rsplit('/').next().unwrap_or_default();
            format!("{name} ({program})")
        } else {
            name.to_owned()
        }
    }

    /// The method of the interface with that hash.
    pub fn method(&self, hash: Option<u64>, method: u16) -> String {
        self.interfaces.method(hash, method)
    }

    /// An address in `component` or the kernel, with the function that it is in if that is known.
    pub fn address(&self, component: &str, address: u64) -> String {
        let owner = if address >= KERNEL_OFFSET {
            "kernel"
        } else {
            component
        };
        let is_its = address >= KERNEL_OFFSET
            || self.segments(component).any(|segment| {
                segment.permissions == Permissions::ReadExecute
                    && address.wrapping_sub(segment.virtual_address) < segment.memory_bytes
            });
        let found = self
            .symbols
            .get(owner)
            .filter(|_| is_its)
            .and_then(|symbols| {
                let after = symbols.partition_point(|(start, _)| *start <= address);
                let (start, name) = symbols.get(after.checked_sub(1)?)?;
                Some(format!("{name}+{:#x}", address - start))
            });
        found.unwrap_or_else(|| format!("{address:#x}"))
    }

    /// The text of `bytes` bytes that lies at `address` of `component` in the image.
    pub fn text(&self, component: &str, address: u64, bytes: u64) -> Option<&str> {
        let end = address.checked_add(bytes)?;
        if bytes > LONGEST_TEXT {
            return None;
        }
        let segment = self.segments(component).find(|segment| {
            let start = segment.virtual_address;
            start <= address && end <= start.saturating_add(segment.file_bytes)
        })?;
        let start = usize::try_from(address - segment.virtual_address).ok()?;
        let whole = segment.bytes(&self.image)?;
        let text = std::str::from_utf8(whole.get(start..start + bytes as usize)?).ok()?;
        (!text.contains(char::is_control)).then_some(text)
    }

    fn segments(&self, component: &str) -> impl Iterator<Item = &kiln_image_format::SegmentRecord> {
        let found = self.components.iter().find(|found| found.name == component);
        found.into_iter().flat_map(|component| &component.segments)
    }
}

/// Where the kernel's data lie once it is loaded.
fn data_of_kernel(components: &[InspectedComponent]) -> Range<u64> {
    let kernel = components.iter().find(|found| found.kind == Kind::Kernel);
    let segments = kernel.into_iter().flat_map(|kernel| &kernel.segments);
    let mut data: Option<Range<u64>> = None;
    for segment in segments.filter(|segment| segment.permissions == Permissions::ReadWrite) {
        let start = segment.virtual_address.wrapping_sub(KERNEL_OFFSET);
        let end = start.saturating_add(segment.memory_bytes);
        data = Some(match data {
            None => start..end,
            Some(data) => data.start.min(start)..data.end.max(end),
        });
    }
    data.unwrap_or(0..0)
}
