//! What to link: the inputs, and the rules by which parts of them are kept.

/// One archive or ELF relocatable.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its name in messages and reports.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The link of one component.
///
/// Objects are always taken in; members of archives only when something kept refers to a symbol
/// that they define. Of what was taken in, a section is kept if a kept section or a root refers to
/// it, if it has `SHF_GNU_RETAIN`, or if its name starts with `.kiln.keep` or one of
/// [`keep`](Self::keep).
///
/// A reference to `__start_NAME` or `__stop_NAME` does *not* keep the sections called `NAME`: the
/// list has what the roots and the rules above put in, and is empty if they put in nothing. So
/// registering in a list costs nothing until the component is named.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The component's name in messages and reports.
    pub name: String,
    /// What to link.
    pub inputs: Vec<Input<'a>>,
    /// Symbols to keep, besides the entry; an undefined one is an error.
    pub roots: Vec<String>,
    /// Symbol of the first instruction.
    pub entry: Option<String>,
    /// Sections, by full name, that start the text, in this order.
    pub first: Vec<String>,
    /// Beginnings of names of sections to keep though nothing refers to them.
    pub keep: Vec<String>,
    /// Beginnings of names of sections to leave out; a reference to one is an error.
    pub discard: Vec<String>,
    /// Symbols whose value the caller knows; they serve where no input defines the name.
    pub absolute: Vec<(String, u64)>,
    /// Symbols that must lie in bytes of the image even if they start as zeros.
    pub initialised: Vec<String>,
}

impl<'a> Request<'a> {
    /// A link of these inputs that keeps only what `entry` reaches.
    pub fn new(name: &str, inputs: Vec<Input<'a>>, entry: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            inputs,
            entry: entry.map(str::to_owned),
            ..Self::default()
        }
    }
}
