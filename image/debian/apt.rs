//! Drives `apt-get` in directories of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::{DebianError, Package};
use crate::manifest::near;
use crate::progress::Progress;
use crate::{Error, cache};

/// How old the lists of packages may be when a new choice is made.
const LISTS_KEPT: Duration = Duration::from_secs(60 * 60);

/// apt, working in Kiln's cache.
pub struct Apt {
    cache: PathBuf,
    configuration: PathBuf,
    progress: Progress,
}

impl Apt {
    /// Makes the directories and the configuration.
    ///
    /// # Errors
    /// apt or dpkg is missing, or the cache cannot be written.
    pub fn prepare(cache: &Path, progress: Progress) -> Result<Self, Error> {
        for program in ["apt-get", "dpkg-deb"] {
            if crate::search_path::find_program(Path::new(program)).is_none() {
                return Err(DebianError::NoProgram(program).into());
            }
        }
        let home = cache.join("apt");
        for directory in [
            "state/lists/partial",
            "cache/archives/partial",
            "cache/none/partial",
        ] {
            cache::create(&home.join(directory))?;
        }
        let configuration = home.join("apt.conf");
        let text = configuration_text(&home);
        let unchanged = std::fs::read(&configuration).is_ok_and(|old| old == text.as_bytes());
        if !unchanged {
            cache::write_whole(&home.join("status"), b"")?;
            cache::write_whole(&configuration, text.as_bytes())?;
        }
        Ok(Self {
            cache: cache.to_owned(),
            configuration,
            progress,
        })
    }

    /// Kiln's cache directory.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where the file of `package` is, or will be.
    pub fn file(&self, package: &Package) -> PathBuf {
        self.archives().join(&package.file)
    }

    /// Whether the file of `package` is there.
    pub fn has(&self, package: &Package) -> bool {
        self.file(package).exists()
    }

    fn archives(&self) -> PathBuf {
        self.cache.join("apt/cache/archives")
    }

    fn lists(&self) -> PathBuf {
        self.cache.join("apt/state/lists")
    }

    /// When the lists were last fetched; none if there are none.
    fn lists_age(&self) -> Option<Duration> {
        let is_list = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        };
        std::fs::read_dir(self.lists())
            .ok()?
            .any(is_list)
            .then_some(())?;
        let fetched = self
            .cache
            .join("apt/fetched")
            .metadata()
            .ok()?
            .modified()
            .ok()?;
        SystemTime::now().duration_since(fetched).ok()
    }

    /// Fetches the lists of packages if there are none or they are old.
    pub fn update_if_old(&self) -> Result<(), Error> {
        match self.lists_age() {
            Some(age) if age < LISTS_KEPT => Ok(()),
            _ => self.update(),
        }
    }

    /// Fetches the lists of packages if there are none.
    pub fn update_if_absent(&self) -> Result<(), Error> {
        match self.lists_age() {
            Some(_) => Ok(()),
            None => self.update(),
        }
    }

    /// Fetches the lists of packages. One archive of several that cannot be reached is
    /// only a warning: what is asked for may well be in the others.
    pub fn update(&self) -> Result<(), Error> {
        self.progress.step("fetching the lists of packages");
        let result = self.run(
            "apt-get",
            &["update".to_owned()],
            None,
            "fetch the lists of packages",
        );
        match result {
            Ok(_) => cache::write_whole(&self.cache.join("apt/fetched"), b""),
            Err(DebianError::Apt { output, .. }) if self.lists_age().is_some() => {
                self.progress.warn(format_args!(
                    "the lists of packages could not all be fetched; going on with those there are\n{output}"
                ));
                Ok(())
            }
            Err(error) => {
                // Lists that were fetched for the first time, though not all of them.
                let first_lists = std::fs::read_dir(self.lists()).is_ok_and(|entries| {
                    entries
                        .flatten()
                        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
                });
                if !first_lists {
                    return Err(error.into());
                }
                self.progress.warn(&error);
                cache::write_whole(&self.cache.join("apt/fetched"), b"")
            }
        }
    }

    /// The packages that `words` and what they depend on make up; checksums are not known.
    pub fn resolve(&self, words: &[String]) -> Result<Vec<Package>, DebianError> {
        let mut arguments: Vec<String> = ["install", "--print-uris", "-qq", "-y"]
            .map(str::to_owned)
            .to_vec();
        // apt leaves out what it has already fetched: show it a place where nothing is.
        let none = self.cache.join("apt/cache/none");
        arguments.push(format!("-oDir::Cache::archives={}/", none.display()));
        arguments.push("--".to_owned());
        arguments.extend(words.iter().cloned());
        let output = self.run("apt-get", &arguments, None, "choose packages")?;
        Ok(output.lines().filter_map(package_of_line).collect())
    }

    /// Fetches the files of these packages, in exactly these versions.
    pub fn download(&self, packages: &[&Package]) -> Result<(), DebianError> {
        let mut arguments: Vec<String> = ["download", "-q", "-y", "--"].map(str::to_owned).to_vec();
        arguments.extend(
            packages
                .iter()
                .map(|package| format!("{}={}", package.name, package.version)),
        );
        self.run(
            "apt-get",
            &arguments,
            Some(&self.archives()),
            "fetch packages",
        )?;
        Ok(())
    }

    /// The complaint about a package that nobody knows, with near names.
    pub fn unknown(&self, name: &str) -> DebianError {
        let list = self.run("apt-cache", &["pkgnames".to_owned()], None, "list packages");
        let list = list.unwrap_or_default();
        let plain = name.split([':', '=']).next().unwrap_or(name);
        // Names of about the same length with the same start: the rest is too much to compare.
        let start = plain.get(..1).unwrap_or_default();
        let known: Vec<&str> = list
            .lines()
            .filter(|known| known.starts_with(start) && known.len().abs_diff(plain.len()) <= 3)
            .collect();
        let near = near::near(plain, &known);
        let remedy = if near.is_empty() {
            "look for it with `apt-cache search`; /etc/apt/sources.list says where packages come from".to_owned()
        } else {
            format!("did you mean `{}`?", near.join("` or `"))
        };
        DebianError::UnknownPackage {
            name: name.to_owned(),
            remedy,
        }
    }

    fn run(
        &self,
        program: &'static str,
        arguments: &[String],
        directory: Option<&Path>,
        doing: &'static str,
    ) -> Result<String, DebianError> {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.configuration).args(arguments);
        // Messages are looked into, so they must not be translated.
        command
            .env("LC_ALL", "C.UTF-8")
            .env_remove("APT_CONFIG")
            .stdin(Stdio::null());
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        self.progress
            .detail(format_args!("{program} {}", arguments.join(" ")));
        let output = command
            .output()
            .map_err(|error| DebianError::Start { program, error })?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        let failed = complaints.lines().any(|line| line.starts_with("E: "));
        if output.status.success() && !failed {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(refusal(
            doing,
            &complaints,
            &String::from_utf8_lossy(&output.stdout),
        ))
    }
}

