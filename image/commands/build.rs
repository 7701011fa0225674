//! `kiln build`: the image of a manifest, as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use kiln_linker::Image;

use super::{destination, prepare};
use crate::Error;
use crate::command_line::Build;
use crate::compose::Launch;
use crate::manifest::size::rounded;
use crate::progress::Progress;
use crate::run::check_memory;

/// Builds the image and tells its parts' sizes.
///
/// # Errors
/// Anything on the way.
pub fn build(asked: &Build, progress: Progress) -> Result<(), Error> {
    let (manifest, ingredients) = prepare(&asked.manifest, Launch::default(), progress)?;
    let image = ingredients.compose(&manifest, progress)?;
    let path = destination(asked.output.as_ref(), &manifest, "elf");
    write_image(&image, &path)?;
    let report = &image.report;
    if let Err(error) = check_memory(report.file_bytes, manifest.machine.memory) {
        progress.warn(error);
    }
    for component in &report.components {
        progress.step(format_args!(
            "{:>10}  {}",
            rounded(component.total.file_bytes()),
            component.name
        ));
    }
    for blob in &report.blobs {
        progress.step(format_args!("{:>10}  {}", rounded(blob.bytes), blob.name));
    }
    progress.step(format_args!(
        "{:>10}  {}",
        rounded(report.file_bytes),
        path.display()
    ));
    Ok(())
}

/// Writes an image so that the file is there whole or not at all.
pub(super) fn write_image(image: &Image<'_>, path: &Path) -> Result<(), Error> {
    let failed = |error| Error::io("cannot write the image", path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        image.write_to(&mut file)?;
        file.flush()
    });
    written
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            failed(error)
        })
}
