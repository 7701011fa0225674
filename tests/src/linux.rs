//! Debian's cloud kernel: what the host would run, for comparison and for its KVM.
//!
//! The package is fetched with apt and unpacked into the cache, never installed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use crate::child::Child;
use crate::places;

/// An unpacked kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The compressed kernel that a boot loader takes.
    pub image: PathBuf,
    /// The directory of its modules (`.../lib/modules/VERSION/kernel`).
    pub modules: PathBuf,
    /// Its version.
    pub version: String,
}

/// Two tests must not fetch at a time.
static FETCHING: Mutex<()> = Mutex::new(());

/// The kernel from the cache, fetched if it is not there yet.
///
/// # Errors
/// It cannot be had: no such package, no network.
pub fn kernel() -> Result<Kernel, String> {
    let _one = FETCHING.lock();
    let place = places::cache().join("linux");
    if let Some(kernel) = find(&place) {
        return Ok(kernel);
    }
    let partial = places::cache().join(format!("linux-{}", std::process::id()));
    std::fs::create_dir_all(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
    let fetched = fetch(&partial);
    if fetched.is_ok() {
        let _ = std::fs::remove_dir_all(&place);
        std::fs::rename(&partial, &place)
            .map_err(|error| format!("{}: {error}", place.display()))?;
    } else {
        let _ = std::fs::remove_dir_all(&partial);
    }
    fetched?;
    find(&place).ok_or_else(|| {
        format!(
            "the kernel's package has no kernel; see {}",
            place.display()
        )
    })
}

fn fetch(place: &Path) -> Result<(), String> {
    let ask = |program: &str, words: &[&str]| -> Result<String, String> {
        let output = Child::new(program)
            .args(words)
            .directory(place)
            .limit(Duration::from_secs(300))
            .run()?;
        if output.status != 0 {
            return Err(format!("{program} {}: {}", words.join(" "), output.err));
        }
        Ok(output.text())
    };
    let depends = ask("apt-cache", &["depends", "linux-image-cloud-amd64"])?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("linux-image"))
        .ok_or("the package linux-image-cloud-amd64 depends on no kernel")?;
    ask("apt-get", &["-q", "download", package])?;
    let entries = std::fs::read_dir(place).map_err(|error| error.to_string())?;
    let archive = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.ends_with(".deb"))
        .ok_or("apt-get download left no package")?;
    ask("dpkg-deb", &["-x", &archive, "root"])?;
    let _ = std::fs::remove_file(place.join(archive));
    Ok(())
}

fn find(place: &Path) -> Option<Kernel> {
    let boot = std::fs::read_dir(place.join("root/boot")).ok()?;
    let name = boot
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("vmlinuz-"))?;
    let version = name.strip_prefix("vmlinuz-")?.to_owned();
    let library = [
        place.join("root/lib/modules"),
        place.join("root/usr/lib/modules"),
    ];
    let modules = library
        .into_iter()
        .map(|path| path.join(&version).join("kernel"))
        .find(|path| path.is_dir())?;
    Some(Kernel {
        image: place.join("root/boot").join(name),
        modules,
        version,
    })
}
