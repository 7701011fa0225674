//! Compiles test inputs with the host's C compiler, and runs what was linked.
//!
//! gcc is a stated dependency of the tests; without it a test fails, it does not pass by silence.
#![allow(dead_code)]

use kiln_linker::{Input, Linked};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of this test's own.
pub fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&directory).expect("make the test's directory");
    directory
}

/// Compiles one source (`name` ends in .c or .S) with these flags; gives the object's bytes.
pub fn compile(directory: &Path, name: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    let source_path = directory.join(name);
    let object = directory.join(format!(
        "{name}{}.o",
        flags.concat().replace(['/', '='], "")
    ));
    std::fs::write(&source_path, source).expect("write the source");
    let output = Command::new("gcc")
        .args([
            "-c",
            "-ffreestanding",
            "-ffunction-sections",
            "-fdata-sections",
        ])
        .args(["-fno-stack-protector", "-fcf-protection=none", "-o"])
        .args([&object, &source_path])
        .args(flags)
        .output()
        .expect("run gcc");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(&object).expect("read the object")
}

/// Packs objects into an archive with an index.
pub fn archive(directory: &Path, name: &str, members: &[(&str, &[u8])]) -> Vec<u8> {
    let path = directory.join(name);
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new("ar");
    command.arg("rcsD").arg(&path);
    for (member, bytes) in members {
        let member = directory.join(member);
        std::fs::write(&member, bytes).expect("write the member");
        command.arg(member);
    }
    assert!(command.status().expect("run ar").success());
    std::fs::read(&path).expect("read the archive")
}

/// An input of this name.
pub fn input<'a>(name: &'a str, bytes: &'a [u8]) -> Input<'a> {
    Input { name, bytes }
}

/// Wraps a linked component as a Linux program, runs it, and gives its exit status.
pub fn run(directory: &Path, linked: &Linked) -> i32 {
    use std::os::unix::fs::PermissionsExt;
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [linked.entry, 64, 0] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    header.extend_from_slice(&[0; 4]);
    for half in [64, 56, linked.segments.len() as u16, 0, 0, 0] {
        header.extend_from_slice(&half.to_le_bytes());
    }
    let mut body = Vec::new();
    for segment in &linked.segments {
        let offset = 4096 + body.len() as u64;
        header.extend_from_slice(&1_u32.to_le_bytes());
        header.extend_from_slice(&segment.permissions.bits().to_le_bytes());
        let address = segment.virtual_address;
        for word in [
            offset,
            address,
            address,
            segment.bytes.len() as u64,
            segment.memory_bytes,
        ] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&4096_u64.to_le_bytes());
        body.extend_from_slice(&segment.bytes);
        body.resize(body.len().next_multiple_of(4096), 0);
    }
    header.resize(4096, 0);
    header.extend_from_slice(&body);
    let path = directory.join("program");
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, header).expect("write the program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    // Another test that forks just now has the file open for writing until it executes (ETXTBSY).
    let status = loop {
        match Command::new(&path).status() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            status => break status.expect("run the linked program"),
        }
    };
    status
        .code()
        .unwrap_or_else(|| panic!("the program died: {status}"))
}
