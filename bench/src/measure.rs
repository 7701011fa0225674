//! One function for each source of figures: what it runs, and what it takes from the output.

use std::path::Path;

use kiln_tests::image;
use kiln_tests::linux::Kernel;

use crate::figure::{Source, Value, Values};
use crate::machine::Machines;
use crate::{made, wall};

/// Memory is tried in steps of this.
const STEP_KIB: u64 = 256;
/// More than anything needs.
const MOST_KIB: u64 = 32 << 10;
/// The same for Linux, of which each try takes long.
const LINUX_STEP_MIB: u64 = 4;
/// More than Linux needs.
const LINUX_MOST_MIB: u64 = 256;

/// Runs of the program that counts calls. Addresses are random, and what is looked up by address
/// takes a few instructions more or less: the least of so many runs is that of a lucky layout.
const LAYOUTS: usize = 8;

/// What the hello writes.
const HELLO: &str = "Hello, world";

/// What was measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Kiln's numbers.
    pub kiln: Values,
    /// Linux's.
    pub linux: Values,
}

impl Measured {
    /// Measures everything that comes from `source`; `names` are its figures.
    pub fn add(
        &mut self,
        source: Source,
        machines: &Machines,
        kernel: &Result<Kernel, String>,
        names: &[&str],
    ) {
        let run = match source {
            Source::Sizes => sizes,
            Source::Memory => memory,
            Source::Wall => wall::measure,
            Source::Boot => boot,
            Source::Calls => calls,
            Source::Native => native,
            Source::Processors => processors,
        };
        if let Err(reason) = run(machines, kernel, self) {
            self.kiln.fail(names.iter().copied(), &reason);
        }
    }

    fn put(&mut self, name: &str, kiln: Value, linux: Value) {
        self.kiln.insert(name, kiln);
        self.linux.insert(name, linux);
    }
}

