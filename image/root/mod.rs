//! The root file system: gathered from the manifest's sources, checked, written as EROFS.
//!
//! Sources are taken in order and a later one replaces files of an earlier one. Nothing of
//! it depends on the host beyond what the sources hold, so the same inputs give the same
//! bytes.

mod check;
mod defaults;

use std::path::Path;

use kiln_erofs::Timestamp;
use kiln_erofs::write::{
    Attributes, Builder, Content, HostOptions, Item, Ownership, Summary, Tree, TreeError,
    WriteError,
};

pub use check::{check_program, find_in_path};

use crate::manifest::{FileSource, Located, Manifest, Owner, RootSource};
use crate::progress::Progress;
use crate::{Error, debian, program_files};

/// Why the root file system could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Two sources contradict each other, or a file of the host cannot be read.
    #[error("cannot put together the root file system: {0}")]
    Tree(#[from] TreeError),
    /// A file could not be written into it.
    #[error("cannot write the root file system: {0}")]
    Write(#[from] WriteError),
}

/// Puts together the tree of files that the manifest describes.
///
/// Packages are pinned in `lock`; none pins them in the cache only.
///
/// # Errors
/// A source is missing or cannot be used; said at its place in the manifest.
pub fn assemble(
    manifest: &Manifest,
    lock: Option<&Path>,
    progress: Progress,
) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    let packages = package_names(manifest);
    if packages.is_some() {
        for name in ["bin", "sbin", "lib", "lib64"] {
            let target = format!("usr/{name}").into_bytes();
            tree.insert(target.clone(), Attributes::new(0o755), Item::Directory)
                .and_then(|()| tree.insert(name, Attributes::new(0o777), Item::Symlink(target)))
                .map_err(RootError::from)?;
        }
    }
    let mut packages = packages;
    for source in &manifest.root.from {
        match &source.value {
            RootSource::Directory { path, to, owner } => {
                progress.detail(format_args!(
                    "taking the directory {}",
                    path.value.display()
                ));
                let options = HostOptions {
                    ownership: match owner {
                        Owner::Keep => Ownership::Keep,
                        Owner::Root => Ownership::Root,
                    },
                    mtime: None,
                };
                let host = manifest.host_path(&path.value);
                let report = tree
                    .add_host_directory(&host, to, &options)
                    .map_err(|error| at(manifest, path, error))?;
                for socket in report.skipped_sockets {
                    progress.warn(format_args!("left out the socket {}", socket.display()));
                }
            }
            RootSource::Binary { path, to } => {
                let host = manifest.host_path(&path.value);
                let taken = program_files::gather(&host, to).map_err(|error| {
                    let (message, remedy) = split_remedy(&error.to_string());
                    let complaint = manifest.complain(&path.span, message);
                    remedy
                        .into_iter()
                        .fold(complaint, crate::manifest::Complaint::remedy)
                })?;
                for file in taken {
                    progress.detail(format_args!(
                        "taking {} as {}",
                        file.host.display(),
                        file.guest
                    ));
                    add_file(&mut tree, &file.host, &file.guest, None)
                        .map_err(|error| at(manifest, path, error))?;
                }
            }
            RootSource::Packages { documentation, .. } => {
                // All packages are chosen together, so they arrive with the first source of them.
                if let Some((names, essential)) = packages.take() {
                    let request = debian::Request {
                        names: &names,
                        essential,
                    };
                    let fetched = fetch(manifest, &request, lock, progress)?;
                    progress.detail(format_args!("unpacking {} packages", fetched.len()));
                    debian::unpack(&mut tree, &fetched, *documentation)?;
                }
            }
            RootSource::Files(files) => {
                for file in files {
                    add_named_file(&mut tree, manifest, file)?;
                }
            }
        }
    }
    defaults::add(&mut tree, &manifest.name).map_err(RootError::from)?;
    Ok(tree)
}

/// All packages that the manifest names, and whether essential ones are wanted too.
fn package_names(manifest: &Manifest) -> Option<(Vec<Located<String>>, bool)> {
    let mut found: Option<(Vec<Located<String>>, bool)> = None;
    for source in &manifest.root.from {
        if let RootSource::Packages {
            names, essential, ..
        } = &source.value
        {
            let (all, any) = found.get_or_insert_default();
            all.extend(names.iter().cloned());
            *any |= essential;
        }
    }
    found
}

