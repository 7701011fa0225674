//! What is in an image, and what is not.

use std::path::Path;
use std::time::{Duration, Instant};

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};
use serde_json::Value;

use crate::Tests;

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes
        .windows(part.len())
        .any(|window| window == part.as_bytes())
}

fn inspect(path: &std::path::Path) -> Result<Value, String> {
    let output =
        kiln(["inspect".as_ref(), path.as_os_str(), "--json".as_ref()])?.expect_status(0)?;
    serde_json::from_slice(&output.out).map_err(|error| format!("{error}: {}", output.text()))
}

/// How long a small image may take to build on a quiet host; how often that is tried, and how many times as
/// long it may take beside other tests.
const BUILT_WITHIN: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
const LOADED: u32 = 2;

fn length(path: &Path) -> Result<u64, String> {
    let found = std::fs::metadata(path);
    found
        .map(|found| found.len())
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn names(inspection: &Value) -> Vec<String> {
    let parts = inspection["parts"].as_array().cloned().unwrap_or_default();
    parts
        .iter()
        .filter_map(|part| part["name"].as_str().map(str::to_owned))
        .collect()
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("image::what_is_left_out_is_not_in", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let without = least_manifest("without", &binary);
        let with = least_manifest("with", &binary)
            .replace("writable = false", "writable = true")
            .replace("[machine]", "memory_fs = { home = \"own\" }\n[machine]")
            .replace("\"debug_console\"", "\"debug_console\", \"virtio_rng\"");
        let (without, with) = (
            Written::new("without", &without)?,
            Written::new("with", &with)?,
        );
        let (without_image, with_image) = (without.build()?, with.build()?);
        let (small, large) = (inspect(&without_image)?, inspect(&with_image)?);
        ensure(
            !names(&small).iter().any(|name| name == "memory_fs"),
            || format!("{small}"),
        )?;
        ensure(names(&large).iter().any(|name| name == "memory_fs"), || {
            format!("{large}")
        })?;
        ensure(
            names(&small).iter().any(|name| name == "image_root"),
            || format!("{small}"),
        )?;
        let read = |path| std::fs::read(path).map_err(|error| error.to_string());
        let (small, large) = (read(&without_image)?, read(&with_image)?);
        ensure(large.len() > small.len(), || {
            format!("{} and {} bytes", large.len(), small.len())
        })?;
        // Names of functions and of source files betray code that is there.
        for part in ["fs/memory/src", "kiln_drivers::virtio"] {
            ensure(!contains(&small, part), || {
                format!("{part} is in the image without it")
            })?;
            ensure(contains(&large, part), || {
                format!("{part} is not in the image with it")
            })?;
        }
        Ok(())
    });
    tests.add("image::same_inputs_give_the_same_bytes", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let manifest = Written::new("same", &least_manifest("same", &binary))?;
        let read = |path| std::fs::read(path).map_err(|error| error.to_string());
        let first = read(manifest.build()?)?;
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let second = read(manifest.build()?)?;
        ensure(first == second, || "two builds differ".to_owned())
    });
    tests.add("image::same_packages_give_the_same_bytes", || {
        let text = "name = \"packages\"\npersonality = \"linux\"\ndrivers = [\"serial\", \"debug_console\"]\n\
            [program]\npath = \"/bin/busybox\"\n[root]\nfrom = [{ packages = [\"busybox-static\"] }]\nwritable = true\n";
        let manifest = Written::new("packages", text)?;
        let read = |path| std::fs::read(path).map_err(|error| error.to_string());
        let first = read(manifest.build()?)?;
        let second = read(manifest.build()?)?;
        ensure(first == second, || "two builds differ".to_owned())
    });
    tests.add("image::of_hello_is_small", || {
        // With the C library that figures of size are about: glibc's static hello alone is 0.8 MB.
        let binary = compile::c("hello", Linkage::MuslStatic)?;
        let image = Written::new("small", &least_manifest("small", &binary))?.build()?;
        let size = length(&image)?;
        ensure(size < 1 << 20, || format!("{size} bytes"))?;
        let (with_glibc, program) = (
            length(super::boot::hello()?)?,
            length(&compile::c("hello", Linkage::Static)?)?,
        );
        // All of Kiln's parts are the rest.
        ensure(with_glibc < program + (1 << 20), || {
            format!("{with_glibc} bytes with a program of {program}")
        })
    });
    tests.add("image::of_hello_is_soon_built", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let manifest = Written::new("soon", &least_manifest("soon", &binary))?;
        let mut took = Vec::new();
        for _ in 0..TRIES {
            let started = Instant::now();
            manifest.build()?;
            took.push(started.elapsed());
        }
        // Other tests run meanwhile: the fastest tells most about the tool.
        let least = took.iter().min().copied().unwrap_or(Duration::MAX);
        ensure(least < BUILT_WITHIN * LOADED, || format!("{took:?}"))
    });
    tests.add("image::inspection_of_manifest_and_image_agree", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let manifest = Written::new("agree", &least_manifest("agree", &binary))?;
        let image = manifest.build()?;
        let (of_manifest, of_image) = (inspect(&manifest.path)?, inspect(&image)?);
        ensure(of_manifest["file_bytes"] == of_image["file_bytes"], || {
            format!("{of_manifest}\n{of_image}")
        })?;
        ensure(of_manifest["program"] == "/agree", || {
            format!("{of_manifest}")
        })
    });
}
