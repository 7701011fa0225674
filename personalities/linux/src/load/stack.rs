//! The initial stack of a program: arguments, environment, auxiliary vector.
//!
//! The layout is the System V x86-64 ABI's (3.4.1, process initialization), strings at the top as
//! Linux has them: arguments, then environment, then the program's file name, each contiguous.

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::strings::Strings;
use crate::errno::Errno;

/// Most bytes of all strings and pointers together: a quarter of the stack's 8 MiB.
const ALL_BYTES: usize = 2 << 20;

/// What the program is started with.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// `argv`.
    pub arguments: &'a Strings,
    /// `envp`.
    pub environment: &'a Strings,
    /// The path that was executed (`AT_EXECFN`).
    pub file_name: &'a [u8],
    /// For `AT_RANDOM`.
    pub random: &'a [u8; 16],
    /// `AT_PLATFORM`.
    pub platform: &'a [u8],
}

/// An entry of the auxiliary vector: kind and value.
pub type Auxiliary = [u64; 2];

/// Where everything lies on a stack: addresses.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The stack pointer at the program's first instruction; a multiple of 16.
    pub pointer: u64,
    /// The auxiliary vector.
    pub auxiliary: u64,
    /// The end of its entries.
    pub auxiliary_end: u64,
    /// The random bytes.
    pub random: u64,
    /// The platform's name.
    pub platform: u64,
    /// The argument strings, which end where those of the environment start.
    pub arguments: u64,
    /// The environment's strings, which end where the file name starts.
    pub environment: u64,
    /// The file name.
    pub file_name: u64,
    /// The end.
    pub top: u64,
}

impl Places {
    /// Lays the stack out so that it ends at `top`, with so many entries in the auxiliary vector.
    ///
    /// # Errors
    /// `E2BIG` if the strings are too long or too many.
    pub fn of(content: &Content<'_>, auxiliary_entries: usize, top: u64) -> Result<Self, Errno> {
        let (arguments, environment) = (content.arguments, content.environment);
        if arguments.is_too_long() || environment.is_too_long() {
            return Err(Errno::E2BIG);
        }
        // argc, and a terminator behind each list of pointers.
        let before = 3 + arguments.count() + environment.count();
        let words = before + 2 * auxiliary_entries;
        let strings = arguments.bytes().len() + environment.bytes().len();
        if strings + words * 8 + content.file_name.len() > ALL_BYTES {
            return Err(Errno::E2BIG);
        }
        // From the top down: a zero word, the file name, environment, arguments, platform, random.
        let file_name = top - 8 - (content.file_name.len() as u64 + 1);
        let environment = file_name - environment.bytes().len() as u64;
        let arguments = environment - arguments.bytes().len() as u64;
        let platform = arguments - (content.platform.len() as u64 + 1);
        let random = (platform - 16) & !15;
        let pointer = (random - words as u64 * 8) & !15;
        Ok(Self {
            pointer,
            auxiliary: pointer + before as u64 * 8,
            auxiliary_end: pointer + words as u64 * 8,
            random,
            platform,
            arguments,
            environment,
            file_name,
            top,
        })
    }
}

/// A stack ready to be copied to where it was made for.
#[derive(Clone, Debug)]
pub struct InitialStack {
    /// The bytes from the pointer up to the top.
    pub bytes: Vec<u8>,
    /// Where what lies.
    pub places: Places,
}

impl InitialStack {
    /// Makes the stack; `auxiliary` are the parts of the auxiliary vector with all entries that the
    /// places were made for, `AT_NULL` at the end.
    #[must_use]
    pub fn make(content: &Content<'_>, places: Places, auxiliary: [&[Auxiliary]; 2]) -> Self {
        let mut stack = Self {
            bytes: vec![0; (places.top - places.pointer) as usize],
            places,
        };
        stack.word(places.pointer, content.arguments.count() as u64);
        let pointers = places.pointer + 8;
        let pointers = stack.pointers(pointers, content.arguments, places.arguments);
        stack.pointers(pointers, content.environment, places.environment);
        let [first, second] = auxiliary;
        for (address, piece) in &[
            (places.auxiliary, first.as_bytes()),
            (
                places.auxiliary + size_of_val(first) as u64,
                second.as_bytes(),
            ),
            (places.random, content.random),
            (places.platform, content.platform),
            (places.arguments, content.arguments.bytes()),
            (places.environment, content.environment.bytes()),
            (places.file_name, content.file_name),
        ] {
            stack.put(*address, piece);
        }
        stack
    }

    /// The bytes from one address to another.
    #[must_use]
    pub fn part(&self, start: u64, end: u64) -> &[u8] {
        let place = |address: u64| address.wrapping_sub(self.places.pointer) as usize;
        self.bytes.get(place(start)..place(end)).unwrap_or_default()
    }

