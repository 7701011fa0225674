//! Damaged and wrong inputs: a clear message and the right status, never a hang or a panic.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_tests::child::{Child, Output};
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Run, Written, kiln, least_manifest};
use kiln_tests::machine::{Machine, Seen};
use kiln_tests::places;

use crate::Tests;

/// Writes a file of these bytes that may be executed.
fn executable(name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let folder = places::made().join("bad");
    let path = folder.join(name);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Child::new("/bin/chmod")
        .args(["755".as_ref(), path.as_os_str()])
        .run()?
        .expect_status(0)?;
    Ok(path)
}

/// Starts `/bad` from a root that also has busybox, so that the tool asks no questions about it.
fn start(path: &Path) -> Result<Output, String> {
    Run::new()
        .package("busybox-static")
        .file(path, "/bad")
        .limit(30)
        .run(&["/bad"])
}

fn fails(name: &str, bytes: &[u8], status: i32, message: &str) -> Result<(), String> {
    let output = start(&executable(name, bytes)?)?.expect_status(status)?;
    let said = (output.err.clone() + &output.text()).to_lowercase();
    ensure(said.contains(message), || {
        format!("nothing of {message:?} in: {said}")
    })?;
    ensure(!said.contains("panic"), || said.clone())
}

fn hello() -> Result<Vec<u8>, String> {
    std::fs::read(compile::c("hello", Linkage::Static)?).map_err(|error| error.to_string())
}

fn changed(mut bytes: Vec<u8>, at: usize, to: &[u8]) -> Vec<u8> {
    bytes
        .iter_mut()
        .skip(at)
        .zip(to)
        .for_each(|(byte, new)| *byte = *new);
    bytes
}

