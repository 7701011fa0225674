//! What is measured, made from its sources: programs, images, initial file systems.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kiln_tests::child::Child;
use kiln_tests::image::{Written, least_manifest};
use kiln_tests::initial_ram::Archive;
use kiln_tests::places;

/// Where the programs are, from the top of the sources.
const PROGRAMS: &str = "bench/programs";

/// Pages of the file that is read; as many as `calls.c` reads in a round.
const PAGES: u8 = 16;

fn place() -> Result<PathBuf, String> {
    let place = places::made().join("bench");
    std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    Ok(place)
}

/// Compiles a program of these sources (under `bench/programs`, or from the top if there is a
/// slash in the name).
fn compile(
    name: &str,
    compiler: &str,
    flags: &[&str],
    sources: &[&str],
) -> Result<PathBuf, String> {
    let to = place()?.join(name);
    let sources = sources.iter().map(|source| {
        let folder = if source.contains('/') { "" } else { PROGRAMS };
        places::sources().join(folder).join(source)
    });
    let output = Child::new(compiler)
        .args(["-O2", "-g0", "-s", "-Wall", "-Werror", "-std=gnu11"])
        .args(flags)
        .args(sources)
        .args(["-o".as_ref(), to.as_os_str()])
        .run()?;
    if output.status != 0 {
        return Err(format!(
            "{name}: {compiler} ended with {}: {}",
            output.status, output.err
        ));
    }
    set_time(&to)?;
    Ok(to)
}

/// Gives a file a fixed time: times are in images, and the same sources are to give the same bytes.
fn set_time(path: &Path) -> Result<(), String> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    std::fs::File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_modified(time))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Flags of a static program.
const STATIC: [&str; 2] = ["-static", "-no-pie"];

/// The plain hello, static with musl.
///
/// # Errors
/// What the compiler said, or that there is none.
pub fn hello() -> Result<PathBuf, String> {
    let sources = ["tests/programs/hello.c"];
    compile("hello", "musl-gcc", &STATIC, &sources)
        .map_err(|error| format!("{error} (musl-gcc is in the Debian package musl-tools)"))
}

/// The plain hello, static with glibc.
///
/// # Errors
/// What the compiler said.
pub fn hello_glibc() -> Result<PathBuf, String> {
    compile("hello-glibc", "gcc", &STATIC, &["tests/programs/hello.c"])
}

/// The hello that knows the counter at its first instruction.
///
/// # Errors
/// What the compiler said.
pub fn boot() -> Result<PathBuf, String> {
    let flags = ["-static", "-no-pie", "-Wl,--entry=first"];
    compile("boot", "gcc", &flags, &["boot.c", "first.S"])
}

/// The program that counts system calls.
///
/// # Errors
/// What the compiler said.
pub fn calls() -> Result<PathBuf, String> {
    compile("calls", "gcc", &STATIC, &["calls.c"])
}

/// The image that ends at once.
///
/// # Errors
/// What the compiler said.
pub fn exit_image() -> Result<PathBuf, String> {
    let flags = [
        "-m32",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--entry=entry,-Ttext=0x100000,--build-id=none,--omagic,--no-warn-rwx-segments",
    ];
    compile("exit.elf", "gcc", &flags, &["exit.S"])
}

/// Builds a manifest; nothing that was built before can be taken for the image.
fn build(name: &str, manifest: &str) -> Result<PathBuf, String> {
    let written = Written::new(name, manifest)?;
    let _ = std::fs::remove_file(written.path.with_extension("elf"));
    written.build()
}

/// The least image of a program.
///
/// # Errors
/// What the tool said.
pub fn image(name: &str, program: &Path) -> Result<PathBuf, String> {
    build(name, &least_manifest(name, program))
}

/// The least image of a program with the file that it reads.
///
/// # Errors
/// What the tool said.
pub fn image_with_pages(name: &str, program: &Path) -> Result<PathBuf, String> {
    let file = place()?.join("pages");
    std::fs::write(&file, pages()).map_err(|error| format!("{}: {error}", file.display()))?;
    set_time(&file)?;
    let manifest = least_manifest(name, program);
    let files = format!(
        "\nfrom = [{{ files = [{{ from = \"{}\", to = \"/pages\" }}] }}, ",
        file.display()
    );
    build(name, &manifest.replacen("\nfrom = [", &files, 1))
}

/// A copy of an image under a longer name. The loader hands the name to the kernel, which takes a
/// little longer to read it; where nothing else is random, that gives other random numbers.
///
/// # Errors
/// The disk's.
pub fn renamed(image: &Path, longer: usize) -> Result<PathBuf, String> {
    let to = place()?.join(format!("image{:_<longer$}.elf", ""));
    std::fs::copy(image, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to)
}

/// The image of the component that measures object calls.
///
/// # Errors
/// What the tool said.
pub fn native_image(program: &Path) -> Result<PathBuf, String> {
    let manifest = least_manifest("native", program);
    let manifest = manifest.replacen("\"linux\"", "\"bench_native\"", 1);
    build("native", &manifest)
}

/// The same with a server that keeps what is written.
///
/// # Errors
/// As [`native_image`].
pub fn native_image_with_files(program: &Path) -> Result<PathBuf, String> {
    let manifest = least_manifest("native", program);
    let manifest = manifest.replacen("\"linux\"", "\"bench_native\"", 1);
    let manifest = manifest.replacen(
        "[servers]\n",
        "[servers]\nmemory_fs = { home = \"own\" }\n",
        1,
    );
    build("native_files", &manifest)
}

/// The image of the component that uses all processors: which of its tests, and keys of the server that
/// it calls.
///
/// # Errors
/// What the tool said.
pub fn processors_image(test: &str, load: &str, cpus: u32) -> Result<PathBuf, String> {
    let name = format!("processors-{test}-{cpus}");
    let manifest = format!(
        "name = \"{name}\"\npersonality = \"processors\"\ndrivers = [\"serial\", \"debug_console\"]\n\
         [program]\npath = \"/\"\nargs = [\"{test}\"]\n[root]\nfrom = []\nwritable = false\n\
         [servers]\nname_space = {{}}\nimage_root = {{}}\nload = {{ {load} }}\n\
         [machine]\ncpus = {cpus}\nmemory = \"64M\"\n"
    );
    build(&name, &manifest)
}

/// The same with the servers in `home`.
///
/// # Errors
/// As [`native_image`].
pub fn native_image_with(program: &Path, name: &str, home: &str) -> Result<PathBuf, String> {
    let manifest = least_manifest("native", program);
    let manifest = manifest.replacen("\"linux\"", "\"bench_native\"", 1);
    let manifest = manifest.replace("home = \"own\"", &format!("home = \"{home}\""));
    build(name, &manifest)
}

/// The initial file system in which a program is Linux's first process.
///
/// # Errors
/// The disk's.
pub fn linux_files(program: &Path) -> Result<PathBuf, String> {
    let mut archive = Archive::new();
    archive.directory("dev");
    archive.host_file(program, "init")?;
    archive.file("pages", &pages());
    let name = program.file_name().unwrap_or_default();
    let to = place()?.join(name).with_extension("cpio");
    std::fs::write(&to, archive.finish()).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to)
}

/// A file whose pages end with their number.
fn pages() -> Vec<u8> {
    let page = |number| {
        let mut page = vec![b'x'; 4096];
        if let Some(last) = page.last_mut() {
            *last = number;
        }
        page
    };
    (0..PAGES).flat_map(page).collect()
}
