//! The lock file: which packages an image is made of, pinned by checksum.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::DebianError;
use crate::Error;

/// One package, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch.
    pub version: String,
    /// The architecture it is for, `all` if it is for any.
    pub architecture: String,
    /// SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
    /// The name of its file.
    pub file: String,
}

/// The packages that a request was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What was asked for: sorted, each once. If the manifest asks for something else by
    /// now, the lock is of no use.
    pub requested: Vec<String>,
    /// Everything that makes it up, sorted by name.
    pub packages: Vec<Package>,
}

/// SHA-256 of these bytes, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Lock {
    /// Reads a lock file; none if there is none.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map(Some).map_err(Error::from),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read the lock file", path, error)),
        }
    }

    /// Reads the text of a lock file; `path` is for messages.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn parse(text: &str, path: &Path) -> Result<Self, DebianError> {
        let wrong = |offset: usize, message: &str| DebianError::Lock {
            path: path.to_owned(),
            line: text.get(..offset).unwrap_or(text).matches('\n').count() + 1,
            message: message.to_owned(),
        };
        let document = DeTable::parse(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message()))?;
        let table = document.get_ref();
        let version = table
            .get("version")
            .and_then(|value| value.get_ref().as_integer());
        if version.is_none_or(|version| version.as_str() != "1") {
            return Err(wrong(0, "this is no lock file of version 1"));
        }
        let strings = table
            .get("requested")
            .and_then(|value| value.get_ref().as_array());
        let strings = strings.ok_or_else(|| wrong(0, "`requested` is missing"))?;
        let requested = strings
            .iter()
            .filter_map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect();
        let mut packages = Vec::new();
        let items = table
            .get("package")
            .and_then(|value| value.get_ref().as_array());
        for item in items.map(|items| items.iter()).into_iter().flatten() {
            let at = item.span().start;
            let field = |name: &str| {
                item.get_ref()
                    .as_table()
                    .and_then(|table| table.get(name))
                    .and_then(|value| match value.get_ref() {
                        DeValue::String(text) => Some(text.to_string()),
                        _ => None,
                    })
                    .ok_or_else(|| wrong(at, &format!("a package has no `{name}`")))
            };
            let package = Package {
                name: field("name")?,
                version: field("version")?,
                architecture: field("architecture")?,
                sha256: field("sha256")?,
                file: field("file")?,
            };
            // These become file names in the cache.
            let digits =
                package.sha256.len() == 64 && package.sha256.chars().all(|c| c.is_ascii_hexdigit());
            if !digits {
                return Err(wrong(at, "`sha256` is no checksum"));
            }
            if package.file.contains('/') || !package.file.ends_with(".deb") {
                return Err(wrong(at, "`file` is no name of a package file"));
            }
            if !super::is_package_name(&format!("{}={}", package.name, package.version)) {
                return Err(wrong(at, "`name` and `version` are none of a package"));
            }
            packages.push(package);
        }
        Ok(Self {
            requested,
            packages,
        })
    }

    /// The text of the lock file.
    pub fn to_toml(&self) -> String {
        let quoted = crate::manifest::quoted;
        let requested: Vec<String> = self.requested.iter().map(|name| quoted(name)).collect();
        let mut out = format!(
            "# Written by kiln: the packages of this image, pinned. Keep it with the manifest;\n\
             # delete it to take newer versions at the next build.\n\
             version = 1\nrequested = [{}]\n",
            requested.join(", ")
        );
        for package in &self.packages {
            out.push_str("\n[[package]]\n");
            for (name, value) in [
                ("name", &package.name),
                ("version", &package.version),
                ("architecture", &package.architecture),
                ("sha256", &package.sha256),
                ("file", &package.file),
            ] {
                out.push_str(&format!("{name} = {}\n", quoted(value)));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged_text;

    fn lock() -> Lock {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            sha256: digest(name.as_bytes()),
            file: format!("{name}_{}_amd64.deb", version.replace(':', "%3a")),
        };
        Lock {
            requested: vec!["?essential".to_owned(), "hello".to_owned()],
            packages: vec![package("hello", "2.10-3"), package("zlib1g", "1:1.2")],
        }
    }

    #[test]
    fn a_lock_is_read_back() {
        let text = lock().to_toml();
        assert_eq!(Lock::parse(&text, Path::new("x.lock")).unwrap(), lock());
    }

    #[test]
    fn a_damaged_lock_says_where() {
        let text = lock()
            .to_toml()
            .replace("file = \"zlib1g", "file = \"../zlib1g");
        let error = Lock::parse(&text, Path::new("x.lock"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("`x.lock` line 13: `file` is no name"),
            "{error}"
        );
        assert!(error.contains("delete the file"), "{error}");
        let error = Lock::parse("version = 2", Path::new("x.lock"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("version 1"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn a_damaged_lock_is_read_or_complained_about(
            text in damaged_text(&lock().to_toml(), &["[[package]]\n", "[", "\"", "= 1\n", "/", ".."]),
        ) {
            match Lock::parse(&text, Path::new("x.lock")) {
                Ok(lock) => {
                    let again = Lock::parse(&lock.to_toml(), Path::new("x.lock"));
                    prop_assert_eq!(again.expect("what is written can be read"), lock);
                }
                Err(error) => prop_assert!(error.to_string().starts_with("`x.lock` line ")),
            }
        }
    }
}
