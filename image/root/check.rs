//! Whether the program to start is in the root file system, and can be started there.

use kiln_erofs::write::{Item, Tree};

use super::beginning;
use crate::manifest::Manifest;
use crate::manifest::near::near;
use crate::program_files::ObjectFile;
use crate::progress::Progress;
use crate::{Error, manifest::DEFAULT_PATH};

/// More than any ELF file's headers and loader name take.
const HEADERS: u64 = 64 << 10;

/// Complains if the program is not in the tree; warns if its loader is not.
///
/// # Errors
/// There is no such file, or it may not be executed.
pub fn check_program(tree: &Tree, manifest: &Manifest, progress: Progress) -> Result<(), Error> {
    let path = &manifest.program.path;
    let node = tree.get_following(&path.value).map_err(|_| {
        let message = format!("the root file system has no `{}`", path.value);
        manifest
            .complain(&path.span, message)
            .remedy(near_files(tree, &path.value))
    })?;
    let Item::File(content) = node.item() else {
        let message = format!("`{}` is no file that can be run", path.value);
        let remedy = "name a program of the root file system";
        return Err(manifest.complain(&path.span, message).remedy(remedy).into());
    };
    if node.attributes().mode & 0o111 == 0 {
        let message = format!("`{}` may not be executed", path.value);
        let remedy = "give it an x bit: mode = \"0755\" in `files`, or chmod +x";
        return Err(manifest.complain(&path.span, message).remedy(remedy).into());
    }
    let loader = ObjectFile::interpreter_of(&beginning(content, HEADERS));
    if let Some(loader) = loader.filter(|loader| tree.get_following(loader).is_err()) {
        progress.warn(format_args!(
            "`{}` is started by `{loader}`, which is not in the root file system",
            path.value
        ));
    }
    let directory = &manifest.program.directory;
    let is_directory = tree
        .get_following(directory)
        .is_ok_and(|node| matches!(node.item(), Item::Directory));
    if !is_directory {
        return Err(Error::usage(
            format!("the working directory `{directory}` is not in the root file system"),
            "change program.directory, or add the directory",
        ));
    }
    Ok(())
}

/// A remedy that names files near to `path` in the same directory, or by the same name.
fn near_files(tree: &Tree, path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if let Some(found) = find_in_path(tree, name, DEFAULT_PATH).filter(|found| found != path) {
        return format!("did you mean `{found}`?");
    }
    let directory = if directory.is_empty() { "/" } else { directory };
    let Ok(node) = tree.get_following(directory) else {
        return format!("there is no directory `{directory}`; `kiln inspect` shows what there is");
    };
    let names: Vec<String> = node
        .names()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match near(name, &names).as_slice() {
        [] => "add a source that has it, or name a program that is there".to_owned(),
        near => format!("did you mean `{}` in `{directory}`?", near.join("` or `")),
    }
}

/// The path of the program `name` in the tree, searched for like a shell does.
pub fn find_in_path(tree: &Tree, name: &str, path: &str) -> Option<String> {
    path.split(':')
        .map(|directory| format!("{}/{name}", directory.trim_end_matches('/')))
        .find(|candidate| {
            tree.get_following(candidate).is_ok_and(|node| {
                matches!(node.item(), Item::File(_)) && node.attributes().mode & 0o111 != 0
            })
        })
}
