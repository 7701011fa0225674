use std::vec;
use std::vec::Vec;

use super::*;
use crate::strings::STRING_BYTES;

const POINTER: u64 = 0x7fff_ffff_0000;

const MACHINE: Machine = Machine {
    shared_object: Some(0x5000),
    capabilities: 1,
    capabilities_2: 2,
    signal_stack_bytes: 3,
};

fn list(strings: &[&[u8]]) -> Strings {
    let mut list = Strings::default();
    for string in strings {
        list.push(string);
    }
    list
}

fn content<'a>(lists: &'a [Strings; 2], file_name: &'a [u8]) -> Content<'a> {
    let [arguments, environment] = lists;
    Content {
        arguments,
        environment,
        file_name,
        table_address: 0x40_0040,
        table_entries: 4,
        interpreter_base: 0,
        entry: 0x40_1000,
    }
}

fn words_at(stack: &InitialStack, address: u64) -> impl Iterator<Item = u64> {
    stack.words[(address - POINTER) as usize / 8..]
        .iter()
        .copied()
}

fn string_at(stack: &InitialStack, address: u64) -> &[u8] {
    let tail = &stack.bytes()[(address - POINTER) as usize..];
    &tail[..tail.iter().position(|byte| *byte == 0).unwrap()]
}

#[test]
fn a_program_finds_everything_where_the_abi_says() {
    let arguments = [&b"ls"[..], b"-l", b""];
    let environment = [&b"HOME=/"[..], b"LANG=C"];
    let lists = [list(&arguments), list(&environment)];
    for odd in 0..20 {
        let file_name = vec![b'x'; odd + 1];
        let made = InitialStack::make(&content(&lists, &file_name)).unwrap();
        let mut stack = InitialStack::made(made.bytes(), *made.places());
        stack.settle(POINTER, [7, 8], &MACHINE);
        assert_eq!(stack.bytes().len() % 16, 0);
        let mut words = words_at(&stack, POINTER);
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
            auxiliary.push([kind, value]);
            if kind == u64::from(auxvec::AT_NULL) {
                break;
            }
        }
        assert_eq!(stack.auxiliary(), auxiliary.as_bytes());
        let value = |kind: u32| {
            let mut found = auxiliary.iter().filter(|entry| entry[0] == kind.into());
            let value = found.next().unwrap()[1];
            assert_eq!(found.next(), None);
            value
        };
        assert_eq!(value(auxvec::AT_PHDR), 0x40_0040);
        assert_eq!(value(auxvec::AT_PHNUM), 4);
        assert_eq!(value(auxvec::AT_ENTRY), 0x40_1000);
        assert_eq!(value(auxvec::AT_BASE), 0);
        assert_eq!(value(auxvec::AT_SYSINFO_EHDR), 0x5000);
        assert_eq!(value(auxvec::AT_MINSIGSTKSZ), 3);
        assert_eq!(string_at(&stack, value(auxvec::AT_EXECFN)), file_name);
        assert_eq!(string_at(&stack, value(auxvec::AT_PLATFORM)), PLATFORM);
        let random = value(auxvec::AT_RANDOM);
        assert_eq!(random % 16, 0);
        assert!(words_at(&stack, random).take(2).eq([7, 8]));
        assert_eq!(stack.arguments(), b"ls\0-l\0\0");
        assert_eq!(stack.environment(), b"HOME=/\0LANG=C\0");
        assert_eq!(stack.words.last(), Some(&0));
    }
}

#[test]
fn a_shared_object_that_is_not_to_be_used_is_not_told() {
    let lists = [list(&[b"x"]), list(&[])];
    let mut stack = InitialStack::make(&content(&lists, b"x")).unwrap();
    let none = Machine {
        shared_object: None,
        ..MACHINE
    };
    stack.settle(POINTER, [0; 2], &none);
    let kinds = stack.auxiliary().as_chunks::<16>().0.iter();
    let first = u64::from(auxvec::AT_SYSINFO_EHDR).to_le_bytes();
    assert!(kinds.map(|entry| &entry[..8]).all(|kind| kind != first));
}

#[test]
fn too_much_is_refused() {
    let made = |arguments: &[&[u8]]| {
        let lists = [list(arguments), list(&[])];
        InitialStack::make(&content(&lists, b"x")).map(|_| ())
    };
    assert_eq!(made(&[&[b'a'; STRING_BYTES]]), Err(TooLarge));
    assert_eq!(made(&[&[b'a'; STRING_BYTES - 1]]), Ok(()));
    assert_eq!(made(&vec![&[b'a'; 9][..]; 200_000]), Err(TooLarge));
    assert_eq!(made(&[]), Ok(()));
}
