//! Everything that can be wrong with a link, said so that a person can act on it.
//!
//! Names in messages are demangled; objects are named `archive(member)`.

use crate::Class;
use kiln_image_format::{SymbolError, TableError};

/// Where in the inputs something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The object: a file, or `archive(member)`.
    pub object: String,
    /// The function or datum, demangled, or else the section.
    pub item: String,
}

impl std::fmt::Display for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}` in {}", self.item, self.object)
    }
}

/// A symbol that something needs and nothing defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndefinedSymbol {
    /// Its name, demangled.
    pub symbol: String,
    /// What refers to it; `None` if it is one of the link's roots.
    pub referrer: Option<Site>,
}

impl std::fmt::Display for UndefinedSymbol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.referrer {
            Some(site) => write!(formatter, "`{}`, referred to by {site}", self.symbol),
            None => write!(formatter, "`{}`, a root of the link", self.symbol),
        }
    }
}

/// Why a link or a composition failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An input is neither an archive nor an x86-64 ELF relocatable, or is damaged.
    #[error("{object}: {reason}")]
    Malformed {
        /// The input.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// Symbols that nothing defines.
    #[error("{component}: undefined {}", list(symbols))]
    Undefined {
        /// The component.
        component: String,
        /// All of them, in the order in which they were met.
        symbols: Vec<UndefinedSymbol>,
    },
    /// A section that the request names is in no input.
    #[error("{component}: no input has a section `{section}`")]
    NothingToKeep {
        /// The component.
        component: String,
        /// The name in the request.
        section: String,
    },
    /// Two objects define one symbol, and neither definition is weak.
    #[error("`{symbol}` is defined both in {first} and in {second}")]
    Duplicate {
        /// The symbol, demangled.
        symbol: String,
        /// Object of the first definition.
        first: String,
        /// Object of the second definition.
        second: String,
    },
    /// A value does not fit where a relocation has to put it.
    #[error(
        "relocation {relocation} against `{symbol}` does not fit ({value:#x}) at {site}: \
         compile for the right code model"
    )]
    Overflow {
        /// The relocation's number in the processor supplement.
        relocation: Relocation,
        /// The symbol, demangled.
        symbol: String,
        /// The value, before it was cut.
        value: u64,
        /// What holds the reference.
        site: Site,
    },
    /// A relocation that this linker does not know.
    #[error("relocation {relocation} against `{symbol}` is not supported, at {site}")]
    UnsupportedRelocation {
        /// The relocation's number in the processor supplement.
        relocation: Relocation,
        /// The symbol, demangled.
        symbol: String,
        /// What holds the reference.
        site: Site,
    },
    /// Thread-local storage: a component has no thread pointer of its own.
    #[error(
        "`{symbol}` is thread-local, used by {site}: a component has no thread-local storage; \
         keep the state per processor or per thread explicitly"
    )]
    ThreadLocal {
        /// The symbol, demangled.
        symbol: String,
        /// What holds the reference.
        site: Site,
    },
    /// Code that wants to run before the entry point; nothing would run it.
    #[error(
        "{object} has constructors or destructors ({section}): nothing runs them in a component"
    )]
    Constructors {
        /// The object.
        object: String,
        /// The section that lists them.
        section: String,
    },
    /// A section that is both writable and executable.
    #[error("section {section} of {object} is writable and executable; it may be only one")]
    WritableCode {
        /// The object.
        object: String,
        /// The section.
        section: String,
    },
    /// A tentative definition, which only C without `-fno-common` makes.
    #[error("`{symbol}` in {object} is a common symbol: compile with -fno-common")]
    CommonSymbol {
        /// The symbol.
        symbol: String,
        /// The object.
        object: String,
    },
    /// A function whose address is chosen at run time.
    #[error("`{symbol}` in {object} is an indirect function; nothing resolves it in a component")]
    IndirectFunction {
        /// The symbol.
        symbol: String,
        /// The object.
        object: String,
    },
    /// A reference into a section that never becomes part of a component.
    #[error("{site} refers to `{symbol}` in section {section}, which is left out of components")]
    Discarded {
        /// The symbol, demangled.
        symbol: String,
        /// The section left out.
        section: String,
        /// What holds the reference.
        site: Site,
    },
    /// A class was placed at an address that its sections cannot have.
    #[error("{component}: {class} cannot start at {address:#x}: its alignment is {alignment:#x}")]
    Misaligned {
        /// The component.
        component: String,
        /// The class.
        class: Class,
        /// The address given.
        address: u64,
        /// What the address must be a multiple of.
        alignment: u64,
    },
    /// A component reaches past the end of the address space, or two of its classes overlap.
    #[error(
        "{component}: {class} at {address:#x} overlaps another class or the address space's end"
    )]
    Overlap {
        /// The component.
        component: String,
        /// The class.
        class: Class,
        /// The address given.
        address: u64,
    },
    /// The kernel lacks what the image's headers or its table need.
    #[error("the kernel's `{symbol}` {reason}")]
    KernelSymbol {
        /// The symbol.
        symbol: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The image does not fit below the limit of its addresses.
    #[error("the image needs {bytes} bytes of memory; the kernel's addresses end at {limit}")]
    TooLarge {
        /// Bytes of memory that the image takes.
        bytes: u64,
        /// The most there can be.
        limit: u64,
    },
    /// Bytes that are not an image.
    #[error("not a Kiln image: {0}")]
    NotAnImage(&'static str),
    /// An image whose table is damaged.
    #[error("damaged image: {0}")]
    Table(#[from] TableError),
    /// An image whose symbol table is damaged.
    #[error("damaged image: {0}")]
    Symbols(#[from] SymbolError),
}

/// A relocation type, shown by the name of the x86-64 processor supplement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation(pub u32);

impl std::fmt::Display for Relocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match crate::relocate::name(self.0) {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "number {}", self.0),
        }
    }
}

fn list(symbols: &[UndefinedSymbol]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = symbols
        .iter()
        .take(SHOWN)
        .map(UndefinedSymbol::to_string)
        .collect();
    if let Some(more) = symbols.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push(format!("and {more} more"));
    }
    text.join("; ")
}
