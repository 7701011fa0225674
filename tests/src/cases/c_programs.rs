//! Programs in C and Rust, of every kind of linking, compared with the host.

use std::path::Path;

use kiln_tests::child::{Child, Output};
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::Run;

use crate::Tests;

/// The same program with the same words on the host, both streams in one.
///
/// Signals do what they do by default, as in an image: a shell that starts the tests in the background
/// has SIGINT ignored, which programs inherit.
pub fn on_host(program: &Path, words: &[&str]) -> Result<Output, String> {
    let path = program.to_string_lossy();
    let all: Vec<&str> = ["--default-signal", path.as_ref()]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    Child::new(Path::new("/usr/bin/env"))
        .args(&all)
        .one_stream()
        .plain_environment()
        .directory(Path::new("/"))
        .run()
}

/// Runs a program of the host with what it needs and nothing else, in an image.
pub fn in_image(run: &Run, program: &Path, words: &[&str]) -> Result<Output, String> {
    let path = program.to_string_lossy();
    let all: Vec<&str> = std::iter::once(path.as_ref())
        .chain(words.iter().copied())
        .collect();
    run.run(&all)
}

/// A program says and returns in an image what it does on the host.
fn same(run: &Run, program: &Path, words: &[&str]) -> Result<(), String> {
    let host = on_host(program, words)?;
    in_image(run, program, words)?.expect_same(&host)?;
    Ok(())
}

fn registers(linkage: Linkage, run: &Run) -> Result<(), String> {
    let sources = [
        "tests/programs/registers.c",
        "tests/programs/registers_call.S",
    ];
    let program = compile::c_program("registers", &sources, linkage)?;
    in_image(run, &program, &[])?
        .expect_text("AVX, 0 failures\n")?
        .expect_status(0)?;
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for linkage in Linkage::ALL {
        tests.add(format!("programs::hello::{}", linkage.name()), move || {
            same(&Run::new(), &compile::c("hello", linkage)?, &[])
        });
        tests.add(
            format!("programs::environment::{}", linkage.name()),
            move || {
                let words = [
                    "two words",
                    "",
                    "größe ☃",
                    "--option=\"quoted\"",
                    "\\",
                    "a\nb",
                ];
                same(&Run::new(), &compile::c("environment", linkage)?, &words)
            },
        );
    }
    for linkage in [Linkage::Static, Linkage::Dynamic] {
        tests.add(
            format!("programs::registers::{}", linkage.name()),
            move || registers(linkage, &Run::new()),
        );
        tests.add(
            format!("programs::many_calls::{}", linkage.name()),
            move || same(&Run::new(), &compile::c("loop", linkage)?, &["50000"]),
        );
        tests.add(format!("programs::errors::{}", linkage.name()), move || {
            same(&Run::new(), &compile::c("errors", linkage)?, &[])
        });
    }
    for linkage in [Linkage::Static, Linkage::Dynamic] {
        tests.add(
            format!("programs::signals::{}", linkage.name()),
            move || same(&Run::new(), &compile::c("signals", linkage)?, &[]),
        );
    }
    tests.add("programs::signals::four_processors", || {
        same(
            &Run::new().options(&["--cpus", "4"]),
            &compile::c("signals", Linkage::Static)?,
            &[],
        )
    });
    tests.add("programs::no_memory_is_writable_and_executable", || {
        // Linux allows it; Kiln does not, and says so with an error that programs know.
        let program = compile::c("writable_code", Linkage::Static)?;
        let expected = "map: EACCES\nprotect: EACCES\nprotect without writing: done\nruns: 42\n";
        in_image(&Run::new(), &program, &[])?
            .expect_text(expected)?
            .expect_status(0)?;
        Ok(())
    });
    tests.add("programs::registers::four_processors", || {
        registers(Linkage::Static, &Run::new().options(&["--cpus", "4"]))
    });
    tests.add("programs::many_calls::musl_static", || {
        same(
            &Run::new(),
            &compile::c("loop", Linkage::MuslStatic)?,
            &["50000"],
        )
    });
    tests.add("programs::variables", || {
        let program = compile::c("environment", Linkage::Static)?;
        let run = Run::new().options(&["--env", "KILN=a b=c", "--env", "EMPTY="]);
        let output = in_image(&run, &program, &[])?.expect_status(0)?;
        for line in [
            "variable: [KILN=a b=c]",
            "variable: [EMPTY=]",
            "directory: /",
        ] {
            ensure(output.text().lines().any(|found| found == line), || {
                format!("no {line:?} in:\n{}", output.text())
            })?;
        }
        Ok(())
    });
    for fixed in [true, false] {
        let name = if fixed {
            "programs::rust::static"
        } else {
            "programs::rust::dynamic"
        };
        tests.add(name, move || {
            let program = compile::rust("rust_std", fixed)?;
            let words = ["one", "two words", "☃"];
            same(&Run::new(), &program, &words)
        });
    }
}