/// What apt's complaints mean.
fn refusal(doing: &'static str, complaints: &str, output: &str) -> DebianError {
    for line in complaints.lines() {
        if let Some(name) = line.strip_prefix("E: Unable to locate package ") {
            return DebianError::UnknownPackage {
                name: name.trim().to_owned(),
                remedy: String::new(),
            };
        }
    }
    let mut lines: Vec<&str> = complaints.lines().filter(|line| !line.is_empty()).collect();
    if doing == "choose packages" {
        // Which dependency cannot be met is said on standard output.
        let explanation = output
            .lines()
            .skip_while(|line| !line.contains("unmet dependencies"));
        lines.splice(0..0, explanation.filter(|line| !line.is_empty()));
    }
    let unreachable = [
        "Could not resolve",
        "Could not connect",
        "Failed to fetch",
        "Unable to connect",
    ];
    let remedy = if unreachable.iter().any(|words| complaints.contains(words)) {
        "check the network and /etc/apt/sources.list, then try again"
    } else {
        "check the names and versions that are asked for"
    };
    DebianError::Apt {
        doing,
        output: lines
            .iter()
            .map(|line| format!("    {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
        remedy: remedy.to_owned(),
    }
}

/// Reads a line of `--print-uris`: `'URI' FILE SIZE CHECKSUM`. The file's name is made of
/// the package's name, version and architecture.
fn package_of_line(line: &str) -> Option<Package> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let file = rest.split_whitespace().next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Package {
        name: name.to_owned(),
        version: version.replace("%3a", ":"),
        architecture: architecture.to_owned(),
        sha256: String::new(),
        file: file.to_owned(),
    })
}

/// The host's configuration says where packages come from; everything that would touch the
/// host, or run its hooks, is set aside.
fn configuration_text(home: &Path) -> String {
    let home = home.display();
    format!(
        r#"Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
#clear APT::Update;
#clear DPkg;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Install-Recommends "0";
APT::Install-Suggests "0";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "1";
"#
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged_text;

    #[test]
    fn a_line_of_apt_names_a_package() {
        let line = "'http://host/pool/z/zlib1g_1.2.13_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1_amd64.deb 86684 MD5Sum:ec";
        let package = package_of_line(line).unwrap();
        assert_eq!(package.name, "zlib1g");
        assert_eq!(package.version, "1:1.2.13.dfsg-1");
        assert_eq!(package.architecture, "amd64");
        assert_eq!(package.file, "zlib1g_1%3a1.2.13.dfsg-1_amd64.deb");
        assert!(package_of_line("Reading package lists...").is_none());
    }

    #[test]
    fn what_apt_refuses_comes_with_a_remedy() {
        let error = refusal(
            "choose packages",
            "E: Unable to locate package pyhton3\n",
            "",
        );
        assert!(matches!(error, DebianError::UnknownPackage { name, .. } if name == "pyhton3"));
        let error = refusal(
            "fetch packages",
            "E: Failed to fetch http://x  Could not resolve 'x'\n",
            "",
        );
        assert!(error.to_string().contains("check the network"), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_apt_says_is_understood_or_passed_over(
            text in damaged_text(
                "'http://host/z/zlib1g_1.2_amd64.deb' zlib1g_1%3a1.2_amd64.deb 86684 MD5Sum:ec\nE: Unable to locate package x\n",
                &["'", "' ", "_", ".deb", "E: ", "unmet dependencies", "\n"],
            ),
        ) {
            for line in text.lines() {
                if let Some(package) = package_of_line(line) {
                    prop_assert!(package.file.ends_with(".deb"));
                }
            }
            for doing in ["choose packages", "fetch packages"] {
                prop_assert!(!refusal(doing, &text, &text).to_string().is_empty());
            }
        }
    }
}
