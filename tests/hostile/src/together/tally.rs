//! How often each method was called and what the answers were, added up over the dispatchers of a process.
//!
//! A row is a method of an interface, as the caller takes the object for, or something else that is done;
//! a column is an answer.

use core::sync::atomic::{AtomicU32, Ordering};

use alloc::format;
use alloc::string::String;
use kiln_interface::file::{File, FileTree};
use kiln_interface::kernel::{
    AddressSpace, Clock, Console, FileCache, Log, Machine, PagedFile, Process, Random,
};
use kiln_interface::name_space::NameSpace;
use kiln_object::call::universal;
use kiln_object::describe::Description;
use kiln_object::{Error, Interface};

/// The interfaces whose methods are called.
pub const INTERFACES: [&Description; 12] = [
    <dyn AddressSpace as Interface>::DESCRIPTION,
    <dyn Process as Interface>::DESCRIPTION,
    <dyn FileCache as Interface>::DESCRIPTION,
    <dyn PagedFile as Interface>::DESCRIPTION,
    <dyn Log as Interface>::DESCRIPTION,
    <dyn Random as Interface>::DESCRIPTION,
    <dyn Console as Interface>::DESCRIPTION,
    <dyn Machine as Interface>::DESCRIPTION,
    <dyn Clock as Interface>::DESCRIPTION,
    <dyn NameSpace as Interface>::DESCRIPTION,
    <dyn FileTree as Interface>::DESCRIPTION,
    <dyn File as Interface>::DESCRIPTION,
];

/// Methods of all of them, and room for more.
const METHODS: usize = 80;

const _: () = {
    let (mut all, mut place) = (0, 0);
    while place < INTERFACES.len() {
        all += INTERFACES[place].methods.len();
        place += 1;
    }
    assert!(all <= METHODS);
};

/// What is counted besides methods of interfaces, in the order of [`Row`]'s other kinds.
const OTHERS: [&str; 21] = [
    "universal.bind",
    "universal.grant",
    "universal.release",
    "universal.take_back",
    "universal.accept",
    "universal.counts",
    "universal.held",
    "no such method",
    "operation send",
    "operation collect",
    "operation return, or none",
    "victim: shows, nests, boasts",
    "victim: calls on, storms",
    "victim: dies in the call",
    "victim: gives its objects away",
    "victim: makes a file",
    "attacker called",
    "page read (BadBuffer: refused)",
    "page written (BadBuffer: refused)",
    "page brought to others",
    "guessed object",
];

const UNIVERSAL: [u16; 7] = [
    universal::BIND,
    universal::GRANT,
    universal::RELEASE,
    universal::TAKE_BACK,
    universal::ACCEPT,
    universal::COUNTS,
    universal::HELD,
];

/// Answers that are told from each other: success, the two groups of errors, and two more.
const COLUMNS: usize = 32;
const SECOND_GROUP: usize = 14;
const UNKNOWN: usize = 30;
const UNFINISHED: usize = 31;

/// All rows.
pub const ROWS: usize = METHODS + OTHERS.len();

static COUNTS: [[AtomicU32; COLUMNS]; ROWS] =
    [const { [const { AtomicU32::new(0) }; COLUMNS] }; ROWS];

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(usize);

/// Rows that are no methods.
impl Row {
    /// A method that nothing has.
    const NO_METHOD: Self = Self::other(7);
    /// One-way messages.
    pub const SEND: Self = Self::other(8);
    /// Asking for an answer that is pending, or is not.
    pub const COLLECT: Self = Self::other(9);
    /// Returns of nobody's call, and operations that there are not.
    pub const NO_CALL: Self = Self::other(10);
    /// What the victim does without harm.
    pub const VICTIM: Self = Self::other(11);
    /// Calls that the victim makes.
    pub const VICTIM_CALLS: Self = Self::other(12);
    /// What ends the victim.
    pub const VICTIM_DIES: Self = Self::other(13);
    /// The victim's own objects.
    pub const VICTIM_GIVES: Self = Self::other(14);
    /// Files whose pages the victim brings.
    pub const VICTIM_FILES: Self = Self::other(15);
    /// Calls to another attacker.
    pub const ATTACKER: Self = Self::other(16);
    /// Loads from files of others.
    pub const PAGE_READ: Self = Self::other(17);
    /// Stores to them.
    pub const PAGE_WRITTEN: Self = Self::other(18);
    /// What was done for others who touched a page.
    pub const PAGE_BROUGHT: Self = Self::other(19);

    /// An object that may not be there, or is another.
    pub const GUESS: Self = Self::other(20);

