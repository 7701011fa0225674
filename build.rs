//! Compiles the freestanding parts, so that `kiln` carries them and needs no compiler later.
//!
//! Each part is a static library, built by a cargo of its own: other flags than the tool's,
//! another target directory (so the two never wait for each other's lock), shared by all
//! profiles of the tool. Of each archive the tool carries the objects that can be reached from
//! the part's own; the rest is the compiler's run-time library, which is large.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "image/catalogue.rs"]
#[allow(dead_code, reason = "what the tool alone asks")]
mod catalogue;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

/// How a part's code is compiled.
struct Mode {
    /// Its target directory: flags that differ must not share one.
    directory: &'static str,
    flags: &'static [&'static str],
    /// Optimisation level: the kernel's paths are short and taken often, the rest is large.
    optimisation: &'static str,
}

const KERNEL: Mode = Mode {
    directory: "kernel",
    flags: &[
        "-Crelocation-model=static",
        "-Ccode-model=kernel",
        "-Cno-redzone=yes",
        // The servers that may live there have another runtime below them.
        "--cfg=kiln_kernel",
    ],
    optimisation: "2",
};
const USER: Mode = Mode {
    directory: "user",
    flags: &["-Crelocation-model=pic"],
    optimisation: "s",
};
const COMMON_FLAGS: [&str; 3] = [
    "-Cpanic=abort",
    "-Cforce-frame-pointers=yes",
    "--cfg=kiln_freestanding",
];

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the freestanding parts' sources are, besides the folders of the catalogue.
const SOURCES: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "core",
    "drivers",
    "fs",
    "linker",
    "examples/counter/interface",
    "tests/load/interface",
    "tests/report",
];

/// A static library that the tool carries.
struct Part {
    /// Its name in images.
    name: &'static str,
    /// The package with the library.
    package: &'static str,
    /// The manifest of the workspace that the package is in.
    manifest: PathBuf,
    mode: &'static Mode,
}

/// Everything that an image can be linked from.
fn parts(target: &Path) -> Vec<Part> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let in_source_tree = |name, package, mode| Part {
        name,
        package,
        manifest: root.join("Cargo.toml"),
        mode,
    };
    // Drivers are linked with the kernel, and each is kept only if a manifest names it. So it is with
    // the servers, in homes of their own and in the kernel.
    let runtime = ("kiln-runtime", "core/runtime");
    let kernel = ("kiln-kernel-image", "linker/kernel");
    let mut parts = vec![
        Part {
            name: "kernel",
            package: "kiln-kernel-home",
            manifest: home_package(&root, target, "kiln-kernel-home", &[runtime, kernel], ""),
            mode: &KERNEL,
        },
        Part {
            name: "servers",
            package: "kiln-home",
            manifest: home_package(
                &root,
                target,
                "kiln-home",
                &[runtime],
                "kiln_runtime::home!();\n",
            ),
            mode: &USER,
        },
    ];
    for personality in catalogue::PERSONALITIES {
        parts.push(in_source_tree(personality.name, personality.package, &USER));
    }
    parts
}

/// Writes a package that has all servers of the catalogue in one library, with `others` and `source`
/// besides, and gives its manifest. It is no member of the workspace since the catalogue alone says
/// what is in it.
fn home_package(
    root: &Path,
    target: &Path,
    name: &str,
    others: &[(&str, &str)],
    source: &str,
) -> PathBuf {
    let mut manifest = format!(
        "[workspace]\n[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lints.rust]\nunexpected_cfgs = \"allow\"\n[dependencies]\n"
    );
    let mut source = format!("//! Every server; a home is linked from some.\n#![no_std]\n{source}");
    let servers = catalogue::SERVERS
        .iter()
        .map(|one| (one.package, one.folder));
    for (package, folder) in others.iter().copied().chain(servers) {
        // Writing to a String cannot fail.
        let _ = writeln!(manifest, "{package} = {{ path = {:?} }}", root.join(folder));
        let _ = writeln!(source, "extern crate {};", package.replace('-', "_"));
    }
    let directory = target.join(name);
    let place = directory.join("Cargo.toml");
    write_if_changed(&place, manifest.as_bytes());
    write_if_changed(&directory.join("src/lib.rs"), source.as_bytes());
    // The versions that the source tree was tested with.
    let lock = std::fs::read(root.join("Cargo.lock"))
        .unwrap_or_else(|error| fail(&format!("Cargo.lock: {error}")));
    let copied = directory.join("Cargo.lock.copied");
    if std::fs::read(&copied).ok().as_deref() != Some(&lock) {
        write_if_changed(&directory.join("Cargo.lock"), &lock);
        write_if_changed(&copied, &lock);
    }
    place
}

