//! `kiln run --strace`: lines as strace writes them.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::Run;

use super::c_programs::in_image;
use crate::Tests;

fn traced(name: &str, words: &[&str]) -> Result<(String, String), String> {
    let program = compile::c(name, Linkage::Static)?;
    let output = in_image(&Run::new().options(&["--strace"]), &program, words)?;
    Ok((output.text(), output.err))
}

fn has_line(trace: &str, what: &str, fits: impl Fn(&str) -> bool) -> Result<(), String> {
    ensure(trace.lines().any(fits), || {
        format!("no line of {what} in:\n{trace}")
    })
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("strace::hello", || {
        let (out, trace) = traced("hello", &[])?;
        ensure(out == "Hello, world\n", || out.clone())?;
        has_line(&trace, "write", |line| {
            line.contains(r#"write(1, "Hello, world\n", 13)"#) && line.trim_end().ends_with("= 13")
        })?;
        has_line(&trace, "exit_group", |line| line.contains("exit_group(0)"))?;
        has_line(&trace, "brk", |line| {
            line.contains("brk(NULL)") && line.contains("= 0x")
        })
    });
    tests.add("strace::errors", || {
        let (_, trace) = traced("errors", &[])?;
        has_line(&trace, "openat", |line| {
            line.contains("openat(AT_FDCWD, NULL, O_RDONLY)")
                && line.ends_with("= -1 EFAULT (Bad address)")
        })?;
        has_line(&trace, "a missing file", |line| {
            line.contains(r#"open("/no/such/file", O_RDONLY)"#)
                && line.ends_with("= -1 ENOENT (No such file or directory)")
        })?;
        has_line(&trace, "close", |line| {
            line.contains("close(999)") && line.ends_with("= -1 EBADF (Bad file descriptor)")
        })?;
        has_line(&trace, "an unknown call", |line| {
            line.starts_with("syscall_0x270f(")
                && line.ends_with("= -1 ENOSYS (Function not implemented)")
        })
    });
    tests.add("strace::not_asked_for", || {
        let program = compile::c("hello", Linkage::Static)?;
        let output = in_image(&Run::new(), &program, &[])?;
        ensure(output.err.is_empty(), || {
            format!("said without being asked: {}", output.err)
        })
    });
}