    const fn other(place: usize) -> Self {
        Self(METHODS + place)
    }

    /// A method of what is taken for `interface`.
    pub fn method(interface: &Description, number: u16) -> Self {
        if let Some(place) = UNIVERSAL.iter().position(|one| *one == number) {
            return Self::other(place);
        }
        let mut before = 0;
        for known in INTERFACES {
            if known.hash == interface.hash {
                let place = known.methods.iter().position(|one| one.number == number);
                return place.map_or(Self::NO_METHOD, |place| Self(before + place));
            }
            before += known.methods.len();
        }
        Self::NO_METHOD
    }

    fn name(self) -> String {
        if let Some(other) = self.0.checked_sub(METHODS) {
            return OTHERS.get(other).copied().unwrap_or_default().into();
        }
        let mut place = self.0;
        for interface in INTERFACES {
            if let Some(method) = interface.methods.get(place) {
                let plain = interface.name.trim_start_matches("kiln.");
                return format!("{plain}.{}", method.name);
            }
            place -= interface.methods.len();
        }
        String::new()
    }
}

/// Counts an answer with that status; `None` if there was none yet.
pub fn count(row: Row, status: Option<u16>) {
    let column = match status {
        None => UNFINISHED,
        Some(status) => match usize::from(status) {
            first @ 0..SECOND_GROUP => first,
            second @ 32..48 => second - 32 + SECOND_GROUP,
            _ => UNKNOWN,
        },
    };
    if let Some(count) = COUNTS.get(row.0).and_then(|row| row.get(column)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The eight counts of a row that begin with that column, two in each word.
pub fn words(row: u64, column: u64) -> [u64; 4] {
    let row = usize::try_from(row).ok().and_then(|row| COUNTS.get(row));
    let counts = row.and_then(|row| row.get(usize::try_from(column).ok()?..));
    let mut words = [0; 4];
    if let Some(counts) = counts {
        for (word, two) in words.iter_mut().zip(counts.chunks_exact(2)) {
            let [low, high] = [0, 1].map(|place| u64::from(two[place].load(Ordering::Relaxed)));
            *word = high << 32 | low;
        }
    }
    words
}

/// A line for each row that has counts; `ask` answers the [`words`] of all processes in turn.
pub fn lines(
    mut ask: impl FnMut(u64, u64) -> alloc::vec::Vec<[u64; 4]>,
    mut line: impl FnMut(&str),
) {
    for row in 0..ROWS {
        let mut counts = [0; COLUMNS];
        for (column, counts) in (0..).step_by(8).zip(counts.chunks_exact_mut(8)) {
            for words in ask(row as u64, column) {
                for (two, word) in counts.chunks_exact_mut(2).zip(words) {
                    two[0] += word & 0xffff_ffff;
                    two[1] += word >> 32;
                }
            }
        }
        if counts.iter().all(|count| *count == 0) {
            continue;
        }
        let mut text = Row(row).name();
        for (column, count) in counts.iter().enumerate().filter(|(_, count)| **count != 0) {
            text += &format!("; {} {count}", column_name(column));
        }
        line(&text);
    }
}

fn column_name(column: usize) -> String {
    let code = match column {
        0 => return "OK".into(),
        UNKNOWN => return "unknown".into(),
        UNFINISHED => return "unfinished".into(),
        SECOND_GROUP..UNKNOWN => column - SECOND_GROUP + 32,
        _ => column,
    };
    Error::from_code(code as u16).map_or_else(String::new, |error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_a_row_and_a_name_of_its_own() {
        let mut names = alloc::vec::Vec::new();
        for interface in INTERFACES {
            for method in interface.methods {
                let row = Row::method(interface, method.number);
                let name = row.name();
                assert!(name.ends_with(method.name), "{name}");
                assert!(!names.contains(&name));
                names.push(name);
            }
        }
        assert_eq!(Row::method(INTERFACES[0], 4000), Row::NO_METHOD);
        let held = Row::method(INTERFACES[0], universal::HELD);
        assert_eq!(held.name(), "universal.held");
    }

    #[test]
    fn what_was_counted_is_in_the_line_of_its_row() {
        let row = Row::SEND;
        for status in [0, 0, Error::Busy.code(), Error::Elsewhere.code(), 4000] {
            count(row, Some(status));
        }
        count(row, None);
        let mut found = alloc::vec::Vec::new();
        lines(
            |row, column| alloc::vec![words(row, column)],
            |line| found.push(String::from(line)),
        );
        assert_eq!(
            found,
            ["operation send; OK 2; Busy 1; Elsewhere 1; unknown 1; unfinished 1"]
        );
    }
}