/// Makes the superblock's checksum right again (CRC-32C, reflected, not inverted at the end, over
/// the block from the superblock on, with the checksum itself as zero), so that damage is met
/// further inside.
fn seal(block: &mut [u8]) {
    let mut sum = !0_u32;
    for (index, byte) in block.iter().enumerate() {
        sum ^= if (4..8).contains(&index) {
            0
        } else {
            u32::from(*byte)
        };
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
    }
    if let Some(place) = block.get_mut(4..8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Whether a machine whose root file system is damaged ended as it has to: the server that meets the damage
/// says so and does not trap, and the program's status is one that tells what became of it. `is_refused` is
/// whether the superblock's checksum must give the damage away.
fn told(seen: &Seen, is_refused: bool) -> Result<(), String> {
    const UNUSABLE: &str = "image_root: the root file system cannot be used: ";
    let lines = || seen.messages.lines();
    let has = |part: &str| lines().any(|line| line.contains(part));
    let ends: Vec<_> = lines()
        .filter_map(|line| line.strip_prefix("kiln:exit:"))
        .collect();
    let [status] = ends.as_slice() else {
        return Err("not one end".to_owned());
    };
    let status: u8 = status
        .parse()
        .map_err(|_| format!("it ended by {status}"))?;
    // A server ends by itself, for a reason that it told, or not at all.
    for line in lines() {
        if line.contains("(exception ") || line.contains("panicked") {
            return Err(format!("a server does not stand it: {line}"));
        }
        let end = line.split_once(" ended with status ");
        if let Some((_, status)) = end.filter(|(_, status)| *status != "1" || !has(UNUSABLE)) {
            return Err(format!("a server ended with status {status}"));
        }
    }
    if is_refused && !(has(UNUSABLE) && status == 126) {
        return Err("the damaged superblock was not met".to_owned());
    }
    let console = String::from_utf8_lossy(&seen.console);
    let is_explained = match status {
        0 => console.replace("\r\n", "\n").ends_with("Hello, world\n"),
        126 => has("linux: /damaged: "),
        // The library that starts the program speaks for itself.
        127 => has("linux: /damaged: ") || console.contains("/damaged: error while loading"),
        // The program's own bytes are damaged, too: it dies of what a process dies of.
        129..=159 => has("linux: /damaged ended by SIG"),
        _ => false,
    };
    ensure(is_explained, || format!("status {status} without a reason"))
}

/// An image whose root file system has bytes changed, in many places in turns.
fn damaged_root(from: usize, to: usize) -> Result<(), String> {
    let binary = compile::c("hello", Linkage::Dynamic)?;
    let manifest = Written::new(
        &format!("damaged-{from}"),
        &least_manifest("damaged", &binary),
    )?;
    let image = std::fs::read(manifest.build()?).map_err(|error| error.to_string())?;
    // The superblock of the root's format lies 1024 bytes behind its start.
    let magic = [0xe2, 0xe1, 0xf5, 0xe0];
    let superblock = image
        .chunks_exact(4096)
        .position(|page| page.get(1024..1028) == Some(&magic))
        .ok_or("no root file system in the image")?
        * 4096;
    let mut state = from as u32 + 1;
    for round in from..to {
        let (mut bytes, mut touched) = (image.clone(), Vec::new());
        for _ in 0..12 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // The superblock, the inodes and the directories are in the first pages.
            let at = superblock + 1024 + (state >> 8) as usize % 8192;
            touched.push(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (state % 8);
            }
        }
        if round % 2 == 1
            && let Some(block) = bytes.get_mut(superblock + 1024..superblock + 4096)
        {
            seal(block);
        }
        let path = places::made().join(format!("damaged-{round}.elf"));
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        let seen = Machine::new("microvm")
            .with("-cpu max -m 64M")
            .kernel(&path)
            .limit(Duration::from_secs(20))
            .run();
        let _ = std::fs::remove_file(&path);
        let seen = seen?;
        let is_sealed = round % 2 == 1;
        let is_superblock_whole = touched
            .iter()
            .all(|at| !(superblock + 1024..superblock + 4096).contains(at));
        told(&seen, !is_sealed && !is_superblock_whole).map_err(|what| {
            format!(
                "round {round}: {what}: QEMU {}: {}\nconsole: {}",
                seen.status,
                seen.messages,
                String::from_utf8_lossy(&seen.console)
            )
        })?;
    }
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("bad::empty_file", || fails("empty", b"", 126, "bad"));
    tests.add("bad::text_without_interpreter", || {
        fails("text", b"just some text\n", 126, "/bad")
    });
    tests.add("bad::truncated_header", || {
        fails(
            "header",
            hello()?.get(..40).unwrap_or_default(),
            126,
            "truncated",
        )
    });
    tests.add("bad::truncated_segments", || {
        fails(
            "segments",
            hello()?.get(..9000).unwrap_or_default(),
            126,
            "truncated",
        )
    });
    tests.add("bad::arm_program", || {
        // The machine field of the header.
        fails("arm", &changed(hello()?, 18, &[0xb7, 0]), 126, "aarch64")
    });
    tests.add("bad::thirty_two_bits", || {
        fails("i386", &changed(hello()?, 4, &[1]), 126, "32-bit")
    });
    tests.add("bad::object_file", || {
        fails("object", &changed(hello()?, 16, &[1, 0]), 126, "/bad")
    });
    tests.add("bad::many_program_headers", || {
        fails(
            "headers",
            &changed(hello()?, 56, &[0xff, 0xff]),
            126,
            "/bad",
        )
    });
    tests.add("bad::wild_program_headers", || {
        fails("wild", &changed(hello()?, 32, &[0xff; 8]), 126, "/bad")
    });
    tests.add("bad::missing_interpreter_of_script", || {
        fails(
            "script",
            b"#!/no/such/interpreter\n",
            127,
            "/no/such/interpreter",
        )
    });
    tests.add("bad::script_of_itself", || {
        fails("itself", b"#!/bad\n", 126, "/bad")
    });
    tests.add("bad::missing_loader", || {
        // Without the libraries that the tool would take along: given as a plain file.
        let binary = compile::c("hello", Linkage::Dynamic)?;
        let output = start(&binary)?.expect_status(127)?;
        output.expect_message("ld-linux-x86-64.so.2")?;
        Ok(())
    });
    tests.add("bad::not_executable", || {
        let path = executable("plain", &hello()?)?;
        Child::new("/bin/chmod")
            .args(["644".as_ref(), path.as_os_str()])
            .run()?
            .expect_status(0)?;
        // The tool sees it, or the image does.
        let output = start(&path)?;
        ensure(matches!(output.status, 125 | 126), || {
            format!("status {}", output.status)
        })?;
        output.expect_message("/bad")?;
        Ok(())
    });
    tests.add("bad::missing_program", || {
        let run = Run::new().package("busybox-static");
        let output = run.run(&["/bin/no-such-program"])?;
        // The tool sees it, or the image does.
        ensure(matches!(output.status, 125 | 127), || {
            format!("status {}", output.status)
        })?;
        output.expect_message("no-such-program")?;
        Ok(())
    });
    tests.add("bad::directory_as_program", || {
        let output = Run::new().package("busybox-static").run(&["/etc"])?;
        ensure(matches!(output.status, 125 | 126), || {
            format!("status {}", output.status)
        })?;
        output.expect_message("/etc")?;
        Ok(())
    });
    tests.add("bad::manifest", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("wrong", &binary).replace("memory =", "memmory =");
        let manifest = Written::new("wrong", &text)?;
        let output = kiln(["build".as_ref(), manifest.path.as_os_str()])?.expect_status(125)?;
        output
            .expect_message("memmory")?
            .expect_message("memory")?
            .expect_message("wrong.toml:")?;
        Ok(())
    });
    for part in 0..3 {
        tests.add(format!("bad::damaged_root::{part}"), move || {
            damaged_root(part * 8, part * 8 + 8)
        });
    }
    tests.add("bad::truncated_image", || {
        let image = std::fs::read(super::boot::hello()?).map_err(|error| error.to_string())?;
        let path = places::made().join("truncated.elf");
        let half = image.get(..image.len() / 2).unwrap_or_default();
        std::fs::write(&path, half).map_err(|error| error.to_string())?;
        for command in ["run", "inspect"] {
            kiln([command.as_ref(), path.as_os_str()])?
                .expect_status(125)?
                .expect_message("truncated.elf")?
                .expect_message("cut short")?;
        }
        // QEMU's loader knows its length as well, and starts nothing.
        let machine = Machine::new("microvm")
            .with("-cpu max -m 64M")
            .kernel(&path)
            .limit(Duration::from_secs(20));
        let seen = machine.run()?;
        ensure(
            seen.status == 1 && seen.messages.is_empty() && !seen.complaints.is_empty(),
            || format!("{seen:?}"),
        )
    });
}
