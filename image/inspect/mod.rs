//! What is inside an image: parts, their sizes, who depends on whom.
//!
//! The same picture is drawn from a manifest (then with the crates in each part) and from
//! an image file alone.

mod root;
mod show;

use kiln_linker::{Image, ImageReport, Kind, inspect};
use kiln_object::configuration::{Configuration, key};

pub use root::RootContents;
pub use show::{to_dot, to_json, to_text};

use crate::components::Home;
use crate::compose::DRIVER_KEY;
use crate::manifest::Manifest;
use crate::manifest::homes::KERNEL;

/// One crate's share of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The crate.
    pub name: String,
    /// Bytes in the file.
    pub bytes: u64,
}

/// One part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it is: `kernel`, `server`, `personality`, `data`.
    pub kind: &'static str,
    /// What kind of home of servers it is.
    pub home: Option<String>,

    /// Bytes in the image file.
    pub file_bytes: u64,
    /// Bytes in memory, before it takes more.
    pub memory_bytes: u64,
    /// The crates in it, largest first; empty where that is not known.
    pub crates: Vec<Share>,
}

/// A server and where it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// The server.
    pub name: String,
    /// The part that it is in.
    pub part: String,
    /// Its home, as manifests name it.
    pub home: String,
}

/// What is inside an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The image's name.
    pub name: String,
    /// The program's path.
    pub program: String,
    /// The program's words, its own name first.
    pub words: Vec<String>,
    /// The personality.
    pub personality: String,
    /// Drivers in the kernel.
    pub drivers: Vec<String>,
    /// Servers, and where each one lives.
    pub servers: Vec<Resident>,
    /// Bytes of the image file.
    pub file_bytes: u64,
    /// All parts, the kernel first.
    pub parts: Vec<Part>,
    /// The root file system.
    pub root: RootContents,
    /// Who uses whom: pairs of names.
    pub uses: Vec<(String, String)>,
}

impl Contents {
    /// What is in an image just composed.
    pub fn of_composed(manifest: &Manifest, image: &Image<'_>, root: &[u8]) -> Self {
        let blob = crate::compose::configuration(manifest, crate::compose::Launch::default());
        let mut contents = Self::of_configuration(&Configuration::new(&blob));
        let report: &ImageReport = &image.report;
        contents.file_bytes = report.file_bytes;
        for (component, linked) in report.components.iter().zip(&image.components) {
            let total = &component.total;
            let crates = component.crates.iter().map(|share| Share {
                name: share.name.clone(),
                bytes: share.file_bytes(),
            });
            contents.parts.push(Part {
                name: component.name.clone(),
                kind: kind_name(linked.kind),
                home: None,
                file_bytes: total.file_bytes(),
                memory_bytes: total.file_bytes().saturating_add(total.bss),
                crates: crates.filter(|share| share.bytes > 0).collect(),
            });
        }
        for blob in &report.blobs {
            contents.parts.push(Part {
                name: blob.name.clone(),
                kind: "data",
                home: None,
                file_bytes: blob.bytes,
                memory_bytes: blob.bytes,
                crates: Vec::new(),
            });
        }
        contents.root = RootContents::of(root);
        contents.settle()
    }

    /// What is in an image file.
    ///
    /// # Errors
    /// It is no image, or damaged.
    pub fn of_image(image: &[u8]) -> Result<Self, kiln_linker::Error> {
        let inspection = inspect(image)?;
        let blob = |wanted: Kind| {
            let component = inspection
                .components
                .iter()
                .find(|component| component.kind == wanted)?;
            component.segments.first()?.bytes(image)
        };
        let mut contents =
            Self::of_configuration(&Configuration::new(blob(Kind::Config).unwrap_or_default()));
        contents.file_bytes = inspection.image_bytes;
        contents.root = RootContents::of(blob(Kind::Root).unwrap_or_default());
        contents.parts = inspection
            .components
            .iter()
            // A program lies in the root file system.
            .filter(|component| component.kind != Kind::Program)
            .map(|component| Part {
                name: component.name.clone(),
                kind: kind_name(component.kind),
                home: None,
                file_bytes: component.file_bytes(),
                memory_bytes: component.memory_bytes(),
                crates: Vec::new(),
            })
            .collect();
        Ok(contents.settle())
    }

    fn of_configuration(configuration: &Configuration<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = |key| configuration.value(key).map(text).unwrap_or_default();
        let personality = value(key::PERSONALITY);
        let program = value(key::PROGRAM_PATH);
        let mut uses = vec![(program.clone(), personality.clone())];
        for grant in configuration.values(key::GRANT).map(text) {
            let mut words = grant.split('\0');
            if let (Some(server), Some(client)) = (words.next(), words.next()) {
                uses.push((client.to_owned(), server.to_owned()));
            }
        }
        let servers = configuration
            .values(key::HOME)
            .map(text)
            .flat_map(|record| {
                let (part, names) = record.split_once('\0').unwrap_or((&record, ""));
                let home = match part {
                    KERNEL => Home::Kernel,
                    name if name == names => Home::Own,
                    name => Home::Shared(name.to_owned()),
                };
                // The kernel's home is linked with the kernel.
                let part = if home == Home::Kernel { "kernel" } else { part };
                let resident = |name: &str| Resident {
                    name: name.to_owned(),
                    part: part.to_owned(),
                    home: home.name(),
                };
                names.split('\0').map(resident).collect::<Vec<_>>()
            });
        Self {
            servers: servers.collect(),
            name: value(key::HOST_NAME),
            words: configuration
                .values(key::PROGRAM_ARGUMENT)
                .map(text)
                .collect(),
            drivers: configuration.values(DRIVER_KEY).map(text).collect(),
            program,
            personality,
            uses,
            ..Self::default()
        }
    }

    /// Adds what follows from the parts: homes, and that all of them use the kernel.
    fn settle(mut self) -> Self {
        // A grant may name a server that this image does not have.
        let parts = &self.parts;
        let servers = &self.servers;
        let here = |name: &str| {
            parts.iter().any(|part| part.name == name)
                || servers.iter().any(|server| server.name == name)
        };
        let program = &self.program;
        self.uses
            .retain(|(user, used)| (here(user) || user == program) && here(used));
        for server in &self.servers {
            self.uses.push((server.name.clone(), "kernel".to_owned()));
        }
        for part in &mut self.parts {
            let mut residents = servers.iter().filter(|server| server.part == part.name);
            if part.kind == "server" {
                part.home = residents.next().map(|server| server.home.clone());
            } else if part.kind == "personality" {
                self.uses.push((part.name.clone(), "kernel".to_owned()));
            }
        }
        for driver in &self.drivers {
            self.uses.push(("kernel".to_owned(), driver.clone()));
        }
        if self
            .servers
            .iter()
            .any(|server| server.name == "image_root")
        {
            self.uses
                .push(("image_root".to_owned(), "root file system".to_owned()));
        }
        self
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Kernel => "kernel",
        Kind::Server => "server",
        Kind::Personality => "personality",
        Kind::Root | Kind::Config | Kind::Symbols(_) | Kind::Other(_) | Kind::Program => "data",
    }
}

#[cfg(test)]
mod tests;