fn write_if_changed(path: &Path, content: &[u8]) {
    if std::fs::read(path).ok().as_deref() == Some(content) {
        return;
    }
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, content))
        .unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=image/catalogue.rs");
    println!("cargo::rerun-if-env-changed=KILN_WITHOUT_PARTS");
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut table =
        String::from("/// What was compiled with this tool.\npub static PARTS: &[Part] = &[\n");
    // `all`, or names of parts: for work on the tool or on a few parts alone. The tool says that a
    // part is missing when it needs it.
    let without = std::env::var("KILN_WITHOUT_PARTS").unwrap_or_default();
    let wanted = |name: &str| without != "all" && !without.split(',').any(|word| word == name);
    // OUT_DIR is TARGET_DIR/PROFILE/build/PACKAGE/out.
    let target = out.ancestors().nth(4).unwrap_or(&out).join("freestanding");
    let parts: Vec<_> = parts(&target)
        .into_iter()
        .filter(|part| wanted(part.name))
        .collect();
    if !parts.is_empty() {
        let servers = catalogue::SERVERS.iter().map(|one| one.folder);
        let personalities = catalogue::PERSONALITIES.iter().map(|one| one.folder);
        for source in SOURCES.into_iter().chain(servers).chain(personalities) {
            println!("cargo::rerun-if-changed={source}");
        }
        for part in &parts {
            let Part { name, package, .. } = part;
            let archive = compile(part, &target);
            let bytes = std::fs::read(&archive)
                .unwrap_or_else(|error| fail(&format!("{}: {error}", archive.display())));
            let objects = reachable(&bytes, &package.replace('-', "_"))
                .unwrap_or_else(|error| fail(&format!("{}: {error}", archive.display())));
            // Writing to a String cannot fail.
            let _ = writeln!(table, "    Part {{ name: {name:?}, objects: &[");
            for (index, (member, content)) in objects.iter().enumerate() {
                let path = out.join(format!("{name}-{index}.o"));
                std::fs::write(&path, content)
                    .unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
                let _ = writeln!(
                    table,
                    "        PartObject {{ name: {member:?}, bytes: include_bytes!({path:?}) }},"
                );
            }
            table.push_str("    ] },\n");
        }
    }
    table.push_str("];\n");
    let path = out.join("parts.rs");
    std::fs::write(&path, table)
        .unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| fail(&format!("{name}: {error}")))
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    std::process::exit(1);
}

/// Where cargo unpacks crates: a directory for each registry, named after it.
fn registries(home: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(home.join("registry/src"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// Compiles one package to a static library and gives back its path.
fn compile(part: &Part, target: &Path) -> PathBuf {
    let Part { package, mode, .. } = part;
    let directory = target.join(mode.directory);
    let mut flags: Vec<String> = mode
        .flags
        .iter()
        .chain(&COMMON_FLAGS)
        .map(|flag| (*flag).to_owned())
        .collect();
    // Messages of panics name source files: the same on every machine.
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    if let Ok(home) = home {
        for registry in registries(Path::new(&home)) {
            flags.push(format!("--remap-path-prefix={}=crates", registry.display()));
        }
    }
    let root = variable("CARGO_MANIFEST_DIR");
    flags.push(format!("--remap-path-prefix={root}/="));
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args([
            "rustc",
            "--release",
            "--quiet",
            "--crate-type=staticlib",
            "--lib",
        ])
        .args(["--package", package, "--target", TARGET])
        .arg("--target-dir")
        .arg(&directory)
        .arg("--manifest-path")
        .arg(&part.manifest)
        .current_dir(variable("CARGO_MANIFEST_DIR"));
    // What cargo (and clippy) told this build script is not for the other cargo, but for
    // where its home is and how many jobs may run.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let kept = [
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
        ];
        let cargo_s = [
            "CARGO",
            "RUST",
            "CLIPPY",
            "TARGET",
            "PROFILE",
            "OPT_LEVEL",
            "DEBUG",
            "OUT_DIR",
        ];
        if cargo_s.iter().any(|prefix| name.starts_with(prefix)) && !kept.contains(&&*name) {
            cargo.env_remove(&*name);
        }
    }
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", mode.optimisation);
    let output = cargo
        .output()
        .unwrap_or_else(|error| fail(&format!("cannot run cargo: {error}")));
    let complaints = String::from_utf8_lossy(&output.stderr);
    // Code that is only there in this build is checked by no other.
    for line in complaints.lines().filter(|_| output.status.success()) {
        println!("cargo::warning={line}");
    }
    if !output.status.success() {
        fail(&format!(
            "the freestanding part {package} does not build:\n{complaints}"
        ));
    }
    let file = format!("lib{}.a", package.replace('-', "_"));
    directory.join(TARGET).join("release").join(file)
}

/// The objects of an archive that can be reached from those of the crate `package`.
fn reachable<'a>(
    archive: &'a [u8],
    package: &str,
) -> Result<Vec<(String, &'a [u8])>, object::Error> {
    let mut members = Vec::new();
    let mut definitions = BTreeMap::new();
    for member in ArchiveFile::parse(archive)?.members() {
        let member = member?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        let content = member.data(archive)?;
        // What is no object is the compiler's description of a crate.
        let Ok(file) = object::File::parse(content) else {
            continue;
        };
        let (mut defined, mut wanted) = (Vec::new(), Vec::new());
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let list = if symbol.is_undefined() {
                &mut wanted
            } else {
                &mut defined
            };
            list.push(symbol.name_bytes()?);
        }
        for symbol in defined {
            definitions.entry(symbol).or_insert(members.len());
        }
        members.push((name, content, wanted));
    }
    let own = |(index, (name, _, _)): (usize, &(String, _, _))| {
        name.starts_with(package).then_some(index)
    };
    let mut kept: BTreeSet<usize> = members.iter().enumerate().filter_map(own).collect();
    let mut pending: Vec<usize> = kept.iter().copied().collect();
    while let Some(index) = pending.pop() {
        let wanted = members.get(index).map(|(_, _, wanted)| wanted);
        for found in wanted
            .into_iter()
            .flatten()
            .filter_map(|name| definitions.get(name))
        {
            if kept.insert(*found) {
                pending.push(*found);
            }
        }
    }
    let members = members.into_iter().enumerate();
    Ok(members
        .filter(|(index, _)| kept.contains(index))
        .map(|(_, (name, content, _))| (name, content))
        .collect())
}
