//! Compiles the programs under `tests/programs` with the host's compilers.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::child::Child;
use crate::places;

/// One compilation at a time: two tests may want the same program.
static COMPILING: Mutex<()> = Mutex::new(());

/// A compiler and how it links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// glibc, static, at a fixed address.
    Static,
    /// glibc, static, position independent.
    StaticPie,
    /// glibc, dynamic, position independent.
    Dynamic,
    /// glibc, dynamic, at a fixed address.
    DynamicFixed,
    /// musl, static.
    MuslStatic,
    /// musl, dynamic.
    MuslDynamic,
}

impl Linkage {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Static,
        Self::StaticPie,
        Self::Dynamic,
        Self::DynamicFixed,
        Self::MuslStatic,
        Self::MuslDynamic,
    ];

    /// A name for tests and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "glibc_static",
            Self::StaticPie => "glibc_static_pie",
            Self::Dynamic => "glibc_dynamic",
            Self::DynamicFixed => "glibc_dynamic_fixed",
            Self::MuslStatic => "musl_static",
            Self::MuslDynamic => "musl_dynamic",
        }
    }

    fn command(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Static => ("gcc", &["-static", "-no-pie"]),
            Self::StaticPie => ("gcc", &["-static-pie", "-fPIE"]),
            Self::Dynamic => ("gcc", &["-pie", "-fPIE"]),
            Self::DynamicFixed => ("gcc", &["-no-pie", "-fno-pie"]),
            Self::MuslStatic => ("musl-gcc", &["-static"]),
            Self::MuslDynamic => ("musl-gcc", &[]),
        }
    }
}

/// Compiles `sources` (paths from the top of the source tree) to a program called `name`.
///
/// # Errors
/// What the compiler said.
pub fn c_program(name: &str, sources: &[&str], linkage: Linkage) -> Result<PathBuf, String> {
    let (compiler, flags) = linkage.command();
    let to = places::made()
        .join("programs")
        .join(linkage.name())
        .join(name);
    let sources: Vec<PathBuf> = sources
        .iter()
        .map(|path| places::sources().join(path))
        .collect();
    compile(&to, &sources, |to| {
        Child::new(compiler)
            .args([
                "-O2",
                "-g0",
                "-Wall",
                "-Werror",
                "-std=gnu11",
                "-fno-strict-aliasing",
            ])
            .args(flags)
            .args(&sources)
            .args(["-o".as_ref(), to.as_os_str()])
    })
}

/// Compiles `tests/programs/NAME.c`.
///
/// # Errors
/// What the compiler said.
pub fn c(name: &str, linkage: Linkage) -> Result<PathBuf, String> {
    c_program(name, &[&format!("tests/programs/{name}.c")], linkage)
}

/// Compiles a program in Rust with the standard library; dynamic unless `fixed`.
///
/// # Errors
/// What the compiler said.
pub fn rust(name: &str, fixed: bool) -> Result<PathBuf, String> {
    let folder = if fixed { "rust_static" } else { "rust_dynamic" };
    let to = places::made().join("programs").join(folder).join(name);
    let source = places::sources().join(format!("tests/programs/{name}.rs"));
    compile(&to, std::slice::from_ref(&source), |to| {
        let features = if fixed { "+crt-static" } else { "-crt-static" };
        Child::new("rustc")
            .args([
                "--edition",
                "2024",
                "-O",
                "-C",
                &format!("target-feature={features}"),
            ])
            .args([source.as_os_str(), "-o".as_ref(), to.as_os_str()])
    })
}

/// Compiles unless what is there is newer than its sources.
fn compile(
    to: &Path,
    sources: &[PathBuf],
    command: impl FnOnce(&Path) -> Child,
) -> Result<PathBuf, String> {
    let _one = COMPILING.lock();
    let changed = |path: &Path| {
        std::fs::metadata(path)
            .and_then(|data| data.modified())
            .ok()
    };
    let newest = sources.iter().filter_map(|path| changed(path)).max();
    if changed(to).is_some_and(|made| newest.is_some_and(|newest| made > newest)) {
        return Ok(to.to_owned());
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let partial = to.with_extension("partial");
    let output = command(&partial).run()?;
    if output.status != 0 {
        return Err(format!(
            "{} does not compile:\n{}",
            to.display(),
            output.err
        ));
    }
    std::fs::rename(&partial, to).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to.to_owned())
}