    #[inline(never)]
    fn put(&mut self, address: u64, piece: &[u8]) {
        let start = (address - self.places.pointer) as usize;
        if let Some(place) = self.bytes.get_mut(start..start + piece.len()) {
            place.copy_from_slice(piece);
        }
    }

    fn word(&mut self, address: u64, word: u64) {
        self.put(address, &word.to_le_bytes());
    }

    /// Puts pointers to `strings`, which lie at `start`, at `address`, with a terminator, which is
    /// there; answers the address behind it.
    #[inline(never)]
    fn pointers(&mut self, mut address: u64, strings: &Strings, mut start: u64) -> u64 {
        for (byte, after) in strings.bytes().iter().zip(start + 1..) {
            if *byte == 0 {
                self.word(address, start);
                address += 8;
                start = after;
            }
        }
        address + 8
    }
}

#[cfg(test)]
mod tests {
    use super::super::strings::STRING_BYTES;
    use super::*;

    const TOP: u64 = 0x7fff_ffff_0000;

    fn list(strings: &[&[u8]]) -> Strings {
        let mut list = Strings::default();
        for string in strings {
            list.push(string);
        }
        list
    }

    fn words_at(stack: &InitialStack, address: u64) -> impl Iterator<Item = u64> {
        let start = (address - stack.places.pointer) as usize;
        stack.bytes[start..]
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
    }

    fn string_at(stack: &InitialStack, address: u64) -> &[u8] {
        let tail = &stack.bytes[(address - stack.places.pointer) as usize..];
        &tail[..tail.iter().position(|byte| *byte == 0).unwrap()]
    }

    #[test]
    fn a_program_finds_everything_where_the_abi_says() {
        let arguments = [&b"ls"[..], b"-l", b""];
        let environment = [&b"HOME=/"[..], b"LANG=C"];
        for odd in 0..20 {
            let file_name = vec![b'x'; odd + 1];
            let content = Content {
                arguments: &list(&arguments),
                environment: &list(&environment),
                file_name: &file_name,
                random: &[7; 16],
                platform: b"x86_64",
            };
            let places = Places::of(&content, 6, TOP).unwrap();
            let own = [
                [25, places.random],
                [31, places.file_name],
                [15, places.platform],
            ];
            let last = [[6, 4096], [9, 0x40_1000], [0, 0]];
            let stack = InitialStack::make(&content, places, [&own, &last]);
            assert_eq!(places.pointer % 16, 0);
            assert_eq!(places.pointer + stack.bytes.len() as u64, TOP);
            let mut words = words_at(&stack, places.pointer);
            assert_eq!(words.next(), Some(3));
            for argument in &arguments {
                assert_eq!(string_at(&stack, words.next().unwrap()), *argument);
            }
            assert_eq!(words.next(), Some(0));
            for variable in &environment {
                assert_eq!(string_at(&stack, words.next().unwrap()), *variable);
            }
            assert_eq!(words.next(), Some(0));
            let mut auxiliary = Vec::new();
            loop {
                let (kind, value) = (words.next().unwrap(), words.next().unwrap());
                auxiliary.push((kind, value));
                if kind == 0 {
                    break;
                }
            }
            assert_eq!(auxiliary[3..], [(6, 4096), (9, 0x40_1000), (0, 0)]);
            assert_eq!(words_at(&stack, places.auxiliary).next(), Some(25));
            let value = |kind| auxiliary.iter().find(|entry| entry.0 == kind).unwrap().1;
            assert_eq!(string_at(&stack, value(31)), file_name);
            assert_eq!(string_at(&stack, value(15)), b"x86_64");
            assert_eq!(stack.part(value(25), value(25) + 16), [7; 16]);
            assert_eq!(
                stack.part(places.arguments, places.environment),
                b"ls\0-l\0\0"
            );
        }
    }

    #[test]
    fn too_much_is_refused() {
        let content = |arguments: &[&[u8]]| {
            let content = Content {
                arguments: &list(arguments),
                environment: &list(&[]),
                file_name: b"x",
                random: &[0; 16],
                platform: b"x86_64",
            };
            Places::of(&content, 1, TOP).map(|places| places.pointer)
        };
        assert_eq!(content(&[&[b'a'; STRING_BYTES]]), Err(Errno::E2BIG));
        assert!(content(&[&[b'a'; STRING_BYTES - 1]]).is_ok());
        assert_eq!(content(&vec![&[b'a'; 9][..]; 200_000]), Err(Errno::E2BIG));
        assert!(content(&[]).is_ok());
    }
}