fn length(path: &Path) -> Value {
    let data = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(data.len() as f64)
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn sizes(
    _: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    let linux = |program: &Path| -> Value {
        let kernel = kernel.as_ref().map_err(String::clone)?;
        Ok(length(&kernel.image)? + length(&made::linux_files(program)?)?)
    };
    for (name, hello) in [
        ("image.hello.bytes", made::hello()),
        ("image.hello.glibc.bytes", made::hello_glibc()),
    ] {
        let kiln = hello
            .as_ref()
            .map_err(String::clone)
            .and_then(|hello| length(&made::image(file_name(hello), hello)?));
        measured.put(name, kiln, hello.and_then(|hello| linux(&hello)));
    }
    let hello = made::hello()?;
    let image = made::image(file_name(&hello), &hello)?;
    let linux_system = kernel
        .as_ref()
        .map_err(String::clone)
        .and_then(|kernel| length(&kernel.image));
    measured.put("image.system.bytes", without_root(&image), linux_system);
    Ok(())
}

/// Bytes of an image but for its root file system, as the tool says.
fn without_root(path: &Path) -> Value {
    let told = image::kiln(["inspect".as_ref(), "--json".as_ref(), path.as_os_str()])?;
    let told = told.expect_status(0)?.text();
    let told: serde_json::Value =
        serde_json::from_str(&told).map_err(|error| format!("kiln inspect --json: {error}"))?;
    let root = told["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|part| part["name"] == "root")
        .and_then(|part| part["file_bytes"].as_u64())
        .ok_or("kiln inspect --json says nothing of the root")?;
    Ok(length(path)? - root as f64)
}

/// The least number in `low..=high` for which `works` holds, if it holds for all above.
fn least(low: u64, high: u64, mut works: impl FnMut(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (low, high);
    if !works(high) {
        return None;
    }
    while low < high {
        let middle = low.midpoint(high);
        if works(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(high)
}

fn memory(
    machines: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    let hello = made::hello()?;
    let image = made::image("hello", &hello)?;
    let works = |steps| {
        let seen = machines.run_with(&image, steps * STEP_KIB);
        seen.is_ok_and(|seen| String::from_utf8_lossy(&seen.console).contains(HELLO))
    };
    let found = least(4, MOST_KIB / STEP_KIB, works)
        .map(|steps| (steps * STEP_KIB * 1024) as f64)
        .ok_or_else(|| format!("the hello does not run in {MOST_KIB} KiB either"));
    let linux = || -> Value {
        let kernel = kernel.as_ref().map_err(String::clone)?;
        let files = made::linux_files(&made::boot()?)?;
        let works = |steps| {
            let console = machines.linux_with(kernel, &files, steps * LINUX_STEP_MIB);
            console.is_ok_and(|console| console.contains(HELLO))
        };
        least(4, LINUX_MOST_MIB / LINUX_STEP_MIB, works)
            .map(|steps| ((steps * LINUX_STEP_MIB) << 20) as f64)
            .ok_or_else(|| format!("Linux does not run in {LINUX_MOST_MIB} MiB either"))
    };
    measured.put("memory.hello.bytes", found, linux());
    Ok(())
}

/// The counter at a program's first instruction, from its output.
fn first_counter(output: &str) -> Value {
    let mut values = Values::default();
    values.read(output);
    values.get("boot.first")
}

fn boot(
    machines: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    // What came before the kernel's entry is the firmware's: the same for any image.
    let seen = machines.count(&made::exit_image()?)?;
    let entry = u64::from_str_radix(seen.messages.trim(), 16).map_err(|error| {
        format!(
            "the image that ends at once said {:?}: {error}",
            seen.messages
        )
    })? as f64;
    let program = made::boot()?;
    let seen = machines.count(&made::image("boot", &program)?)?;
    let kiln = first_counter(&String::from_utf8_lossy(&seen.console)).map(|first| first - entry);
    let linux = || -> Value {
        let kernel = kernel.as_ref().map_err(String::clone)?;
        let console = machines.count_linux(kernel, &made::linux_files(&program)?)?;
        first_counter(&console).map(|first| first - entry)
    };
    measured.put("boot.hello", kiln, linux());
    Ok(())
}

/// What a program that ends with a line `done` wrote before.
fn complete(output: &str) -> Result<&str, String> {
    if output.lines().any(|line| line.trim() == "done") {
        Ok(output)
    } else {
        Err(format!("the program did not come to its end: {output}"))
    }
}

fn calls(
    machines: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    let program = made::calls()?;
    linux_calls(machines, kernel, measured);
    let image = made::image_with_pages("calls", &program)?;
    let mut least = Values::default();
    for layout in 0..LAYOUTS {
        let seen = machines.count(&made::renamed(&image, layout)?)?;
        let mut values = Values::default();
        values.read(complete(&String::from_utf8_lossy(&seen.console))?);
        least.take_least(values);
    }
    measured.kiln.take_least(least);
    Ok(())
}

/// Linux's numbers, for this source and for what stands beside another's.
fn linux_calls(machines: &Machines, kernel: &Result<Kernel, String>, measured: &mut Measured) {
    if measured.linux.get("loop.empty").is_ok() {
        return;
    }
    let run = || -> Result<String, String> {
        let kernel = kernel.as_ref().map_err(String::clone)?;
        let output = machines.count_linux(kernel, &made::linux_files(&made::calls()?)?)?;
        complete(&output).map(str::to_owned)
    };
    match run() {
        Ok(output) => measured.linux.read(&output),
        Err(reason) => eprintln!("kiln-bench: no system calls of Linux: {reason}"),
    }
}

fn native(
    machines: &Machines,
    kernel: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    linux_calls(machines, kernel, measured);
    let image = made::native_image(&made::calls()?)?;
    let seen = machines.count(&image)?;
    let mut quiet = Values::default();
    quiet.read(&String::from_utf8_lossy(&seen.console));
    let seen = machines.count_traced(&image)?;
    let mut traced = Values::default();
    traced.read(&String::from_utf8_lossy(&seen.console));
    measured.kiln.insert("trace.on", traced.get("trace.on"));
    for (name, call) in [
        ("trace.on.call", "call.null"),
        ("trace.on.kernel", "call.kernel"),
    ] {
        measured.kiln.insert(name, event_of(call, &quiet, &traced));
    }
    measured.kiln.take_least(quiet);
    let seen = machines.count(&made::native_image_with_files(&made::calls()?)?)?;
    let mut faults = Values::default();
    faults.read(&String::from_utf8_lossy(&seen.console));
    for name in ["fault.pager", "fault.file"] {
        measured.kiln.insert(name, faults.get(name));
    }
    for (name, home) in [
        ("call.home.shared", "shared:servers"),
        ("call.home.kernel", "kernel"),
    ] {
        let seen = machines.count(&made::native_image_with(&made::calls()?, name, home)?)?;
        let mut elsewhere = Values::default();
        elsewhere.read(&String::from_utf8_lossy(&seen.console));
        measured.kiln.insert(name, elsewhere.get("call.null"));
    }
    Ok(())
}

/// Calls between processors, counted with one processor running at a time, and calls on all at once.
fn processors(
    machines: &Machines,
    _: &Result<Kernel, String>,
    measured: &mut Measured,
) -> Result<(), String> {
    let pinned = made::processors_image("measure", "cpu = 1, pinned = true", 2)?;
    let seen = machines.count_on(&pinned, 2)?;
    let mut counted = Values::default();
    counted.read(&String::from_utf8_lossy(&seen.console));
    measured
        .kiln
        .insert("call.remote", counted.get("call.remote"));
    // What else the host does only takes away from it: the most of some runs counts.
    let calls = |processors: u32| -> Value {
        let image = made::processors_image("scale", "", processors)?;
        let mut most = 0.0f64;
        for _ in 0..3 {
            let seen = machines.at_once(&image, processors)?;
            let mut values = Values::default();
            values.read(&String::from_utf8_lossy(&seen.console));
            most = most.max(values.get(&format!("calls.{processors}"))?);
        }
        Ok(most)
    };
    let one = calls(1);
    for processors in [2, 4] {
        let ratio = one
            .clone()
            .and_then(|one| Ok(calls(processors)? / one.max(1.0)));
        measured
            .kiln
            .insert(&format!("scale.calls.{processors}"), ratio);
    }
    Ok(())
}

/// What each of the two events of a call costs: that it leaves, and that it has come back.
fn event_of(call: &str, quiet: &Values, traced: &Values) -> Value {
    Ok((traced.get(call)? - quiet.get(call)?) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_works_is_found() {
        for least_working in 4..=32 {
            assert_eq!(least(4, 32, |n| n >= least_working), Some(least_working));
        }
        assert_eq!(least(4, 32, |_| false), None);
    }

    #[test]
    fn an_unfinished_run_gives_no_numbers() {
        assert!(complete("a 1\r\ndone\r\n").is_ok());
        assert!(complete("a 1\r\n").is_err());
    }
}
