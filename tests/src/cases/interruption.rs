//! Programs that compute are interrupted, and go on unharmed.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::Run;
use kiln_tests::places;

use super::c_programs::{in_image, on_host};
use crate::Tests;

/// Says and returns in an image what it does on the host.
fn same(run: &Run, what: &str) -> Result<(), String> {
    let program = compile::c("interrupt", Linkage::Static)?;
    let host = on_host(&program, &[what])?;
    in_image(run, &program, &[what])?.expect_same(&host)?;
    Ok(())
}

/// How `kiln run` with `words`, at a terminal, ended, and what the terminal showed: control-C is
/// typed half a second after the program has said that it is ready.
fn typed_at_terminal(words: &[&str]) -> Result<(i32, String), String> {
    const INTERRUPT: u8 = 3;
    let kiln = places::kiln();
    let line: Vec<String> = std::iter::once(kiln.to_string_lossy().as_ref())
        .chain(["run", "--timeout", "60"])
        .chain(words.iter().copied())
        .map(|word| format!("'{word}'"))
        .collect();
    let mut terminal = Command::new("script")
        .args(["-qefc", &line.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("script: {error}"))?;
    let mut keys = terminal.stdin.take().ok_or("no input")?;
    let mut shown = terminal.stdout.take().ok_or("no output")?;
    let typing = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut byte = [0];
        let mut typed = false;
        while matches!(shown.read(&mut byte), Ok(1)) {
            seen.push(byte[0]);
            if !typed && String::from_utf8_lossy(&seen).contains("ready\r\n") {
                std::thread::sleep(Duration::from_millis(500));
                typed = keys.write_all(&[INTERRUPT]).is_ok();
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    });
    let deadline = Instant::now() + Duration::from_secs(100);
    let status = loop {
        match terminal.try_wait() {
            Ok(Some(status)) => break status.code().unwrap_or(-1),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = terminal.kill();
                break -1;
            }
        }
    };
    let shown = typing.join().map_err(|_| "the reader failed")?;
    Ok((status, shown))
}

fn ended_by_key(status: i32, shown: &str) -> Result<(), String> {
    ensure(status == 130, || format!("ended with {status}:\n{shown}"))
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for what in ["end", "caught", "ticks", "periodic", "blocked"] {
        tests.add(format!("interruption::{what}"), move || {
            same(&Run::new(), what)
        });
    }
    tests.add("interruption::four_processors", || {
        same(&Run::new().options(&["--cpus", "4"]), "ticks")
    });
    tests.add("interruption::traced", || {
        let program = compile::c("interrupt", Linkage::Static)?;
        let run = Run::new().options(&["--strace"]);
        in_image(&run, &program, &["end"])?.expect_status(142)?;
        Ok(())
    });
    tests.add("interruption::key", || {
        let program = compile::c("interrupt", Linkage::Static)?;
        let (status, shown) = typed_at_terminal(&["--", &program.to_string_lossy(), "key"])?;
        ended_by_key(status, &shown)
    });
    tests.add("interruption::key_in_python", || {
        let code = "print(\"ready\", flush=True)\nwhile True: pass";
        let words = [
            "--mem",
            "256M",
            "--deb",
            "python3",
            "--",
            "/usr/bin/python3",
            "-c",
            code,
        ];
        let (status, shown) = typed_at_terminal(&words)?;
        ensure(shown.contains("KeyboardInterrupt"), || {
            format!("no exception; ended with {status}:\n{shown}")
        })?;
        ended_by_key(status, &shown)
    });
}
