//! The initial stack of a program: arguments, environment, auxiliary vector.
//!
//! The layout is the System V x86-64 ABI's (3.4.1, process initialization), strings at the top as
//! Linux has them: arguments, then environment, then the program's file name, each contiguous.
//!
//! A stack is made with every address counted from the stack pointer, which is none that anything on
//! it could have, and without what only the running machine knows; [`InitialStack::settle`] makes it
//! one for where it comes to lie.

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::auxvec;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::strings::Strings;
use crate::{GROUP, PROGRAM_HEADER_BYTES, TICKS_PER_SECOND, USER};

/// Bytes of a page, as programs are told.
const PAGE_BYTES: u64 = 4096;

/// Most bytes of all strings and pointers together: a quarter of the stack's 8 MiB.
const ALL_BYTES: usize = 2 << 20;

/// `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64";

/// The strings and pointers are more than a program may get, or one string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// What the program is started with.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// `argv`.
    pub arguments: &'a Strings,
    /// `envp`.
    pub environment: &'a Strings,
    /// The path that was executed (`AT_EXECFN`).
    pub file_name: &'a [u8],
    /// Where its program headers are (`AT_PHDR`); zero if they are nowhere.
    pub table_address: u64,
    /// How many they are (`AT_PHNUM`).
    pub table_entries: u64,
    /// Where its interpreter lies (`AT_BASE`); zero without one.
    pub interpreter_base: u64,
    /// Its own first instruction (`AT_ENTRY`).
    pub entry: u64,
}

impl Content<'_> {
    /// How many words the pointers and the auxiliary vector take on a stack; the same wherever all of it
    /// comes to lie.
    ///
    /// # Errors
    /// The strings are too long or too many.
    pub fn words(&self) -> Result<usize, TooLarge> {
        let (arguments, environment) = (self.arguments, self.environment);
        // argc, and a terminator behind each list of pointers.
        let words = 3 + arguments.count() + environment.count() + VECTOR_WORDS;
        let strings = arguments.bytes().len() + environment.bytes().len();
        if arguments.is_too_long()
            || environment.is_too_long()
            || strings + words * 8 + self.file_name.len() > ALL_BYTES
        {
            return Err(TooLarge);
        }
        Ok(words)
    }
}

/// An entry of the auxiliary vector: kind and value.
pub type Auxiliary = [u64; 2];

/// Entries of which only the running machine knows the values, in the order of [`Machine::entries`].
const MACHINE_ENTRIES: usize = 4;

/// Entries with addresses on the stack.
const ADDRESS_ENTRIES: usize = 3;

/// Words of the entries that settling a stack completes: the first of the vector.
const UNSETTLED_WORDS: usize = 2 * (MACHINE_ENTRIES + ADDRESS_ENTRIES);

/// Entries that are known when a stack is made, `AT_NULL` included.
const KNOWN_ENTRIES: usize = 14;

/// Words of the auxiliary vector.
const VECTOR_WORDS: usize = UNSETTLED_WORDS + 2 * KNOWN_ENTRIES;

/// What the machine says of itself to every program.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Where the virtual shared object lies, if the program is to use it.
    pub shared_object: Option<u64>,
    /// `AT_HWCAP`.
    pub capabilities: u64,
    /// `AT_HWCAP2`.
    pub capabilities_2: u64,
    /// `AT_MINSIGSTKSZ`.
    pub signal_stack_bytes: u64,
}

impl Machine {
    fn entries(&self) -> [Auxiliary; MACHINE_ENTRIES] {
        let shared_object = match self.shared_object {
            Some(start) => [auxvec::AT_SYSINFO_EHDR.into(), start],
            None => [auxvec::AT_IGNORE.into(), 0],
        };
        [
            shared_object,
            [auxvec::AT_HWCAP.into(), self.capabilities],
            [auxvec::AT_HWCAP2.into(), self.capabilities_2],
            [auxvec::AT_MINSIGSTKSZ.into(), self.signal_stack_bytes],
        ]
    }
}

/// Where everything lies, in bytes above the stack pointer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Places {
    /// The auxiliary vector; a multiple of 8.
    pub auxiliary: u32,
    /// The end of its entries.
    pub auxiliary_end: u32,
    /// The random bytes; a multiple of 16.
    pub random: u32,
    /// The argument strings, which end where those of the environment start.
    pub arguments: u32,
    /// The environment's strings, which end where the file name starts.
    pub environment: u32,
    /// The file name.
    pub file_name: u32,
}

/// A stack ready to be copied to where it is to lie.
#[derive(Clone, Debug)]
pub struct InitialStack {
    /// What is on it from the stack pointer to the end. The pointer is a multiple of 16, the end too.
    words: Vec<u64>,
    places: Places,
}

