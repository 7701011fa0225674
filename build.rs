//! Compiles the freestanding parts, so that `kiln` carries them and needs no compiler later.
//!
//! Each part is a static library, built by a cargo of its own: other flags than the tool's,
//! another target directory (so the two never wait for each other's lock), shared by all
//! profiles of the tool. The archives are packed into the tool.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a part's code is compiled.
struct Mode {
    /// Its target directory: flags that differ must not share one.
    directory: &'static str,
    flags: &'static [&'static str],
}

const KERNEL: Mode = Mode {
    directory: "kernel",
    flags: &[
        "-Crelocation-model=static",
        "-Ccode-model=kernel",
        "-Cno-redzone=yes",
    ],
};
const USER: Mode = Mode {
    directory: "user",
    flags: &["-Crelocation-model=pic"],
};
const COMMON_FLAGS: [&str; 3] = [
    "-Cpanic=abort",
    "-Cforce-frame-pointers=yes",
    "--cfg=kiln_freestanding",
];

/// Name in images, package, mode.
const PARTS: [(&str, &str, &Mode); 5] = [
    // Drivers are linked with the kernel, and each is kept only if a manifest names it.
    ("kernel", "kiln-kernel-image", &KERNEL),
    ("name_space", "kiln-name-space", &USER),
    ("image_root", "kiln-image-root", &USER),
    ("memory_fs", "kiln-memory-fs", &USER),
    ("linux", "kiln-linux", &USER),
];

const TARGET: &str = "x86_64-unknown-linux-gnu";
const SOURCES: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "core",
    "drivers",
    "net",
    "fs",
    "personalities",
    "linker/image_format",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KILN_WITHOUT_PARTS");
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut table = String::from(
        "/// Name, length, and deflated bytes of each part.\npub static PARTS: &[(&str, usize, &[u8])] = &[\n",
    );
    // For work on the tool alone: it says that parts are missing when it needs them.
    if std::env::var_os("KILN_WITHOUT_PARTS").is_none() {
        for source in SOURCES {
            println!("cargo::rerun-if-changed={source}");
        }
        // OUT_DIR is TARGET_DIR/PROFILE/build/PACKAGE/out.
        let target = out.ancestors().nth(4).unwrap_or(&out).join("freestanding");
        for (name, package, mode) in PARTS {
            let archive = compile(package, mode, &target);
            let bytes = std::fs::read(&archive)
                .unwrap_or_else(|error| fail(&format!("{}: {error}", archive.display())));
            let packed = out.join(format!("{name}.deflate"));
            std::fs::write(&packed, miniz_oxide::deflate::compress_to_vec(&bytes, 6))
                .unwrap_or_else(|error| fail(&format!("{}: {error}", packed.display())));
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "    ({name:?}, {}, include_bytes!({packed:?})),",
                bytes.len()
            );
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

/// Compiles one package to a static library and gives back its path.
fn compile(package: &str, mode: &Mode, target: &Path) -> PathBuf {
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
        flags.push(format!("--remap-path-prefix={home}/registry/src=crates"));
    }
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
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    let output = cargo
        .output()
        .unwrap_or_else(|error| fail(&format!("cannot run cargo: {error}")));
    if !output.status.success() {
        let complaints = String::from_utf8_lossy(&output.stderr);
        fail(&format!(
            "the freestanding part {package} does not build:\n{complaints}"
        ));
    }
    let file = format!("lib{}.a", package.replace('-', "_"));
    directory.join(TARGET).join("release").join(file)
}
