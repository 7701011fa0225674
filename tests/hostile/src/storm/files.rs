//! Takes away the files that random calls made.

use alloc::vec::Vec;

use kiln_interface::file::{
    DirectoryEntry, File as _, FileStub, FileTree, FileTreeStub, kind, open,
};
use kiln_runtime::{Far, release, startup};
use zerocopy::FromBytes;

use crate::attacks::bound;
use crate::report::failed;

/// How deep directories are looked into: random renames put them into each other.
const DEPTH: usize = 48;

/// Removes every file of the memory file system.
pub fn remove_all() {
    if startup().server("memory_fs").is_some() {
        let tree = FileTreeStub::new(bound::<dyn FileTree>("memory_fs"), Far);
        remove_below(&tree, &mut Vec::new(), 0);
    }
}

fn remove_below(tree: &FileTreeStub<Far>, path: &mut Vec<u8>, depth: usize) {
    for (name, is_directory) in entries(tree, path) {
        let length = path.len();
        if length != 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        if is_directory && depth < DEPTH {
            remove_below(tree, path, depth + 1);
        }
        if let Err(error) = tree.remove(path, is_directory, &mut [0; 64]) {
            failed(format_args!(
                "{:?} cannot be removed: {error}",
                alloc::string::String::from_utf8_lossy(path)
            ));
        }
        path.truncate(length);
    }
}

/// The entries of a directory, and whether each is one.
fn entries(tree: &FileTreeStub<Far>, path: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut found = Vec::new();
    let flags = open::READ | open::DIRECTORY | open::NO_FOLLOW;
    let opened = match tree.open(path, flags, 0, startup().process, &mut [0; 64]) {
        Ok(opened) => opened,
        Err(error) => failed(format_args!(
            "{:?} cannot be opened: {error}",
            alloc::string::String::from_utf8_lossy(path)
        )),
    };
    let file = FileStub::new(opened.file, Far);
    let (mut cookie, mut answer) = (0, [0u8; 4096]);
    while let Ok(used) = file.read_directory(cookie, &mut answer) {
        let mut rest = answer.get(..used).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        while let Ok((entry, after)) = DirectoryEntry::read_from_prefix(rest) {
            let name = after.get(..entry.name_bytes as usize).unwrap_or_default();
            found.push((name.to_vec(), entry.kind & kind::MASK == kind::DIRECTORY));
            cookie = entry.cookie;
            let whole = size_of::<DirectoryEntry>() + name.len();
            rest = rest.get(whole.next_multiple_of(8)..).unwrap_or_default();
        }
    }
    if release(opened.file).is_err() {
        failed(format_args!("a directory cannot be given back"));
    }
    found
}
