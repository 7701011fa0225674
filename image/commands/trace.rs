//! `kiln trace`: runs as `kiln run` does, and writes down what the machine notes.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use kiln_object::trace::{GROUP_NAMES, Groups, MOST_RING_BYTES};

use super::run::{Onlooker, launch};
use crate::Error;
use crate::command_line::{Run, Trace};
use crate::manifest::size::parse;
use crate::progress::{Progress, say};
use crate::run::Watch;
use crate::trace::names::Names;
use crate::trace::recorder::Recorder;
use crate::trace::{chrome, timeline};

/// What is asked for, and then what is known of the image and of its run.
struct Tracing {
    groups: Groups,
    ring_bytes: Option<u64>,
    found: Option<(Names, Recorder)>,
}

impl Onlooker for Tracing {
    fn meet(&mut self, names: Names) -> &mut dyn Watch {
        let recorder = Recorder::new(self.groups, self.ring_bytes, names.kernel_data());
        &mut self.found.insert((names, recorder)).1
    }
}

/// Runs the machine and writes the trace; gives back the exit status for Kiln.
///
/// # Errors
/// Anything on the way to the program's own end, or that the trace cannot be written.
pub fn trace(asked: &Trace, progress: Progress) -> Result<u8, Error> {
    let groups = Groups::parse(&asked.events).map_err(|name| {
        let names: Vec<_> = GROUP_NAMES.iter().map(|(name, _)| *name).collect();
        Error::usage(
            format!("--events cannot have `{name}`"),
            format!("give names between commas: all, {}", names.join(", ")),
        )
    })?;
    let ring_bytes = asked.ring.as_deref().map(ring_bytes).transpose()?;
    let output = asked
        .output
        .clone()
        .unwrap_or_else(|| default_output(&asked.run));
    // Before the machine has run for nothing.
    check_place(&output)?;
    let mut tracing = Tracing {
        groups,
        ring_bytes,
        found: None,
    };
    let status = launch(&asked.run, Some(&mut tracing), progress)?;
    let Some((names, recorder)) = tracing.found else {
        return Ok(status);
    };
    let recording = recorder.finish();
    if !recording.is_found {
        progress.warn("the machine noted nothing: it did not come so far, or its kernel is older");
    }
    let items = timeline::items(&recording, &names);
    File::create(&output)
        .and_then(|file| {
            let mut file = BufWriter::with_capacity(1 << 20, file);
            chrome::write(&mut file, &items, &recording, &names)?;
            file.flush()
        })
        .map_err(|error| Error::io("cannot write the trace", &output, error))?;
    say(format_args!(
        "kiln: {} events in {}; open it at ui.perfetto.dev",
        recording.events.len(),
        output.display()
    ));
    if recording.lost > 0 {
        progress.warn(format_args!(
            "{} events are missing: give larger rings with --ring, or fewer events with --events",
            recording.lost
        ));
    }
    if recording.missed > 0 {
        progress.warn(format_args!(
            "{} processes had no ring: give the machine more memory (--mem), or smaller rings (--ring)",
            recording.missed
        ));
    }
    Ok(status)
}

/// Refuses a place where no file can be written.
fn check_place(output: &Path) -> Result<(), Error> {
    let directory = match output.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let refusal = match directory.metadata() {
        _ if output.is_dir() => ErrorKind::IsADirectory.into(),
        Err(error) => error,
        Ok(found) if !found.is_dir() => ErrorKind::NotADirectory.into(),
        Ok(_) => return Ok(()),
    };
    Err(Error::io("cannot write the trace", output, refusal))
}

fn ring_bytes(size: &str) -> Result<u64, Error> {
    parse(size)
        .ok()
        .filter(|bytes| (4096..=MOST_RING_BYTES).contains(bytes))
        .map(u64::next_power_of_two)
        .ok_or_else(|| {
            Error::usage(
                format!("--ring cannot be {size}"),
                "give a size from 4K to 64M, such as 1M",
            )
        })
}

/// Beside the manifest, or here under the program's name.
fn default_output(run: &Run) -> PathBuf {
    match (&run.manifest, run.words.first()) {
        (Some(manifest), _) => manifest.with_extension("trace.json"),
        (None, Some(program)) => {
            let name = program.rsplit('/').next().unwrap_or_default();
            format!("{name}.trace.json").into()
        }
        (None, None) => "kiln.trace.json".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_needs_a_directory() {
        assert!(check_place(Path::new("x.json")).is_ok());
        for wrong in ["/no/such/x.json", "/etc/passwd/x.json", "/tmp"] {
            assert!(check_place(Path::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ring_has_bounds() {
        assert_eq!(ring_bytes("64K").unwrap(), 64 << 10);
        assert_eq!(ring_bytes("5000").unwrap(), 8192);
        for wrong in ["1K", "65M", "x"] {
            assert!(ring_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
