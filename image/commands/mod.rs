//! The commands, one per file, each the steps it takes in order.

mod build;
mod completions;
mod drills;
mod export;
mod inspect;
mod interfaces;
mod new;
mod run;
mod top;
mod trace;
mod without_manifest;

pub use build::build;
pub use completions::completions;
pub use export::export;
pub use inspect::inspect;
pub use interfaces::interfaces;
pub use new::new;
pub use run::run;
pub use top::top;
pub use trace::trace;

use std::path::{Path, PathBuf};

use kiln_erofs::write::Tree;

use crate::compose::{Ingredients, Launch};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::{Error, root};

/// The lock file beside a manifest.
fn lock_beside(manifest: &Path) -> PathBuf {
    manifest.with_extension("lock")
}

/// Reads a manifest and gathers everything that its image is linked from.
fn prepare(
    path: &Path,
    launch: Launch,
    progress: Progress,
) -> Result<(Manifest, Ingredients), Error> {
    let manifest = Manifest::read(path)?;
    let tree = root::assemble(&manifest, Some(&lock_beside(path)), progress)?;
    let ingredients = gather(&manifest, &tree, launch, progress)?;
    Ok((manifest, ingredients))
}

/// Checks the program and gathers what the image is linked from.
fn gather(
    manifest: &Manifest,
    tree: &Tree,
    launch: Launch,
    progress: Progress,
) -> Result<Ingredients, Error> {
    if manifest.personality.runs_a_program {
        root::check_program(tree, manifest, progress)?;
    }
    Ingredients::gather(manifest, tree, launch, progress)
}

/// Where a command's result goes: as asked, or beside the manifest under the image's name.
fn destination(asked: Option<&PathBuf>, manifest: &Manifest, ending: &str) -> PathBuf {
    match asked {
        Some(path) => path.clone(),
        None => manifest
            .directory
            .join(format!("{}.{ending}", manifest.name)),
    }
}
