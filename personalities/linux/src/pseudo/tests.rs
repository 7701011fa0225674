//! The library's own files, as a program finds them.

use std::string::String;
use std::vec::Vec;

use super::*;
use crate::files::buffer::Destination;
use crate::files::files;

fn node(path: &str, follow: bool) -> Result<Node, Errno> {
    match find(files(), path.as_bytes(), follow) {
        Found::Node(node) => Ok(node),
        Found::Failed(errno) => Err(errno),
        found => panic!("{path}: {found:?}"),
    }
}

fn text(path: &str) -> String {
    let object = open(files(), &node(path, true).expect(path), false).expect(path);
    let mut bytes = std::vec![0; 65536];
    let count = object
        .read(0, &mut Destination::library(&mut bytes))
        .expect(path);
    bytes.truncate(count);
    String::from_utf8(bytes).expect(path)
}

fn names(path: &str) -> Vec<String> {
    let object = open(files(), &node(path, true).expect(path), false).expect(path);
    let mut names = Vec::new();
    object
        .list(0, &mut |entry| {
            names.push(String::from_utf8(entry.name.to_vec()).expect("is text"));
            true
        })
        .expect(path);
    names
}

fn link(path: &str) -> Vec<u8> {
    match find(files(), path.as_bytes(), true) {
        Found::Link(target) => target,
        found => panic!("{path}: {found:?}"),
    }
}

#[test]
fn every_name_that_is_listed_is_found() {
    let mut directories = std::vec![
        String::from("/dev"),
        String::from("/proc"),
        String::from("/proc/1"),
        String::from("/sys")
    ];
    while let Some(directory) = directories.pop() {
        for name in names(&directory) {
            let path = std::format!("{directory}/{name}");
            let found = node(&path, false).expect(&path);
            attributes(files(), &found).expect(&path);
            if found.is_directory() {
                directories.push(path);
            }
        }
    }
}

#[test]
fn texts_say_what_they_should() {
    assert!(text("/proc/meminfo").starts_with("MemTotal:"));
    assert!(text("/proc/cpuinfo").contains("sse2"));
    assert_eq!(text("/proc/sys/kernel/ostype"), "Linux\n");
    assert_eq!(text("/sys/devices/system/cpu/online"), "0\n");
    let identity = text("/proc/sys/kernel/random/uuid");
    assert_eq!(identity.len(), 37);
    assert_eq!(identity.as_bytes().get(14), Some(&b'4'));
    assert_ne!(identity, text("/proc/sys/kernel/random/uuid"));
    assert_eq!(
        text("/proc/sys/kernel/random/boot_id"),
        text("/proc/sys/kernel/random/boot_id")
    );
    assert!(text("/proc/1/status").contains("\nPid:\t1\n"));
    assert!(text("/proc/1/limits").lines().count() == 17);
}

#[test]
fn what_is_not_there_is_not_found() {
    assert!(matches!(
        find(files(), b"/etc/passwd", true),
        Found::Elsewhere
    ));
    assert!(matches!(
        find(files(), b"/dev/mqueue/x", true),
        Found::Elsewhere
    ));
    assert!(matches!(node("/proc/2", true), Err(Errno::ENOENT)));
    assert!(matches!(node("/proc/01", true), Err(Errno::ENOENT)));
    assert!(matches!(node("/proc/version/x", true), Err(Errno::ENOTDIR)));
    assert!(matches!(node("/dev/null/x", true), Err(Errno::ENOTDIR)));
    assert!(matches!(node("/proc/1/fd/7/x", true), Err(Errno::ENOENT)));
}

#[test]
fn links_lead_on() {
    assert_eq!(link("/proc/self/status"), b"/proc/1/status");
    assert_eq!(link("/proc/mounts"), b"/proc/self/mounts");
    assert_eq!(link("/dev/stdin"), b"/proc/self/fd/0");
    assert_eq!(link("/dev/fd/3"), b"/proc/self/fd/3");
    assert_eq!(link("/dev/shm/x"), b"/tmp/x");
    assert_eq!(link("/proc/1/cwd/x"), b"//x");
    assert_eq!(
        read_link(files(), &node("/proc/self", false).expect("is there")),
        Ok(b"1".to_vec())
    );
}

#[test]
fn devices_do_what_they_are_for() {
    let open = |path| open(files(), &node(path, true).expect(path), true).expect(path);
    let mut bytes = [7; 5000];
    let read = |object: &Arc<dyn Object>, bytes: &mut [u8]| {
        object.read(0, &mut Destination::library(bytes))
    };
    assert_eq!(read(&open("/dev/null"), &mut bytes), Ok(0));
    assert_eq!(read(&open("/dev/zero"), &mut bytes), Ok(5000));
    assert_eq!(bytes, [0; 5000]);
    assert_eq!(read(&open("/dev/urandom"), &mut bytes), Ok(5000));
    assert!(bytes.iter().any(|byte| *byte != 0));
    let write =
        |object: &Arc<dyn Object>| object.write(Position::At(0), &mut Source::library(b"abc"));
    assert_eq!(write(&open("/dev/null")), Ok((3, 0)));
    assert_eq!(write(&open("/dev/full")), Err(Errno::ENOSPC));
}
