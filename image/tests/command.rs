//! The `kiln` command as its users meet it: output, exit status, files.
//!
//! What runs is not Kiln's kernel but a few instructions made here, so that these tests
//! tell whether the tool keeps its side of what tool and image agreed on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use object::{Object, ObjectSection};

/// A directory that is gone at the end of its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kiln-command-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn kiln() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.env("KILN_ACCEL", "tcg").stdin(Stdio::null());
    command
}

fn finish(command: &mut Command) -> Output {
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Subroutines: `say` sends the zero-terminated text behind its call to port `dx`; `key`
/// waits for a byte from the serial port; `stop` ends the machine.
const SUBROUTINES: &str = "
say:    pop %esi
1:      lodsb
        test %al, %al
        jz 2f
        out %al, %dx
        jmp 1b
2:      jmp *%esi
key:    mov $0x3fd, %dx
1:      in %dx, %al
        test $1, %al
        jz 1b
        mov $0x3f8, %dx
        in %dx, %al
        ret
stop:   mov $0xf4, %dx
        xor %eax, %eax
        out %al, %dx
        hlt
";

/// A multiboot image (Multiboot 0.6.96, with the address fields) of these instructions.
fn machine(place: &Scratch, code: &str) -> PathBuf {
    const BASE: u32 = 0x10_0000;
    const HEADER: u32 = 84;
    let source =
        format!(".code32\n.text\n mov $(0x180000), %esp\n{code}\n jmp stop\n{SUBROUTINES}");
    let source = place.file("machine.s", source);
    let made = place.0.join("machine.o");
    let status = Command::new("cc")
        .arg("-c")
        .arg("-o")
        .arg(&made)
        .arg(source)
        .status();
    assert!(status.unwrap().success());
    let bytes = std::fs::read(made).unwrap();
    let code = object::File::parse(&*bytes).unwrap();
    let code = code
        .section_by_name(".text")
        .unwrap()
        .data()
        .unwrap()
        .to_vec();
    // It must look like an image to the tool: an ELF file, though the loader goes by the
    // multiboot header behind the first 36 bytes.
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(36, 0);
    let flags: u32 = 1 << 16;
    let magic: u32 = 0x1BAD_B002;
    let end = BASE + HEADER + code.len() as u32;
    for word in [
        magic,
        flags,
        0_u32.wrapping_sub(magic.wrapping_add(flags)),
        BASE + 36,
        BASE,
        end,
        end,
        BASE + HEADER,
        0,
        0,
        0,
        0,
    ] {
        image.extend(word.to_le_bytes());
    }
    assert_eq!(image.len() as u32, HEADER);
    image.extend(code);
    place.file("machine.elf", image)
}

/// What is not there fails the tests that need it: a skipped test would look like one that passed.
fn need_qemu() {
    let found = Command::new("qemu-system-x86_64").arg("--version").output();
    assert!(
        found.is_ok(),
        "qemu-system-x86_64 is not there: install the Debian package qemu-system-x86"
    );
}

fn message(line: &str) -> String {
    format!(" mov $0xe9, %dx\n call say\n .asciz \"{line}\\n\"\n")
}

#[test]
fn output_and_status_are_the_programs() {
    need_qemu();
    let place = Scratch::new("status");
    let mut code = String::from(" mov $0x3f8, %dx\n call say\n .asciz \"hello\\n\"\n");
    for line in [
        "kiln:info:up",
        "kiln:strace:getpid() = 1",
        "odd",
        "kiln:exit:7",
    ] {
        code.push_str(&message(line));
    }
    let image = machine(&place, &code);
    for model in ["microvm", "q35", "pc"] {
        let output = finish(
            kiln()
                .args(["run", "--timeout", "60", "--machine", model])
                .arg(&image),
        );
        assert_eq!(text(&output.stdout), "hello\n", "{model}");
        assert_eq!(text(&output.stderr), "kernel: odd\n", "{model}");
        assert_eq!(output.status.code(), Some(7), "{model}");
    }
    let output = finish(kiln().args(["run", "--strace", "-v"]).arg(&image));
    let errors = text(&output.stderr);
    assert!(
        errors.contains("getpid() = 1\n") && errors.contains("kernel: up\n"),
        "{errors}"
    );
}

#[test]
fn input_is_escaped_and_its_end_is_told() {
    need_qemu();
    let place = Scratch::new("input");
    // Says that it is up, for it gets no input before, and echoes until DLE EOT.
    let code = format!(
        "{} 1: mov %bl, %bh\n call key\n mov %al, %bl\n out %al, %dx\n cmp $0x1004, %bx\n jne 1b\n{}",
        message("kiln:info:up"),
        message("kiln:exit:0")
    );
    let image = machine(&place, &code);
    let mut child = kiln()
        .args(["run", "--timeout", "60"])
        .arg(&image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"a\x10b\x04c")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"a\x10\x10b\x04c\x10\x04");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_panic_and_a_silent_end_are_kilns_failures() {
    need_qemu();
    let place = Scratch::new("panic");
    let code = message("panicked: at 5") + &message("kiln:exit:panic");
    let output = finish(
        kiln()
            .args(["run", "--timeout", "60"])
            .arg(machine(&place, &code)),
    );
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stderr), "kernel: panicked: at 5\n");
    let output = finish(
        kiln()
            .args(["run", "--timeout", "60"])
            .arg(machine(&place, "")),
    );
    assert_eq!(output.status.code(), Some(125));
    let errors = text(&output.stderr);
    assert!(
        errors.contains("without saying how the program ended"),
        "{errors}"
    );
}

