//! `kiln inspect`: what is in an image, or would be in that of a manifest.

use std::io::{Read, Write};
use std::path::Path;

use super::prepare;
use crate::Error;
use crate::command_line::Inspect;
use crate::compose::{ComposeError, Launch};
use crate::inspect::{Contents, to_dot, to_json, to_text};
use crate::progress::Progress;

/// Prints what is asked for on standard output.
///
/// # Errors
/// The file is neither a manifest nor an image, or the manifest's image cannot be made.
pub fn inspect(asked: &Inspect, progress: Progress) -> Result<(), Error> {
    let contents = if is_elf(&asked.subject)? {
        let bytes = read_image(&asked.subject)?;
        Contents::of_image(&bytes).map_err(ComposeError::from)?
    } else {
        let (manifest, ingredients) = prepare(&asked.subject, Launch::default(), progress)?;
        let image = ingredients.compose(&manifest, progress)?;
        Contents::of_composed(&manifest, &image, &ingredients.root)
    };
    print(&if asked.json {
        to_json(&contents)
    } else if asked.dot {
        to_dot(&contents)
    } else {
        to_text(&contents)
    });
    Ok(())
}

/// Whether the file is an image (or another ELF file) rather than a manifest.
pub(super) fn is_elf(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut start))
        .map_err(|error| Error::io("cannot read", path, error))?;
    Ok(start == b"\x7fELF")
}

/// Reads an image file.
///
/// # Errors
/// It cannot be read, or is only the start of an image.
pub(super) fn read_image(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes =
        std::fs::read(path).map_err(|error| Error::io("cannot read the image", path, error))?;
    if kiln_linker::is_cut_short(&bytes) {
        return Err(Error::usage(
            format!("the image `{}` is cut short", path.display()),
            "build it again, or copy it again as a whole",
        ));
    }
    Ok(bytes)
}

/// Prints to standard output; a reader that went away is no failure of ours.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
