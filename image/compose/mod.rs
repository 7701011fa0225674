//! From a manifest and its root file system to an image.
//!
//! The freestanding parts were compiled when `kiln` was; here they are linked. What the
//! manifest does not name is no root of that link, and so is not in the image.

mod configuration;
mod parts;
mod program;

use kiln_erofs::write::{Summary, Tree};
use kiln_linker::{ComponentInput, Composer, Image, Input, Kind, ProgramInput, Request};

pub use configuration::{DRIVER_KEY, Launch, configuration};

use crate::components::Personality;
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::{Error, root};

/// Entry of every component but the kernel: the runtime defines it.
const COMPONENT_ENTRY: &str = "component_entry";
/// The kernel's boot code must come first, within the reach of its 16-bit parts.
const KERNEL_FIRST: &str = ".kiln.boot";

/// Why an image could not be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The last link failed.
    #[error("cannot link the image: {0}")]
    Link(#[from] kiln_linker::Error),
    /// A part is not in this `kiln`.
    #[error(
        "this kiln was built without the part `{0}`\n  = help: build kiln again without KILN_WITHOUT_PARTS"
    )]
    NoPart(String),
}

/// Everything an image is linked from; borrowed by the image while it is made.
pub struct Ingredients {
    /// The root file system's bytes.
    pub root: Vec<u8>,
    /// What is in it.
    pub root_summary: Summary,
    /// The configuration's bytes.
    configuration: Vec<u8>,
    /// The program, if it can be in its process from the start.
    program: Option<ProgramInput>,
    kernel: Vec<Input<'static>>,
    components: Vec<(Kind, &'static str, Vec<Input<'static>>)>,
}

impl Ingredients {
    /// Gathers what the manifest names, with the files of `tree`.
    ///
    /// # Errors
    /// The root file system cannot be written, or a part is missing.
    pub fn gather(
        manifest: &Manifest,
        tree: &Tree,
        launch: Launch,
        progress: Progress,
    ) -> Result<Self, Error> {
        progress.detail("writing the root file system");
        let (root, root_summary) = root::write(tree, &manifest.name)?;
        let mut components = Vec::new();
        for (server, _) in &manifest.servers {
            components.push((Kind::Server, server.name(), parts::part(server.name())?));
        }
        let personality = manifest.personality.name();
        components.push((Kind::Personality, personality, parts::part(personality)?));
        if manifest.personality == Personality::Hostile {
            let name = configuration::HOSTILE_SERVER;
            components.push((Kind::Server, name, parts::part(personality)?));
        }
        let mut configuration = configuration(manifest, launch);
        let program = match manifest.personality {
            Personality::Linux => program::lay_out(tree, &manifest.program.path.value, &root),
            Personality::BenchNative | Personality::Hostile => None,
        };
        let program = program.map(|program| {
            program.write_record(&mut configuration);
            program.input
        });
        Ok(Self {
            root,
            root_summary,
            configuration,
            program,
            kernel: parts::part("kernel")?,
            components,
        })
    }

    /// Links the image.
    ///
    /// # Errors
    /// The linker's.
    pub fn compose(&self, manifest: &Manifest, progress: Progress) -> Result<Image<'_>, Error> {
        progress.detail("linking the image");
        let mut kernel = Request::new("kernel", self.kernel.clone(), None);
        kernel.first.push(KERNEL_FIRST.to_owned());
        for driver in &manifest.drivers {
            kernel.roots.push(driver.symbol());
        }
        let mut composer = Composer::new(kernel);
        for (kind, name, objects) in &self.components {
            let request = Request::new(name, objects.clone(), Some(COMPONENT_ENTRY));
            composer = composer.component(ComponentInput {
                kind: *kind,
                request,
            });
        }
        let composer = composer.root(&self.root).config(&self.configuration);
        let composer = composer.program(self.program.clone());
        Ok(composer.compose().map_err(ComposeError::from)?)
    }
}

#[cfg(test)]
mod tests;
