//! Images and runs of them, made by the tool under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child::{Child, Output};
use crate::places;

/// A call of `kiln run` without a manifest.
#[derive(Debug, Clone, Default)]
pub struct Run {
    options: Vec<String>,
    packages: Vec<String>,
    input: Vec<u8>,
    limit: Option<u64>,
}

impl Run {
    /// A run on one processor of a microvm.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds options of `kiln run`.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// Adds a Debian package.
    #[must_use]
    pub fn package(mut self, name: &str) -> Self {
        self.packages.push(name.to_owned());
        self
    }

    /// Adds a file of the host.
    #[must_use]
    pub fn file(self, host: &Path, guest: &str) -> Self {
        self.options(&["--file", &format!("{}:{guest}", host.display())])
    }

    /// Adds a directory of the host under the same name.
    #[must_use]
    pub fn same_directory(self, path: &Path) -> Self {
        let path = path.display();
        self.options(&["--dir", &format!("{path}:{path}")])
    }

    /// Gives the program these bytes, then the end of input.
    #[must_use]
    pub fn input(mut self, bytes: &[u8]) -> Self {
        self.input = bytes.to_vec();
        self
    }

    /// Stops the machine after so many seconds (30 if not said).
    #[must_use]
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Some(seconds);
        self
    }

    /// Runs `words`, a program and its arguments.
    ///
    /// # Errors
    /// The tool could not be run, or hung.
    pub fn run<S: AsRef<str>>(&self, words: &[S]) -> Result<Output, String> {
        let limit = self.limit.unwrap_or(30);
        let mut child = Child::new(places::kiln()).args(["run", "--timeout", &limit.to_string()]);
        for package in &self.packages {
            child = child.args(["--deb", package]);
        }
        if !self.packages.is_empty() {
            // The lock beside the saved manifest spares each further run the question what
            // the packages depend on.
            let name = format!("{}.toml", self.packages.join("+"));
            child = child.args(["--save".as_ref(), places::locks().join(name).as_os_str()]);
        }
        child
            .args(&self.options)
            .args(["--"])
            .args(words.iter().map(AsRef::as_ref))
            .input(&self.input)
            .limit(Duration::from_secs(limit + 60))
            .run()
    }
}

/// Runs `kiln` with these words.
///
/// # Errors
/// It could not be run, or hung.
pub fn kiln<S: AsRef<std::ffi::OsStr>>(
    words: impl IntoIterator<Item = S>,
) -> Result<Output, String> {
    Child::new(places::kiln()).args(words).run()
}

/// A manifest on disk, written from its text.
#[derive(Debug, Clone)]
pub struct Written {
    /// The manifest.
    pub path: PathBuf,
}

impl Written {
    /// Writes `NAME.toml` into a directory of its own.
    ///
    /// # Errors
    /// The disk's.
    pub fn new(name: &str, text: &str) -> Result<Self, String> {
        let directory = places::made().join("manifests").join(name);
        let path = directory.join(format!("{name}.toml"));
        std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path })
    }

    /// Builds the image and gives its path.
    ///
    /// # Errors
    /// What the tool said.
    pub fn build(&self) -> Result<PathBuf, String> {
        let to = self.path.with_extension("elf");
        kiln([
            "build".as_ref(),
            self.path.as_os_str(),
            "-o".as_ref(),
            to.as_os_str(),
        ])?
        .expect_status(0)?;
        Ok(to)
    }

    /// Exports it as a CD image and gives its path.
    ///
    /// # Errors
    /// What the tool said.
    pub fn export_iso(&self) -> Result<PathBuf, String> {
        let to = self.path.with_extension("iso");
        kiln([
            "export".as_ref(),
            self.path.as_os_str(),
            "--to".as_ref(),
            "iso".as_ref(),
            "-o".as_ref(),
            to.as_os_str(),
        ])?
        .expect_status(0)?;
        Ok(to)
    }
}

/// The manifest of one static program of the host without arguments, with a root that cannot be
/// written: the least there is.
#[must_use]
pub fn least_manifest(name: &str, binary: &Path) -> String {
    format!(
        r#"name = "{name}"
personality = "linux"
drivers = ["serial", "debug_console"]
[program]
path = "/{name}"
[root]
from = [{{ binary = "{}", to = "/{name}" }}]
writable = false
[servers]
name_space = {{ home = "own" }}
image_root = {{ home = "own" }}
[machine]
memory = "32M"
"#,
        binary.display()
    )
}
