//! A kernel that panics: status 125, registers, and who called whom, by name.
//!
//! No input makes a kernel panic, so a debugger does: it stops the kernel in a function and lets it go
//! on where there is no code.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kiln_tests::child::Child;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::debugger::Debugger;
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, least_manifest};
use kiln_tests::machine::Machine;
use kiln_tests::places;

use crate::Tests;

/// Where the kernel is led astray: when the program has ended, in what its last call led to.
const PLACE: &str = " kiln_kernel::power::off";
/// Where to.
const NOWHERE: u64 = 0x10;

/// A run of `kiln` whose machine waits for a debugger.
struct Waiting {
    kiln: std::process::Child,
    /// What Kiln said so far.
    said: String,
    /// Where the debugger's socket and the symbols are.
    directory: PathBuf,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.kiln.kill();
        let _ = self.kiln.wait();
    }
}

impl Waiting {
    fn start(manifest: &Path, cpus: u32) -> Result<Self, String> {
        let kiln = Command::new(places::kiln())
            .args(["run", "--gdb", "--timeout", "100", "--cpus"])
            .arg(cpus.to_string())
            .arg(manifest)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut waiting = Self {
            kiln,
            said: String::new(),
            directory: PathBuf::new(),
        };
        let mut byte = [0];
        while waiting.directory.as_os_str().is_empty() {
            let errors = waiting.kiln.stderr.as_mut().ok_or("no standard error")?;
            if errors.read(&mut byte).map_err(|error| error.to_string())? == 0 {
                return Err(format!("no word of a debugger: {}", waiting.said));
            }
            waiting.said.push(char::from(byte[0]));
            waiting.directory = waiting
                .said
                .split_once("target remote ")
                .and_then(|(_, rest)| rest.split_once("/socket'"))
                .map_or_else(PathBuf::new, |(directory, _)| PathBuf::from(directory));
        }
        Ok(waiting)
    }

    /// The address of [`PLACE`] in the image's kernel.
    fn place(&self) -> Result<u64, String> {
        let kernel = self.directory.join("kernel.elf");
        let symbols = Child::new("nm").args([&kernel]).run()?.expect_status(0)?;
        let symbols = symbols.text();
        let line = symbols.lines().find(|line| line.ends_with(PLACE));
        line.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok())
            .ok_or_else(|| format!("the kernel has no{PLACE}"))
    }

    fn debugger(&self) -> Result<Debugger, String> {
        Debugger::connect(&self.directory.join("socket"))
    }

    /// Waits for Kiln's end; its status, and all that it said.
    fn end(mut self) -> Result<(Option<i32>, String), String> {
        let failed = |error: std::io::Error| error.to_string();
        if let Some(mut errors) = self.kiln.stderr.take() {
            let mut rest = String::new();
            errors.read_to_string(&mut rest).map_err(failed)?;
            self.said.push_str(&rest);
        }
        let status = self.kiln.wait().map_err(failed)?;
        Ok((status.code(), std::mem::take(&mut self.said)))
    }
}

fn manifest(name: &str) -> Result<Written, String> {
    let binary = compile::c("hello", Linkage::Static)?;
    Written::new(name, &least_manifest("hello", &binary))
}

/// What a panic at [`NOWHERE`] has to say: what and where, all registers, callers by name.
fn is_told(log: &str) -> Result<(), String> {
    let wanted = |what: &str| ensure(log.contains(what), || format!("no {what:?} in\n{log}"));
    wanted("kiln:error:panic: page fault (exception 14, error 0x10) on processor ")?;
    wanted("kiln:error:  rip 0000000000000010   rsp ffff")?;
    wanted("   cr2 0000000000000010")?;
    for register in ["rax", "rdi", "r15"] {
        wanted(&format!("  {register} "))?;
    }
    wanted("kiln:error:  at 0x10")?;
    let caller = log.lines().find(|line| {
        line.contains("kiln:error:  at 0xffffffff8")
            && line.contains(" kiln_")
            && line.contains("+0x")
    });
    ensure(caller.is_some(), || format!("no caller by name in\n{log}"))
}

fn by_kiln_run(cpus: u32) -> Result<(), String> {
    let manifest = manifest(&format!("panic_{cpus}"))?;
    let waiting = Waiting::start(&manifest.path, cpus)?;
    let mut debugger = waiting.debugger()?;
    debugger.run_to(waiting.place()?)?;
    debugger.jump(NOWHERE)?;
    let (status, said) = waiting.end()?;
    is_told(&said)?;
    ensure(status == Some(125), || format!("status {status:?}: {said}"))
}

/// The same image started by GRUB: the log is the machine's, and so is the status.
fn by_grub() -> Result<(), String> {
    let manifest = manifest("panic_grub")?;
    let disc = manifest.export_iso()?;
    let place = Waiting::start(&manifest.path, 1)?.place()?;
    let socket = places::made().join(format!("panic-{}", std::process::id()));
    let listens = format!(
        "socket,id=debugger,server=on,wait=off,path={}",
        socket.display()
    );
    let machine = Machine::new("q35")
        .with("-cpu max -m 128M -boot d -gdb chardev:debugger -S")
        .option("-chardev", &listens)
        .option("-cdrom", &disc.to_string_lossy());
    let runs = std::thread::spawn(move || machine.run());
    let led = Debugger::connect(&socket).and_then(|mut debugger| {
        debugger.run_to(place)?;
        debugger.jump(NOWHERE)
    });
    let seen = runs.join().map_err(|_| "the machine's thread panicked")??;
    let _ = std::fs::remove_file(&socket);
    led?;
    is_told(&seen.messages)?;
    let said = "kiln:exit:panic";
    ensure(seen.messages.lines().any(|line| line == said), || {
        format!("no {said} in {}", seen.messages)
    })?;
    // QEMU makes `value * 2 + 1` of what the image writes to the exit device: 127, no program's status.
    ensure(seen.status == 255, || {
        format!("QEMU ended with {}", seen.status)
    })
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for cpus in [1, 2] {
        tests.add(format!("panic::by_kiln_run_{cpus}"), move || {
            by_kiln_run(cpus)
        });
    }
    tests.add("panic::by_grub", by_grub);
}