/// Fetches packages; a name that nobody knows is shown where it is written.
fn fetch(
    manifest: &Manifest,
    request: &debian::Request<'_>,
    lock: Option<&Path>,
    progress: Progress,
) -> Result<Vec<debian::Fetched>, Error> {
    debian::fetch(request, lock, progress).map_err(|error| {
        if let Error::Debian(debian::DebianError::UnknownPackage { name, remedy }) = &error
            && let Some(place) = request.names.iter().find(|known| known.value == *name)
        {
            let complaint = manifest.complain(&place.span, format!("there is no package `{name}`"));
            return complaint.remedy(remedy).into();
        }
        error
    })
}

fn split_remedy(text: &str) -> (String, Option<String>) {
    match text.split_once("\n  = help: ") {
        Some((message, remedy)) => (message.to_owned(), Some(remedy.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// A complaint about a source, at its place in the manifest.
fn at<T>(manifest: &Manifest, place: &Located<T>, error: TreeError) -> Error {
    let remedy = match &error {
        TreeError::Host { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            let directory = manifest.directory.as_os_str();
            if directory.is_empty() {
                "host paths are relative to the manifest's directory".to_owned()
            } else {
                format!(
                    "host paths are relative to the manifest's directory, `{}`",
                    manifest.directory.display()
                )
            }
        }
        TreeError::IsDirectory(_) | TreeError::NotDirectory(_) => {
            "another source put something else there: change their order, or `to`".to_owned()
        }
        _ => return manifest.complain(&place.span, error.to_string()).into(),
    };
    manifest
        .complain(&place.span, error.to_string())
        .remedy(remedy)
        .into()
}

fn add_named_file(tree: &mut Tree, manifest: &Manifest, file: &FileSource) -> Result<(), Error> {
    let host = manifest.host_path(&file.from.value);
    if host.is_dir() {
        let complaint = manifest.complain(
            &file.from.span,
            format!("`{}` is a directory", host.display()),
        );
        return Err(complaint
            .remedy("take it with { directory = .., to = .. }")
            .into());
    }
    add_file(tree, &host, &file.to, file.mode).map_err(|error| at(manifest, &file.from, error))
}

/// Takes a file of the host: its permissions and time stay, it is owned by root.
fn add_file(tree: &mut Tree, host: &Path, guest: &str, mode: Option<u16>) -> Result<(), TreeError> {
    tree.add_host_file(host, guest, &HostOptions::default())?;
    if let (Some(mode), Some(node)) = (mode, tree.get(guest)) {
        let attributes = Attributes {
            mode,
            ..*node.attributes()
        };
        tree.set_attributes(guest, attributes)?;
    }
    Ok(())
}

/// Writes the tree as EROFS.
///
/// # Errors
/// A file of the host cannot be read any more, or changed meanwhile.
pub fn write(tree: &Tree, name: &str) -> Result<(Vec<u8>, Summary), Error> {
    let mut volume = [0; 16];
    for (place, byte) in volume.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    let builder = Builder::new(tree)
        .build_time(Timestamp::from_seconds(0))
        .volume_name(volume);
    let layout = builder.layout().map_err(RootError::from)?;
    let mut bytes = Vec::new();
    let summary = layout.write_to(&mut bytes).map_err(RootError::from)?;
    Ok((bytes, summary))
}

/// The start of a file's bytes, at most `limit`; empty if it cannot be read.
fn beginning(content: &Content, limit: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let (path, offset) = match content {
        Content::Bytes(bytes) => return bytes.iter().take(limit as usize).copied().collect(),
        Content::HostFile { path, .. } => (path, 0),
        Content::HostRange { path, offset, .. } => (path, *offset),
    };
    let mut bytes = vec![0; content.length().min(limit) as usize];
    let read = std::fs::File::open(path).and_then(|file| file.read_exact_at(&mut bytes, offset));
    if read.is_ok() { bytes } else { Vec::new() }
}

#[cfg(test)]
mod tests;