impl InitialStack {
    /// Makes a stack, which is not settled.
    ///
    /// # Errors
    /// The strings are too long or too many.
    pub fn make(content: &Content<'_>) -> Result<Self, TooLarge> {
        let words = content.words()?;
        let (arguments, environment) = (content.arguments, content.environment);
        let own: [Auxiliary; KNOWN_ENTRIES] = [
            [auxvec::AT_PHDR.into(), content.table_address],
            [auxvec::AT_PHNUM.into(), content.table_entries],
            [auxvec::AT_BASE.into(), content.interpreter_base],
            [auxvec::AT_ENTRY.into(), content.entry],
            [auxvec::AT_PAGESZ.into(), PAGE_BYTES],
            [auxvec::AT_CLKTCK.into(), TICKS_PER_SECOND],
            [auxvec::AT_PHENT.into(), PROGRAM_HEADER_BYTES as u64],
            [auxvec::AT_FLAGS.into(), 0],
            [auxvec::AT_UID.into(), USER.into()],
            [auxvec::AT_EUID.into(), USER.into()],
            [auxvec::AT_GID.into(), GROUP.into()],
            [auxvec::AT_EGID.into(), GROUP.into()],
            [auxvec::AT_SECURE.into(), 0],
            [auxvec::AT_NULL.into(), 0],
        ];
        let before = words - VECTOR_WORDS;
        let strings = arguments.bytes().len() + environment.bytes().len();
        // Behind the vector: random, platform, arguments, environment, file name, a zero word.
        let random = (words * 8).next_multiple_of(16);
        let platform = random + 16;
        let strings_bytes = PLATFORM.len() + 1 + strings + content.file_name.len() + 1;
        let end = (platform + strings_bytes + 8).next_multiple_of(16);
        // As Linux has it, what is left over lies below the strings.
        let file_name = end - 8 - (content.file_name.len() + 1);
        let environment_at = file_name - environment.bytes().len();
        let arguments_at = environment_at - arguments.bytes().len();
        let platform = arguments_at - (PLATFORM.len() + 1);
        let mut stack = Self {
            words: vec![0; end / 8],
            places: Places {
                auxiliary: before as u32 * 8,
                auxiliary_end: words as u32 * 8,
                random: random as u32,
                arguments: arguments_at as u32,
                environment: environment_at as u32,
                file_name: file_name as u32,
            },
        };
        let addresses = [
            [auxvec::AT_RANDOM.into(), random as u64],
            [auxvec::AT_EXECFN.into(), file_name as u64],
            [auxvec::AT_PLATFORM.into(), platform as u64],
        ];
        let machine = before * 8 + addresses.as_bytes().len();
        stack.put(0, &(arguments.count() as u64).to_le_bytes());
        let pointers = stack.pointers(8, arguments, arguments_at);
        stack.pointers(pointers, environment, environment_at);
        for (place, piece) in [
            (before * 8, addresses.as_bytes()),
            (machine + 16 * MACHINE_ENTRIES, own.as_bytes()),
            (platform, PLATFORM),
            (arguments_at, arguments.bytes()),
            (environment_at, environment.bytes()),
            (file_name, content.file_name),
        ] {
            stack.put(place, piece);
        }
        Ok(stack)
    }

    /// A stack that was made elsewhere; `bytes` are [`Self::bytes`] of one that is not settled.
    #[must_use]
    pub fn made(bytes: &[u8], places: Places) -> Self {
        let words = bytes.as_chunks().0.iter().copied();
        Self {
            words: words.map(u64::from_ne_bytes).collect(),
            places,
        }
    }

    /// Makes it the stack whose pointer will be `pointer`, a multiple of 16, on a machine that says
    /// this of itself; `random` is for `AT_RANDOM`. To be done once.
    pub fn settle(&mut self, pointer: u64, random: [u64; 2], machine: &Machine) {
        let place = |offset: u32| offset as usize / 8;
        let auxiliary = place(self.places.auxiliary);
        // Pointers to arguments and environment; a terminator stays zero.
        for word in self.words.get_mut(1..auxiliary).unwrap_or_default() {
            if *word != 0 {
                *word += pointer;
            }
        }
        let vector = self.words.get_mut(auxiliary..).unwrap_or_default();
        if let Some(vector) = vector.first_chunk_mut::<UNSETTLED_WORDS>() {
            // Three times the same is shorter than a loop that runs only here.
            let [_, random_at, _, file_name, _, platform, rest @ ..] = vector;
            *random_at += pointer;
            *file_name += pointer;
            *platform += pointer;
            rest.copy_from_slice(machine.entries().as_flattened());
        }
        let key = self.words.get_mut(place(self.places.random)..);
        if let Some(key) = key.and_then(<[u64]>::first_chunk_mut) {
            *key = random;
        }
    }

    /// All its bytes, those at the stack pointer first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }

    /// What lies where.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The arguments, a NUL after each.
    #[must_use]
    pub fn arguments(&self) -> &[u8] {
        self.part(self.places.arguments, self.places.environment)
    }

    /// The environment, a NUL after each entry.
    #[must_use]
    pub fn environment(&self) -> &[u8] {
        self.part(self.places.environment, self.places.file_name)
    }

    /// The auxiliary vector's bytes, `AT_NULL` included.
    #[must_use]
    pub fn auxiliary(&self) -> &[u8] {
        self.part(self.places.auxiliary, self.places.auxiliary_end)
    }

    fn part(&self, start: u32, end: u32) -> &[u8] {
        let range = start as usize..end as usize;
        self.bytes().get(range).unwrap_or_default()
    }

    fn put(&mut self, start: usize, piece: &[u8]) {
        let bytes = self.words.as_mut_bytes();
        if let Some(place) = bytes.get_mut(start..start + piece.len()) {
            place.copy_from_slice(piece);
        }
    }

    /// Puts pointers to `strings`, which lie at `start`, at `place`, with a terminator, which is there;
    /// answers the place behind it.
    fn pointers(&mut self, mut place: usize, strings: &Strings, mut start: usize) -> usize {
        for (byte, after) in strings.bytes().iter().zip(start + 1..) {
            if *byte == 0 {
                self.put(place, &(start as u64).to_le_bytes());
                place += 8;
                start = after;
            }
        }
        place + 8
    }
}

#[cfg(test)]
mod tests;
