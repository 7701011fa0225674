//! Entropy that the machine offers: the image takes it from the host, once, and starts without it.
//!
//! What is taken is seen from outside: the device gives on what a named pipe has, and what is missing
//! there afterwards went into the image. How it is mixed into the kernel's key, unit tests look at.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kiln_tests::child::Child;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, least_manifest};
use kiln_tests::machine::Machine;
use kiln_tests::places;

use crate::Tests;

/// What the image asks for, in bytes.
const WANTED: usize = 64;

fn image() -> Result<&'static Path, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("hello", &binary)
            .replace("\"debug_console\"", "\"debug_console\", \"virtio_rng\"");
        Written::new("entropy", &text)?.build()
    });
    image.as_deref().map_err(Clone::clone)
}

/// Boots with a pipe that has `offered` bytes; how many are gone afterwards, and the kernel's log.
fn taken(name: &str, model: &str, device: &str, offered: usize) -> Result<(usize, String), String> {
    let pipe = places::made().join(format!("entropy-{name}-{}", std::process::id()));
    let failed = |error: std::io::Error| format!("{}: {error}", pipe.display());
    let _ = std::fs::remove_file(&pipe);
    Child::new("mkfifo").args([&pipe]).run()?.expect_status(0)?;
    // Open for both, so that it neither waits for the other end nor loses what is in it.
    let mut end = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .map_err(failed)?;
    end.write_all(&vec![b'e'; offered]).map_err(failed)?;
    let source = format!("rng-random,id=source,filename={}", pipe.display());
    let seen = Machine::new(model)
        .with(&format!("-cpu max -m 64M -device {device},rng=source"))
        .option("-object", &source)
        .kernel(image()?)
        .run();
    // Whatever is left comes before this mark.
    end.write_all(b"!").map_err(failed)?;
    let mut left = 0;
    let mut byte = [0];
    while byte[0] != b'!' {
        end.read_exact(&mut byte).map_err(failed)?;
        left += usize::from(byte[0] == b'e');
    }
    std::fs::remove_file(&pipe).map_err(failed)?;
    let seen = seen?;
    seen.expect("Hello, world\n", 0)?;
    Ok((offered - left, seen.messages))
}

fn is_taken(model: &str, device: &str, place: &str) -> Result<(), String> {
    let (taken, log) = taken(model, model, device, 4 * WANTED)?;
    ensure(taken == WANTED, || {
        format!("{taken} bytes were taken: {log}")
    })?;
    let said = format!("virtio_rng: {WANTED} bytes of entropy from {place}");
    ensure(log.contains(&said), || format!("no {said:?} in {log}"))
}

/// A device that gives nothing is named, and nobody waits for it for long.
fn is_silent() -> Result<(), String> {
    let (_, log) = taken("silent", "microvm", "virtio-rng-device", 0)?;
    let said = "kiln:error:virtio_rng: no entropy from 0x";
    ensure(log.contains(said), || format!("no {said:?} in {log}"))
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for (model, device, place) in [
        ("microvm", "virtio-rng-device", "0x"),
        ("q35", "virtio-rng-pci", "PCI "),
    ] {
        tests.add(
            format!("entropy::is_taken_from_the_host::{model}"),
            move || is_taken(model, device, place),
        );
    }
    tests.add("entropy::a_device_that_gives_nothing", is_silent);
}
