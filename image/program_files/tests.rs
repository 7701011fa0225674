//! Library search on programs of the host and on bytes made for it.

use proptest::prelude::*;

use super::*;
use crate::damage::damaged;

#[test]
fn a_dynamic_program_brings_its_loader_and_libraries() {
    let taken = gather(Path::new("/bin/ls"), "/bin/ls").unwrap();
    assert_eq!(taken[0].guest, "/bin/ls");
    let has = |end: &str| taken.iter().any(|file| file.guest.ends_with(end));
    assert!(has("/ld-linux-x86-64.so.2"), "{taken:?}");
    assert!(has("/libc.so.6"), "{taken:?}");
    let mut guests: Vec<_> = taken.iter().map(|file| &file.guest).collect();
    guests.sort();
    let count = guests.len();
    guests.dedup();
    assert_eq!(guests.len(), count, "each file once");
    assert!(taken.iter().all(|file| file.host.exists()));
}

#[test]
fn a_script_is_refused_with_its_interpreter_named() {
    let reason = ObjectFile::parse(b"#!/bin/sh -e\necho\n").unwrap_err();
    assert_eq!(reason, Unsuitable::Script("/bin/sh -e".to_owned()));
}

#[test]
fn what_is_no_program_is_told_apart() {
    assert_eq!(ObjectFile::parse(b"").unwrap_err(), Unsuitable::Empty);
    assert_eq!(ObjectFile::parse(b"hello").unwrap_err(), Unsuitable::NotElf);
    let mut bytes = std::fs::read("/bin/ls").unwrap();
    bytes[4] = 1;
    assert_eq!(ObjectFile::parse(&bytes).unwrap_err(), Unsuitable::Bits32);
    bytes[4] = 2;
    bytes[18] = 183;
    let reason = ObjectFile::parse(&bytes).unwrap_err();
    assert_eq!(reason, Unsuitable::OtherMachine("64-bit Arm".to_owned()));
    bytes[18] = 62;
    bytes[16] = 1;
    assert_eq!(
        ObjectFile::parse(&bytes).unwrap_err(),
        Unsuitable::NotExecutable
    );
}

#[test]
fn a_program_that_is_cut_off_is_refused() {
    let bytes = std::fs::read("/bin/ls").unwrap();
    for length in [5, 63, 64, 200, 4096, bytes.len() / 2] {
        let reason = ObjectFile::parse(&bytes[..length]).unwrap_err();
        assert!(
            matches!(reason, Unsuitable::Damaged(_)),
            "{length}: {reason:?}"
        );
    }
}

#[test]
fn origin_is_followed_on_both_sides() {
    let object = Taken {
        host: PathBuf::from("/bin/ls"),
        guest: "/opt/tool/bin/tool".to_owned(),
    };
    let place = search_place("$ORIGIN/../lib", &object).unwrap();
    assert_eq!(place.guest, "/opt/tool/lib");
    assert!(place.host.ends_with("../lib"));
    assert!(search_place("lib", &object).is_none());
    assert_eq!(
        search_place("/usr/lib/x/./y", &object).unwrap().guest,
        "/usr/lib/x/y"
    );
}

/// The part of a program that has its headers and what leads to its libraries.
fn program() -> Vec<u8> {
    let mut bytes = std::fs::read("/bin/ls").unwrap();
    bytes.truncate(64 << 10);
    // The segments lie inside, so that the parser gets further.
    let table = usize::from(bytes[32]);
    for segment in 0..usize::from(bytes[56]) {
        let at = table + 56 * segment;
        for field in [8, 32] {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at + field..at + field + 8]);
            let inside = u64::from_le_bytes(word).min(16 << 10);
            bytes[at + field..at + field + 8].copy_from_slice(&inside.to_le_bytes());
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_program_is_read_or_refused(
        head in damaged(&program()[..2048], &["\0", "/lib/x.so", "\u{7f}ELF"]),
    ) {
        let mut bytes = program();
        let length = head.len().min(2048);
        bytes[..length].copy_from_slice(&head[..length]);
        let _ = ObjectFile::interpreter_of(&bytes);
        if let Err(reason) = ObjectFile::parse(&bytes) {
            prop_assert!(!reason.to_string().is_empty());
        }
        let _ = ObjectFile::parse(&head);
    }
}
