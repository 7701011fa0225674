//! From a manifest and its root file system to an image.
//!
//! The freestanding parts were compiled when `kiln` was; here they are linked. What the
//! manifest does not name is no root of that link, and so is not in the image.

mod configuration;
mod parts;
mod processes;
mod program;

use kiln_erofs::write::{Summary, Tree};
use kiln_linker::{ComponentInput, Composer, Image, Input, Kind, ProgramInput, Request};

pub use configuration::{DRIVER_KEY, Launch, configuration};

use crate::components::{Home, Server};
use crate::manifest::Manifest;
use crate::manifest::homes::homes;
use crate::progress::Progress;
use crate::{Error, root};

/// Entry of every component but the kernel: the runtime defines it.
const COMPONENT_ENTRY: &str = "component_entry";
/// Where a personality that runs programs takes their system calls.
const REFLECTION_ENTRY: &str = "component_reflected";
/// Where it takes traps.
const TRAP_ENTRY: &str = "component_trapped";
/// The part that every home is linked from: the servers, of which each link keeps some.
const SERVERS_PART: &str = "servers";
/// What keeps the runtime of the servers in the kernel.
const KERNEL_HOME: &str = "KILN_KERNEL_HOME";
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
    /// Symbols that keep the servers that live in the kernel.
    in_kernel: Vec<String>,
    components: Vec<(Kind, Request<'static>)>,
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
        let component = |kind, name: &str, part: &str| -> Result<_, ComposeError> {
            Ok((
                kind,
                Request::new(name, parts::part(part)?, Some(COMPONENT_ENTRY)),
            ))
        };
        let mut in_kernel = Vec::new();
        for home in homes(&manifest.servers, manifest.root.writable) {
            let servers = home.servers.iter();
            let servers = servers.filter_map(|name| Server::from_name(name));
            let symbols = servers.map(Server::symbol);
            if home.home == Home::Kernel {
                in_kernel.push(KERNEL_HOME.to_owned());
                in_kernel.extend(symbols);
                continue;
            }
            let (kind, mut request) = component(Kind::Server, &home.name, SERVERS_PART)?;
            request.roots.extend(symbols);
            components.push((kind, request));
        }
        let personality = manifest.personality;
        let name = personality.name;
        let (kind, mut request) = component(Kind::Personality, name, name)?;
        if personality.runs_a_program {
            request.reflected = Some(REFLECTION_ENTRY.to_owned());
            request.trap = Some(TRAP_ENTRY.to_owned());
        }
        components.push((kind, request));
        for copy in personality.copies {
            components.push(component(Kind::Server, copy.name, name)?);
        }
        let mut configuration = configuration(manifest, launch);
        let program = personality
            .runs_a_program
            .then(|| program::lay_out(tree, &manifest.program.path.value, &root));
        let program = program.flatten().and_then(|program| {
            program.write_record(&manifest.program, launch, &mut configuration)?;
            Some(program.input)
        });
        Ok(Self {
            root,
            root_summary,
            configuration,
            program,
            kernel: parts::part("kernel")?,
            in_kernel,
            components,
        })
    }

    /// The configuration's bytes.
    #[must_use]
    pub fn configuration(&self) -> &[u8] {
        &self.configuration
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
        kernel.roots.extend(self.in_kernel.iter().cloned());
        let mut composer = Composer::new(kernel);
        for (kind, request) in &self.components {
            composer = composer.component(ComponentInput {
                kind: *kind,
                request: request.clone(),
            });
        }
        let composer = composer.root(&self.root).config(&self.configuration);
        let composer = composer.program(self.program.clone());
        Ok(composer.compose().map_err(ComposeError::from)?)
    }
}

#[cfg(test)]
mod tests;
