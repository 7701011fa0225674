//! `kiln run`: the image of a manifest, or of a command line, run under QEMU.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_linker::{Image, debug_elf};

use super::without_manifest::{apply, apply_machine, find_program, from_words};
use super::{drills, gather, lock_beside};
use crate::command_line::Run;
use crate::components::Driver;
use crate::compose::Launch;
use crate::manifest::{Machine, Manifest, to_toml};
use crate::progress::{Progress, say};
use crate::run::functions::Functions;
use crate::run::{Console, Settings, Watch, run as run_machine};
use crate::trace::names::Names;
use crate::{Error, cache, root};

/// Somebody who looks into a machine that is run.
pub(super) trait Onlooker {
    /// Gets to know the image before it runs, and says who watches the machine.
    fn meet(&mut self, names: Names) -> &mut dyn Watch;

    /// Whether the program's console is to be nowhere.
    fn hides_console(&self) -> bool {
        false
    }
}

/// Makes the image and runs it; gives back the exit status for Kiln.
///
/// # Errors
/// Anything on the way to the program's own end.
pub fn run(asked: &Run, progress: Progress) -> Result<u8, Error> {
    launch(asked, None, progress)
}

/// As [`run`], with somebody who looks on.
pub(super) fn launch(
    asked: &Run,
    onlooker: Option<&mut dyn Onlooker>,
    progress: Progress,
) -> Result<u8, Error> {
    let timeout = asked.timeout.map(|seconds| {
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            Error::usage(
                format!("--timeout cannot be {seconds}"),
                "give a number of seconds, such as 10",
            )
        })
    });
    let timeout = timeout.transpose()?;
    drills::check_form(asked)?;
    if let Some(path) = &asked.manifest
        && super::inspect::is_elf(path)?
    {
        return run_image(asked, path, timeout, onlooker, progress);
    }
    let (mut manifest, lock) = match &asked.manifest {
        Some(path) => (Manifest::read(path)?, Some(lock_beside(path))),
        None => (from_words(asked)?, asked.save.as_deref().map(lock_beside)),
    };
    apply(asked, &mut manifest)?;
    let tree = root::assemble(&manifest, lock.as_deref(), progress)?;
    if asked.manifest.is_none() {
        find_program(&mut manifest, &tree)?;
    }
    if let Some(path) = &asked.save {
        save(&manifest, path)?;
    }
    let launch = Launch {
        strace: asked.strace,
    };
    let ingredients = gather(&manifest, &tree, launch, progress)?;
    drills::check(asked, ingredients.configuration())?;
    let image = ingredients.compose(&manifest, progress)?;
    let debugger = if asked.gdb {
        Some(prepare_debugger(&image)?)
    } else {
        None
    };
    let settings = Settings {
        model: manifest.machine.model,
        memory: manifest.machine.memory,
        cpus: manifest.machine.cpus,
        timeout,
        strace: asked.strace,
        drills: drills::words(asked),
        console: console(onlooker.as_deref()),
        entropy: manifest.drivers.contains(&Driver::VirtioRng),
        debugger: debugger.as_ref().map(|debugger| debugger.socket.clone()),
        verbose: progress.is_verbose(),
        functions: Functions::of(&image),
    };
    let watch = match onlooker {
        Some(onlooker) => Some(onlooker.meet(Names::of_composed(&image)?)),
        None => None,
    };
    let status = run_machine(|file| image.write_to(file), &settings, watch, progress)?;
    Ok(status)
}

fn console(onlooker: Option<&dyn Onlooker>) -> Console {
    if onlooker.is_some_and(Onlooker::hides_console) {
        Console::Hidden
    } else {
        Console::Shared
    }
}

/// Runs an image that was made before; what is in it cannot be changed any more.
fn run_image(
    asked: &Run,
    path: &Path,
    timeout: Option<Duration>,
    onlooker: Option<&mut dyn Onlooker>,
    progress: Progress,
) -> Result<u8, Error> {
    let fixed = [
        ("--deb", !asked.deb.is_empty()),
        ("--file", !asked.file.is_empty()),
        ("--dir", !asked.dir.is_empty()),
        ("--env", !asked.env.is_empty()),
        ("--save", asked.save.is_some()),
        ("--gdb", asked.gdb),
        ("arguments", !asked.words.is_empty()),
    ];
    if let Some((option, _)) = fixed.iter().find(|(_, given)| *given) {
        return Err(Error::usage(
            format!("{option} cannot be given with an image: it is made already"),
            "run its manifest instead",
        ));
    }
    let machine = machine_of(asked)?;
    let bytes = super::inspect::read_image(path)?;
    if !drills::words(asked).is_empty() {
        drills::check(asked, Names::of_bytes(bytes.clone())?.configuration())?;
    }
    let settings = Settings {
        model: machine.model,
        memory: machine.memory,
        cpus: machine.cpus,
        timeout,
        strace: asked.strace,
        drills: drills::words(asked),
        console: console(onlooker.as_deref()),
        entropy: false,
        debugger: None,
        verbose: progress.is_verbose(),
        functions: Functions::default(),
    };
    let watch = match onlooker {
        Some(onlooker) => Some(onlooker.meet(Names::of_bytes(bytes.clone())?)),
        None => None,
    };
    Ok(run_machine(
        |file| file.write_all(&bytes),
        &settings,
        watch,
        progress,
    )?)
}

/// The machine that options alone describe.
fn machine_of(asked: &Run) -> Result<Machine, Error> {
    let mut machine = Machine::default();
    apply_machine(asked, &mut machine)?;
    Ok(machine)
}

/// Writes the manifest that a command line equals; its paths work from where it lies.
fn save(manifest: &Manifest, path: &Path) -> Result<(), Error> {
    let mut saved = manifest.clone();
    let beside = path.parent().unwrap_or(Path::new(""));
    if saved.directory != beside {
        let here = std::env::current_dir()
            .map_err(|error| Error::io("cannot find the current directory", path, error))?;
        saved.make_paths_absolute(&here);
    }
    cache::write_whole(path, to_toml(&saved).as_bytes())
}

/// What a debugger needs, in a directory that is gone with this.
struct Debugger {
    directory: PathBuf,
    socket: PathBuf,
}

impl Drop for Debugger {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Writes the symbols of all components and tells how to start the debugger.
fn prepare_debugger(image: &Image<'_>) -> Result<Debugger, Error> {
    let directory = std::env::temp_dir().join(format!("kiln-gdb-{}", std::process::id()));
    cache::create(&directory)?;
    let debugger = Debugger {
        socket: directory.join("socket"),
        directory,
    };
    let mut command = String::from("gdb");
    for (index, component) in image.components.iter().enumerate() {
        let linked = &component.linked;
        let path = debugger.directory.join(format!("{}.elf", linked.name));
        cache::write_whole(&path, &debug_elf(linked))?;
        // Addresses are the linked ones already, so no offset is to be given.
        let verb = if index == 0 {
            "symbol-file"
        } else {
            "add-symbol-file"
        };
        command.push_str(&format!(" -ex '{verb} {}'", path.display()));
    }
    command.push_str(&format!(
        " -ex 'target remote {}'",
        debugger.socket.display()
    ));
    say("kiln: the machine waits for a debugger; in another terminal:");
    say(command);
    Ok(debugger)
}