#[test]
fn time_is_up_after_the_timeout() {
    need_qemu();
    let place = Scratch::new("timeout");
    let image = machine(&place, "1: hlt\n jmp 1b\n");
    let began = Instant::now();
    let output = finish(kiln().args(["run", "--timeout", "0.7"]).arg(image));
    assert_eq!(output.status.code(), Some(124));
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert!(text(&output.stderr).contains("0.7 s are over"));
}

/// The children of a process, from `/proc`.
fn children(child: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    let list = std::fs::read_to_string(path).unwrap_or_default();
    list.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn start_endless(place: &Scratch) -> (Child, u32) {
    let image = machine(place, "1: hlt\n jmp 1b\n");
    let mut child = kiln()
        .args(["run", "--timeout", "60"])
        .arg(image)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Some(qemu) = children(&child).first() {
            return (child, *qemu);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    panic!("QEMU was not started: {:?}", child.wait());
}

fn assert_gone(process: u32) {
    let began = Instant::now();
    // A process that ended but was not waited for yet is gone too.
    let alive = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    while alive() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "QEMU is still there"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_machine_ends_with_kiln() {
    need_qemu();
    use rustix::process::{Pid, Signal, kill_process};
    let place = Scratch::new("signal");
    for (signal, status) in [(Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let (mut child, qemu) = start_endless(&place);
        // Signals before Kiln listens for them end it in the plain way.
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), status, "{signal:?}");
        assert_gone(qemu);
    }
}

#[test]
fn mistakes_are_told_on_standard_error_with_status_125() {
    let place = Scratch::new("mistakes");
    let manifest = place.file("m.toml", "nam = \"x\"\n");
    let manifest = manifest.to_str().unwrap();
    for (words, expected) in [
        (&["run"][..], "kiln run -- /bin/ls"),
        (
            &["run", "--", "no-such-program-anywhere"],
            "no program `no-such-program-anywhere`",
        ),
        (&["run", "--", "/etc/passwd"], "is not executable"),
        (
            &["trace", "-o", "/no/such/x.json", "--", "/bin/true"],
            "cannot write the trace `/no/such/x.json`",
        ),
        (&["build", manifest], "did you mean `name`?"),
        (
            &["build", "/no/such.toml"],
            "cannot read the manifest `/no/such.toml`",
        ),
        (&["bake"], "unrecognized subcommand"),
        (&["new", "a/b"], "cannot name an image"),
        (&["inspect", "/bin/ls"], "no"),
    ] {
        let output = finish(kiln().args(words));
        let errors = text(&output.stderr);
        assert!(errors.contains(expected), "{words:?}: {errors}");
        assert_eq!(output.status.code(), Some(125), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn help_and_completions_are_printed() {
    for words in [
        &["--help"][..],
        &["new", "--help"],
        &["build", "--help"],
        &["run", "--help"],
        &["inspect", "--help"],
        &["interfaces", "--help"],
        &["interfaces"],
        &["interfaces", "file_tree"],
        &["interfaces", "--json"],
        &["export", "--help"],
        &["completions", "--help"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
    ] {
        let output = finish(kiln().args(words));
        assert!(output.status.success(), "{words:?}");
        assert!(text(&output.stdout).contains("kiln"), "{words:?}");
        assert!(output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_new_manifest_can_be_read() {
    let place = Scratch::new("new");
    let output = finish(kiln().args(["new", "hello"]).current_dir(&place.0));
    assert!(output.status.success());
    assert!(place.0.join("hello.toml").exists());
    let again = finish(kiln().args(["new", "hello"]).current_dir(&place.0));
    assert_eq!(again.status.code(), Some(125));
    let manifest = kiln::manifest::Manifest::read(Path::new(&place.0.join("hello.toml")));
    assert_eq!(manifest.unwrap().name, "hello");
}
