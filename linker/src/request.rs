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
/// that they define, or they have a section that [`keep`](Self::keep) names. Of what was taken in, a
/// section is kept if a kept section or a root refers to it, if it has `SHF_GNU_RETAIN`, if its name
/// starts with `.kiln.keep`, or if `keep` names it.
///
/// Sections called `LIST` or `LIST.MEMBER`, where `LIST` is a C identifier, lie side by side, by
/// name, between `__start_LIST` and `__stop_LIST`. A reference to these symbols does *not* keep the
/// members: the list has what the roots and the rules above put in, and is empty if they put in
/// nothing. So a member costs nothing until it is named.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The component's name in messages and reports.
    pub name: String,
    /// What to link.
    pub inputs: Vec<Input<'a>>,
    /// Symbols to keep, besides the entries; an undefined one is an error.
    pub roots: Vec<String>,
    /// Symbol of the first instruction.
    pub entry: Option<String>,
    /// Symbol at which the kernel enters after a `syscall` instruction of a foreign program.
    pub reflected: Option<String>,
    /// Symbol at which the kernel enters after a trap.
    pub trap: Option<String>,
    /// Sections, by full name, that start the text, in this order.
    pub first: Vec<String>,
    /// Sections to keep though nothing refers to them: those with such a name, or such a name and a
    /// dot and more. It is an error if there is none.
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

    /// All symbols that are kept because they are named here.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        let entries = [&self.entry, &self.reflected, &self.trap];
        entries.into_iter().flatten().chain(&self.roots)
    }

    /// Whether [`keep`](Self::keep) names this section.
    pub(crate) fn keeps(&self, section: &str) -> bool {
        self.keep.iter().any(|name| is_named(section, name))
    }
}

/// Whether a section's name is this one, or this one and a dot and more.
pub(crate) fn is_named(section: &str, name: &str) -> bool {
    section
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
