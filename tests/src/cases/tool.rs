//! `kiln` itself, from the first manifest to the debugger and the terminal.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kiln_tests::child::Child;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Run, Written, kiln, least_manifest};
use kiln_tests::places;

use crate::Tests;

/// A directory of its own, empty.
fn fresh(name: &str) -> Result<PathBuf, String> {
    let path = places::made().join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
    Ok(path)
}

fn kiln_in(directory: &Path, words: &[&str]) -> Result<String, String> {
    let output = Child::new(places::kiln())
        .args(words)
        .directory(directory)
        .run()?;
    Ok(output.expect_status(0)?.text())
}

fn from_new_to_run() -> Result<(), String> {
    let here = fresh("from-new")?;
    kiln_in(&here, &["new", "first"])?;
    kiln_in(&here, &["build", "first.toml"])?;
    ensure(here.join("first.elf").is_file(), || {
        "there is no image".to_owned()
    })?;
    ensure(here.join("first.lock").is_file(), || {
        "there is no lock file".to_owned()
    })?;
    let said = kiln_in(&here, &["run", "first.toml"])?;
    ensure(said == "Hello from first\n", || said.clone())?;
    let said = kiln_in(&here, &["run", "first.toml", "--", "and more"])?;
    ensure(said == "Hello from first and more\n", || said.clone())?;
    let again = Child::new(places::kiln())
        .args(["new", "first"])
        .directory(&here)
        .run()?;
    again.expect_status(125)?.expect_message("first.toml")?;
    Ok(())
}

fn saved() -> Result<(), String> {
    let here = fresh("saved")?;
    let manifest = here.join("saved.toml");
    let program = compile::c("environment", Linkage::Dynamic)?;
    let save = ["--env", "A=b", "--save", &manifest.to_string_lossy()];
    let words = [&*program.to_string_lossy(), "one", "two words"];
    let first = Run::new().options(&save).run(&words)?.expect_status(0)?;
    let second = kiln(["run".as_ref(), manifest.as_os_str()])?;
    second.expect_same(&first)?;
    Ok(())
}

/// Starts a machine that waits, lets it go as a debugger does, and sees it run.
fn debugger() -> Result<(), String> {
    let program = compile::c("hello", Linkage::Static)?;
    let mut kiln = Command::new(places::kiln())
        .args([
            "run",
            "--gdb",
            "--timeout",
            "40",
            "--",
            &program.to_string_lossy(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let result = let_go(&mut kiln);
    let _ = kiln.kill();
    let _ = kiln.wait();
    result
}

fn let_go(kiln: &mut std::process::Child) -> Result<(), String> {
    let mut said = String::new();
    let mut errors = kiln.stderr.take().ok_or("no standard error")?;
    let socket = loop {
        let mut byte = [0];
        if errors.read(&mut byte).map_err(|error| error.to_string())? == 0 {
            return Err(format!("no word of a debugger: {said}"));
        }
        said.push(char::from(byte[0]));
        if let Some((_, rest)) = said.split_once("target remote ")
            && let Some((socket, _)) = rest.split_once('\'')
        {
            break socket.to_owned();
        }
    };
    for symbols in [
        "kernel.elf",
        "name_space.elf",
        "image_root.elf",
        "linux.elf",
    ] {
        ensure(said.contains(symbols), || {
            format!("no symbols {symbols}: {said}")
        })?;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > deadline => return Err(format!("{socket}: {error}")),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // "Continue" in the debugger's protocol, with its checksum.
    stream
        .write_all(b"$c#63")
        .map_err(|error| error.to_string())?;
    let mut out = String::new();
    let mut console = kiln.stdout.take().ok_or("no output")?;
    console
        .read_to_string(&mut out)
        .map_err(|error| error.to_string())?;
    ensure(out == "Hello, world\n", || format!("{out:?}"))
}

/// A shell at a terminal that `script` makes: lines are edited and echoed by the image.
fn terminal() -> Result<(), String> {
    let command = format!(
        "exec '{}' run --timeout 40 --deb busybox-static -- /bin/busybox ash",
        places::kiln().display()
    );
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("script: {error}"))?;
    let result = type_to(&mut script);
    let _ = script.kill();
    let status = script.wait().map_err(|error| error.to_string())?;
    result?;
    ensure(status.code() == Some(5), || format!("{status}"))
}

fn type_to(script: &mut std::process::Child) -> Result<(), String> {
    let mut keys = script.stdin.take().ok_or("no input")?;
    let mut screen = script.stdout.take().ok_or("no output")?;
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1000];
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            if send
                .send(bytes.get(..count).unwrap_or_default().to_vec())
                .is_err()
            {
                break;
            }
        }
    });
    let mut seen = String::new();
    let mut wait_for = |what: &str| -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !seen.contains(what) {
            let left = deadline.saturating_duration_since(Instant::now());
            match receive.recv_timeout(left) {
                Ok(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => return Err(format!("no {what:?} on the screen: {seen:?}")),
            }
        }
        seen.clear();
        Ok(())
    };
    // The interrupt ends the program that waits, not the shell; the last line ends the shell.
    let steps: [(&str, &str); 4] = [
        ("/ # ", "echo ab\x7f$((6 * 7))\n"),
        ("a42\r\n", "stty -a 2>/dev/null || read x\n"),
        ("/ # ", "\x03"),
        ("/ # ", "exit 5\n"),
    ];
    for (seen, typed) in steps {
        wait_for(seen)?;
        keys.write_all(typed.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    wait_for("exit 5")?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("tool::from_new_to_run", from_new_to_run);
    tests.add("tool::saved_manifest", saved);
    tests.add("tool::debugger", debugger);
    tests.add("tool::terminal", terminal);
    tests.add("tool::working_directory", || {
        let program = compile::c("environment", Linkage::Static)?;
        let text =
            least_manifest("inside", &program).replace("[root]", "directory = \"/tmp\"\n[root]");
        let manifest = Written::new("inside", &text)?;
        let output = kiln(["run".as_ref(), manifest.path.as_os_str()])?.expect_status(0)?;
        ensure(output.text().contains("directory: /tmp\n"), || {
            output.text()
        })
    });
    tests.add("tool::counter", || {
        let manifest = places::sources().join("examples/counter/counter.toml");
        let output = kiln(["run".as_ref(), manifest.as_os_str()])?.expect_status(0)?;
        let expected = "42; Hello, process 2.1: it is 42; reset: Err(Denied)\n";
        ensure(output.text().contains(expected), || output.text())
    });
    tests.add("tool::examples", || {
        // What the examples say is for people; that they can be made is checked, in a copy,
        // since lock files are written beside manifests.
        let copy = fresh("examples")?;
        let from = places::sources().join("examples/.");
        Child::new("cp")
            .args(["-r".as_ref(), from.as_os_str(), copy.as_os_str()])
            .run()?
            .expect_status(0)?;
        let entries = std::fs::read_dir(copy).map_err(|error| error.to_string())?;
        let mut count = 0;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                kiln(["build".as_ref(), path.as_os_str()])?
                    .expect_status(0)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                count += 1;
            }
        }
        ensure(count > 0, || "there are no examples".to_owned())
    });
}
