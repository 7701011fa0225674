//! `kiln export`: an image in the form that a boot loader or a machine wants.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build::write_image;
use super::{destination, prepare};
use crate::command_line::{Export, Form};
use crate::compose::Launch;
use crate::progress::Progress;
use crate::{Error, cache, search_path};

/// Makes the image and puts it into the form asked for.
///
/// # Errors
/// Anything on the way; a missing tool is named with the package that has it.
pub fn export(asked: &Export, progress: Progress) -> Result<(), Error> {
    if asked.to == Form::Iso {
        // Before the work, not after it.
        require_grub()?;
    }
    let (manifest, ingredients) = prepare(&asked.manifest, Launch::default(), progress)?;
    let image = ingredients.compose(&manifest, progress)?;
    match asked.to {
        Form::Elf => {
            let path = destination(asked.output.as_ref(), &manifest, "elf");
            write_image(&image, &path)?;
            progress.step(format_args!("wrote {}", path.display()));
        }
        Form::Iso => {
            let path = destination(asked.output.as_ref(), &manifest, "iso");
            let files = Scratch::new()?;
            let grub = files.0.join("boot/grub");
            cache::create(&grub)?;
            write_image(&image, &files.0.join("boot/kiln.elf"))?;
            cache::write_whole(&grub.join("grub.cfg"), menu(&manifest.name).as_bytes())?;
            progress.step("making the CD image");
            make_iso(&files.0, &path)?;
            progress.step(format_args!("wrote {}", path.display()));
        }
    }
    Ok(())
}

/// What GRUB is told: boot at once.
fn menu(name: &str) -> String {
    format!(
        "set timeout=0\nset default=0\nmenuentry \"{name}\" {{\n    multiboot2 /boot/kiln.elf stdin=tty stdout=tty\n    boot\n}}\n"
    )
}

/// What must be there, and the Debian package that has it.
const TOOLS: [(&str, &str); 3] = [
    ("grub-mkrescue", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
];
const MODULES: [(&str, &str); 2] = [
    ("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
];

fn require_grub() -> Result<(), Error> {
    let tools = TOOLS
        .iter()
        .filter(|(tool, _)| search_path::find_program(Path::new(tool)).is_none());
    let modules = MODULES.iter().filter(|(path, _)| !Path::new(path).is_dir());
    let missing: Vec<&(&str, &str)> = tools.chain(modules).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    Err(Error::usage(
        format!(
            "a CD image needs what is not on this host: {}",
            names.join(", ")
        ),
        format!("apt-get install {}", packages.join(" ")),
    ))
}

fn make_iso(files: &Path, to: &Path) -> Result<(), Error> {
    let output = Command::new("grub-mkrescue")
        .arg("-o")
        .arg(to)
        .arg(files)
        // The same image gives the same CD, as far as the tools can.
        .env("SOURCE_DATE_EPOCH", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::io("cannot run", Path::new("grub-mkrescue"), error))?;
    if output.status.success() {
        return Ok(());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = complaints.lines().rev().take(5).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Error::usage(
        format!("grub-mkrescue failed:\n    {}", last.join("\n    ")),
        "check that there is room, and that the packages of GRUB are whole",
    ))
}

/// A directory that is gone with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("kiln-iso-{}", std::process::id()));
        cache::create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
