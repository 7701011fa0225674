//! `kiln new`: a manifest to start from, with its fields explained.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use crate::Error;
use crate::command_line::New;
use crate::manifest::is_image_name;
use crate::progress::say;

/// Writes the manifest; one that is there is not touched.
///
/// # Errors
/// The name cannot name an image, or the file cannot be made.
pub fn new(asked: &New) -> Result<(), Error> {
    let name = &asked.name;
    if !is_image_name(name) {
        return Err(Error::usage(
            format!("`{name}` cannot name an image"),
            "use up to 64 letters, digits, `.`, `_` and `-`, the first one a letter or digit",
        ));
    }
    let path = asked
        .output
        .clone()
        .unwrap_or_else(|| format!("{name}.toml").into());
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(template(name).as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::usage(
            format!("`{}` is there already", path.display()),
            "choose another name, or another file with --output",
        ),
        _ => Error::io("cannot write the manifest", &path, error),
    })?;
    say(format_args!(
        "kiln: wrote {}; try: kiln run {}",
        path.display(),
        path.display()
    ));
    Ok(())
}

fn template(name: &str) -> String {
    format!(
        r#"# The machine that will run, from top to bottom. What is not named here is not in the image.

# Names the image and the files made for it.
name = "{name}"
# What the program believes to run on.
personality = "linux"
# Drivers in the kernel. Known: serial (the console), debug_console (messages and the exit
# status for `kiln run`, which adds it).
drivers = ["serial", "debug_console"]

# The program to start; its end is the machine's end, its exit status that of `kiln run`.
[program]
path = "/bin/busybox"
args = ["echo", "Hello from {name}"]
directory = "/"

[program.env]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/root"

# The root file system: sources in order, a later one replaces files of an earlier one.
# Host paths are relative to this file.
[root]
from = [
    # Debian packages with what they depend on, pinned in {name}.lock.
    # essential = true adds those that Debian takes for granted;
    # documentation = true keeps manuals and translations.
    {{ packages = ["busybox-static"] }},
    # A program of this host, static or with its loader and libraries:
    # {{ binary = "target/release/{name}", to = "/bin/{name}" }},
    # A directory with all it holds; owner = "root" gives it all to root:
    # {{ directory = "rootfs", to = "/", owner = "keep" }},
    # Single files:
    # {{ files = [{{ from = "{name}.conf", to = "/etc/{name}.conf", mode = "0644" }}] }},
]
# Whether the program may write; what it writes is kept in memory.
writable = true

# Servers, and where each one lives: "own" is an address space of its own.
[servers]
name_space = {{ home = "own" }}
image_root = {{ home = "own" }}
memory_fs = {{ home = "own" }}

# What the machine needs to have. Models: microvm, q35, pc.
[machine]
memory = "128M"
cpus = 1
model = "microvm"

# The program's terminal, where its real size is not known.
[console]
size = "80x24"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Source};

    #[test]
    fn the_template_is_a_manifest() {
        let source = Source::new("hello.toml", template("hello"));
        let manifest = Manifest::parse(source, "".into()).unwrap();
        assert_eq!(manifest.name, "hello");
        assert_eq!(manifest.servers.len(), 3);
    }

    #[test]
    fn a_manifest_that_is_there_is_not_touched() {
        let path = std::env::temp_dir().join(format!("kiln-new-{}.toml", std::process::id()));
        let asked = New {
            name: "hello".to_owned(),
            output: Some(path.clone()),
        };
        new(&asked).unwrap();
        let error = new(&asked).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
