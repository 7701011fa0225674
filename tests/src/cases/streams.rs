//! The console: what goes in, what comes out, and nothing else.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::{ensure, same_bytes};
use kiln_tests::image::Run;
use kiln_tests::places;

use super::c_programs::in_image;
use crate::Tests;

/// Bytes of every value, without an order that hides a loss.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn busybox(words: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let words: Vec<&str> = std::iter::once("/bin/busybox")
        .chain(words.iter().copied())
        .collect();
    let run = Run::new().package("busybox-static").input(input);
    Ok(run.run(&words)?.expect_status(0)?.out)
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for (name, count) in [
        ("nothing", 0),
        ("a_byte", 1),
        ("a_page", 4096),
        ("a_lot", 300_000),
    ] {
        tests.add(format!("streams::cat_of_{name}"), move || {
            let input = bytes(count);
            same_bytes(&busybox(&["cat"], &input)?, &input)
        });
    }
    tests.add("streams::wc", || {
        let input = b"one two\nthree\n\x10\x04four".repeat(500);
        let out = busybox(&["wc"], &input)?;
        let words: Vec<_> = String::from_utf8_lossy(&out)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        ensure(words == ["1000", "1501", "10000"], || format!("{words:?}"))
    });
    tests.add("streams::sort", || {
        let lines: Vec<String> = (0..3000).map(|n| format!("{}", n * 7919 % 3001)).collect();
        let mut sorted: Vec<u32> = lines.iter().filter_map(|line| line.parse().ok()).collect();
        sorted.sort_unstable();
        let expected: String = sorted.iter().map(|n| format!("{n}\n")).collect();
        let out = busybox(&["sort", "-n"], (lines.join("\n") + "\n").as_bytes())?;
        same_bytes(&out, expected.as_bytes())
    });
    for linkage in [Linkage::Static, Linkage::Dynamic] {
        tests.add(
            format!("streams::no_terminal::{}", linkage.name()),
            move || {
                let run = Run::new().input(b"abc");
                let expected = "terminals: 0 0\n3 bytes, sum 96354, then 0\nand again 0\n";
                in_image(&run, &compile::c("input", linkage)?, &[])?
                    .expect_text(expected)?
                    .expect_status(0)?;
                Ok(())
            },
        );
    }
    tests.add("streams::sleep", || {
        in_image(&Run::new(), &compile::c("sleep", Linkage::Static)?, &["1"])?
            .expect_text("slept\n")?;
        Ok(())
    });
    tests.add("streams::output_comes_at_once", || {
        // What the program has written is seen while it still runs.
        let program = compile::c("input", Linkage::Static)?;
        let mut kiln = Command::new(places::kiln())
            .args(["run", "--timeout", "60", "--", &program.to_string_lossy()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let input = kiln.stdin.take();
        let mut out = kiln.stdout.take().ok_or("no output")?;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = [0; 15];
            let _ = send.send(out.read_exact(&mut line).map(|()| line));
            let mut rest = Vec::new();
            let _ = out.read_to_end(&mut rest);
        });
        let line = receive.recv_timeout(Duration::from_secs(50));
        drop(input);
        let deadline = Instant::now() + Duration::from_secs(20);
        while kiln.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = kiln.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        match line {
            Ok(Ok(line)) => same_bytes(&line, b"terminals: 0 0\n"),
            other => Err(format!("nothing came: {other:?}")),
        }
    });
}
