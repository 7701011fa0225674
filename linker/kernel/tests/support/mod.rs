//! Builds, composes and boots the kernel with its self-tests.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use kiln_linker::{Composer, Input, Request};

/// Where this run's files go.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Numbers for files of tests that run side by side.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The kernel's archive with self-tests, built once.
fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let target = directory().join("freestanding");
        let flags = [
            "panic=abort",
            "relocation-model=static",
            "code-model=kernel",
            "no-redzone=yes",
            "force-frame-pointers=yes",
        ];
        let mut encoded: Vec<String> = flags.iter().map(|flag| format!("-C{flag}")).collect();
        encoded.extend(["--cfg".to_owned(), "kiln_freestanding".to_owned()]);
        let built = Command::new(env!("CARGO"))
            .args(["rustc", "--quiet", "--release", "--features", "self-test"])
            .args([
                "--package",
                "kiln-kernel-image",
                "--crate-type",
                "staticlib",
            ])
            .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir"])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", encoded.join("\x1f"))
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the kernel with self-tests does not build");
        fs::read(target.join("x86_64-unknown-linux-gnu/release/libkiln_kernel_image.a"))
            .expect("the archive that was just built")
    })
}

/// An image of that kernel with these drivers.
fn image(drivers: &[&str]) -> Vec<u8> {
    let input = Input {
        name: "libkiln_kernel_image.a",
        bytes: archive(),
    };
    let mut request = Request::new("kernel", vec![input], None);
    request.first.push(".kiln.boot".to_owned());
    request
        .roots
        .extend(drivers.iter().map(|driver| (*driver).to_owned()));
    Composer::new(request)
        .compose()
        .expect("the kernel links")
        .to_bytes()
}

const DRIVERS: [&str; 2] = ["KILN_DRIVER_SERIAL", "KILN_DRIVER_DEBUG_CONSOLE"];

/// A boot medium with GRUB that starts a self-test.
pub fn iso(test: &str) -> PathBuf {
    let root = directory().join(format!("iso-{}", number()));
    let grub = root.join("boot/grub");
    fs::create_dir_all(&grub).expect("a directory for the medium");
    fs::write(root.join("boot/kernel"), image(&DRIVERS)).expect("the image is written");
    let menu = format!("set timeout=0\nmenuentry k {{\n multiboot2 /boot/kernel test={test}\n}}\n");
    fs::write(grub.join("grub.cfg"), menu).expect("the menu is written");
    let medium = root.with_extension("iso");
    let made = Command::new("grub-mkrescue")
        .arg("-o")
        .args([&medium, &root])
        .stderr(Stdio::null())
        .status()
        .expect("grub-mkrescue runs: install the Debian package grub-common");
    assert!(
        made.success(),
        "grub-mkrescue failed: it needs the Debian packages grub-pc-bin, grub-efi-amd64-bin, xorriso and mtools"
    );
    medium
}

/// UEFI firmware for QEMU.
pub fn firmware() -> PathBuf {
    let places = ["/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd"];
    places
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("UEFI firmware is there: install the Debian package ovmf")
}

/// A machine to boot.
pub struct Boot {
    machine: String,
    processor: String,
    processors: u32,
    mebibytes: u32,
    test: String,
    input: String,
    drivers: Vec<&'static str>,
    exit_device: bool,
    pvh_note: bool,
    media: Option<PathBuf>,
    firmware: Option<PathBuf>,
}

impl Boot {
    pub fn new(machine: &str) -> Self {
        Self {
            machine: machine.to_owned(),
            processor: "max".to_owned(),
            processors: 1,
            mebibytes: 64,
            test: "none".to_owned(),
            input: String::new(),
            drivers: DRIVERS.to_vec(),
            exit_device: true,
            pvh_note: true,
            media: None,
            firmware: None,
        }
    }

    pub fn processor(mut self, model: &str) -> Self {
        self.processor = model.to_owned();
        self
    }

    pub fn processors(mut self, count: u32) -> Self {
        self.processors = count;
        self
    }

    pub fn mebibytes(mut self, mebibytes: u32) -> Self {
        self.mebibytes = mebibytes;
        self
    }

    pub fn test(mut self, name: &str) -> Self {
        self.test = name.to_owned();
        self
    }

    pub fn input(mut self, text: &str) -> Self {
        self.input = text.to_owned();
        self
    }

    pub fn drivers(mut self, symbols: &[&'static str]) -> Self {
        self.drivers = symbols.to_vec();
        self
    }

    pub fn without_exit_device(mut self) -> Self {
        self.exit_device = false;
        self
    }

    /// So that QEMU enters by multiboot1.
    pub fn without_pvh_note(mut self) -> Self {
        self.pvh_note = false;
        self
    }

    pub fn media(mut self, medium: &Path) -> Self {
        self.media = Some(medium.to_owned());
        self
    }

    pub fn firmware(mut self, file: &Path) -> Self {
        self.firmware = Some(file.to_owned());
        self
    }

    /// Runs the machine to its end, which a minute brings about if nothing else does.
    pub fn run(self) -> Ended {
        let log = directory().join(format!("log-{}", number()));
        let mut qemu = Command::new("timeout");
        qemu.args([
            "--signal=KILL",
            "60",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-no-reboot",
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-monitor",
            "none",
        ])
        .args(["-machine", &self.machine, "-cpu", &self.processor])
        .args([
            "-smp",
            &self.processors.to_string(),
            "-m",
            &self.mebibytes.to_string(),
        ])
        .args([
            "-serial",
            "stdio",
            "-device",
            "isa-debugcon,iobase=0xe9,chardev=log",
        ])
        .args(["-chardev", &format!("file,id=log,path={}", log.display())]);
        if self.exit_device {
            qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        }
        if let Some(firmware) = &self.firmware {
            qemu.arg("-bios").arg(firmware);
        }
        if let Some(medium) = &self.media {
            qemu.arg("-cdrom").arg(medium);
        } else {
            let mut bytes = image(&self.drivers);
            if !self.pvh_note {
                let note = bytes
                    .windows(4)
                    .position(|word| word == b"Xen\0")
                    .expect("a PVH note");
                bytes[note] = b'?';
            }
            let file = directory().join(format!("image-{}", number()));
            fs::write(&file, bytes).expect("the image is written");
            qemu.arg("-kernel")
                .arg(file)
                .args(["-append", &format!("test={}", self.test)]);
        }
        let mut running = qemu
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-system-x86_64 and timeout are installed");
        // QEMU holds what it cannot deliver yet. The pipe stays open until the end: a closed one
        // would make some versions look at it all the time.
        let mut input = running.stdin.take().expect("a pipe");
        input
            .write_all(self.input.as_bytes())
            .expect("QEMU takes its input");
        let output = running.wait_with_output().expect("QEMU ends");
        drop(input);
        Ended {
            status: output.status.code().unwrap_or(-1),
            serial: String::from_utf8_lossy(&output.stdout).into_owned(),
            log: fs::read_to_string(&log).unwrap_or_default(),
        }
    }
}

/// What a machine left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub serial: String,
    pub log: String,
}

impl Ended {
    pub fn assert_log(&self, text: &str) {
        assert!(
            self.log.contains(text),
            "{text:?} is not in the log: {self:#?}"
        );
    }

    /// The self-test said that all is well.
    pub fn assert_good(&self) {
        self.assert_log("kiln:exit:0\n");
        assert_eq!(self.status, 1, "{self:#?}");
    }
}
