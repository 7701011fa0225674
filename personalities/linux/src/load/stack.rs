//! The initial stack of a program: arguments, environment, auxiliary vector.
//!
//! The layout is the System V x86-64 ABI's (3.4.1, process initialization), strings at the top as
//! Linux has them: arguments, then environment, then the program's file name, each contiguous.

use alloc::vec::Vec;

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
    pub random: [u8; 16],
    /// `AT_PLATFORM`.
    pub platform: &'a [u8],
    /// Other entries of the auxiliary vector, in order; `AT_NULL` is added.
    pub auxiliary: &'a [(u64, u64)],
}

/// A stack ready to be copied to where it was made for.
#[derive(Clone, Debug)]
pub struct InitialStack {
    /// The bytes from `pointer` up to the top.
    pub bytes: Vec<u8>,
    /// The stack pointer at the program's first instruction; a multiple of 16.
    pub pointer: u64,
    /// Addresses of the argument strings: start and end.
    pub arguments: (u64, u64),
    /// Addresses of the environment strings: start and end.
    pub environment: (u64, u64),
    /// Address and length of the auxiliary vector.
    pub auxiliary: (u64, usize),
}

/// Lays the stack out so that it ends at `top`.
///
/// # Errors
/// `E2BIG` if the strings are too long or too many.
pub fn lay_out(content: &Content<'_>, top: u64) -> Result<InitialStack, Errno> {
    if content.arguments.is_too_long() || content.environment.is_too_long() {
        return Err(Errno::E2BIG);
    }
    let argument_bytes = content.arguments.bytes().len();
    let environment_bytes = content.environment.bytes().len();
    // argc, both terminators, the auxiliary vector with the three entries added here and AT_NULL.
    let words = 3
        + content.arguments.count()
        + content.environment.count()
        + 2 * (content.auxiliary.len() + 4);
    let fixed = content.file_name.len() + 1 + content.platform.len() + 1 + 16 + 8;
    let total = argument_bytes + environment_bytes + words * 8 + fixed + 32;
    if total > ALL_BYTES {
        return Err(Errno::E2BIG);
    }

    // From the top down: a zero word, the file name, environment, arguments, platform, random.
    let file_name = top - 8 - (content.file_name.len() as u64 + 1);
    let environment = file_name - environment_bytes as u64;
    let arguments = environment - argument_bytes as u64;
    let platform = arguments - (content.platform.len() as u64 + 1);
    let random = (platform - 16) & !15;
    let pointer = (random - words as u64 * 8) & !15;

    let mut writer = Writer {
        bytes: Vec::with_capacity((top - pointer) as usize),
        base: pointer,
    };
    writer.word(content.arguments.count() as u64);
    writer.pointers(content.arguments, arguments);
    writer.pointers(content.environment, environment);
    let auxiliary = writer.position();
    let added = [
        (u64::from(linux_raw_sys::auxvec::AT_RANDOM), random),
        (u64::from(linux_raw_sys::auxvec::AT_EXECFN), file_name),
        (u64::from(linux_raw_sys::auxvec::AT_PLATFORM), platform),
        (u64::from(linux_raw_sys::auxvec::AT_NULL), 0),
    ];
    for (kind, value) in content.auxiliary.iter().chain(&added) {
        writer.word(*kind);
        writer.word(*value);
    }
    let auxiliary_bytes = (writer.position() - auxiliary) as usize;
    writer.pad_to(random);
    writer.bytes.extend_from_slice(&content.random);
    writer.pad_to(platform);
    writer.string(content.platform);
    writer.bytes.extend_from_slice(content.arguments.bytes());
    writer.bytes.extend_from_slice(content.environment.bytes());
    writer.string(content.file_name);
    writer.pad_to(top);
    Ok(InitialStack {
        bytes: writer.bytes,
        pointer,
        arguments: (arguments, environment),
        environment: (environment, file_name),
        auxiliary: (auxiliary, auxiliary_bytes),
    })
}

struct Writer {
    bytes: Vec<u8>,
    base: u64,
}

impl Writer {
    fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn word(&mut self, word: u64) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    fn string(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
    }

    fn pointers(&mut self, strings: &Strings, address: u64) {
        let mut start = address;
        for (byte, after) in strings.bytes().iter().zip(address + 1..) {
            if *byte == 0 {
                self.word(start);
                start = after;
            }
        }
        self.word(0);
    }

    fn pad_to(&mut self, address: u64) {
        self.bytes.resize((address - self.base) as usize, 0);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

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
        let start = (address - stack.pointer) as usize;
        stack.bytes[start..]
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
    }

    fn string_at(stack: &InitialStack, address: u64) -> &[u8] {
        let tail = &stack.bytes[(address - stack.pointer) as usize..];
        &tail[..tail.iter().position(|byte| *byte == 0).unwrap()]
    }

    #[test]
    fn a_program_finds_everything_where_the_abi_says() {
        let arguments = [&b"ls"[..], b"-l", b""];
        let environment = [&b"HOME=/"[..], b"LANG=C"];
        for odd in 0..20 {
            let file_name = vec![b'x'; odd + 1];
            let stack = lay_out(
                &Content {
                    arguments: &list(&arguments),
                    environment: &list(&environment),
                    file_name: &file_name,
                    random: [7; 16],
                    platform: b"x86_64",
                    auxiliary: &[(6, 4096), (9, 0x40_1000)],
                },
                TOP,
            )
            .unwrap();
            assert_eq!(stack.pointer % 16, 0);
            assert_eq!(stack.pointer + stack.bytes.len() as u64, TOP);
            let mut words = words_at(&stack, stack.pointer);
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
            assert_eq!(auxiliary[..2], [(6, 4096), (9, 0x40_1000)]);
            assert_eq!(auxiliary.len() * 16, stack.auxiliary.1);
            let value = |kind| auxiliary.iter().find(|entry| entry.0 == kind).unwrap().1;
            assert_eq!(string_at(&stack, value(31)), file_name);
            assert_eq!(string_at(&stack, value(15)), b"x86_64");
            let random = (value(25) - stack.pointer) as usize;
            assert_eq!(stack.bytes[random..random + 16], [7; 16]);
            let (start, end) = stack.arguments;
            let range = (start - stack.pointer) as usize..(end - stack.pointer) as usize;
            assert_eq!(&stack.bytes[range], b"ls\0-l\0\0");
        }
    }

    #[test]
    fn too_much_is_refused() {
        let content = |arguments: &[&[u8]]| {
            lay_out(
                &Content {
                    arguments: &list(arguments),
                    environment: &list(&[]),
                    file_name: b"x",
                    random: [0; 16],
                    platform: b"x86_64",
                    auxiliary: &[],
                },
                TOP,
            )
            .map(|stack| stack.bytes.len())
        };
        assert_eq!(content(&[&[b'a'; STRING_BYTES]]), Err(Errno::E2BIG));
        assert!(content(&[&[b'a'; STRING_BYTES - 1]]).is_ok());
        assert_eq!(content(&vec![&[b'a'; 9][..]; 200_000]), Err(Errno::E2BIG));
        assert!(content(&[]).is_ok());
    }
}
