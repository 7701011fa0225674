//! The same images under Linux's KVM, on a processor with virtualisation that QEMU emulates.
//!
//! QEMU boots Debian's cloud kernel on an emulated AMD processor; that Linux loads its KVM and
//! boots the images in a QEMU of its own. No usable `/dev/kvm` is needed. One Linux runs all
//! cases; each case is a test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kiln_tests::child::Child;
use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::Written;
use kiln_tests::initial_ram::Archive;
use kiln_tests::machine::{self, Seen};
use kiln_tests::{linux, places};

use super::boot::{by_pvh, disc, hello};
use super::survival::survivor_files;
use crate::Tests;

/// One image in one machine.
struct Case {
    name: &'static str,
    /// Whether the processor translates guest addresses, or KVM does.
    nested_paging: bool,
    options: &'static str,
    image: &'static str,
    expected: &'static str,
    /// Words for the kernel, and what its log has to have then.
    drill: Option<(&'static str, &'static str)>,
}

const HELLO: &str = "Hello, world\n";
const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  /dev/null\n";

/// What the survivor finds when the server of the image's files ended under it.
const SURVIVED: &str = "held in the image: EIO\nheld in memory: works\nmapped: works\n\
    opened anew in the image: works\nopened anew in memory: works\nwritten anew: works\n\
    read anew: works\nother errors: 0\n";

const CASES: &[Case] = &[
    Case {
        name: "hello_1_processor",
        nested_paging: true,
        options: "-machine q35 -m 64M -smp 1",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "hello_2_processors",
        nested_paging: true,
        options: "-machine q35 -m 64M -smp 2",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "hello_microvm",
        nested_paging: true,
        options: "-machine microvm -m 32M -smp 1",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "coreutils_2_processors",
        nested_paging: true,
        options: "-machine q35 -m 128M -smp 2",
        image: "coreutils",
        expected: SUM,
        drill: None,
    },
    Case {
        name: "hello_4_processors",
        nested_paging: true,
        options: "-machine q35 -m 64M -smp 4",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "hello_pvh_4_processors",
        nested_paging: true,
        options: "-machine q35 -m 64M -smp 4",
        image: "hello.pvh",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "hello_grub",
        nested_paging: true,
        options: "-machine pc -m 128M -smp 2",
        image: "hello.iso",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "a_server_is_started_again",
        nested_paging: true,
        options: "-machine q35 -m 64M -smp 2",
        image: "survivor",
        expected: SURVIVED,
        drill: Some((
            "end=image_root@memory_fs:100",
            "image_root was started again",
        )),
    },
    Case {
        name: "python",
        nested_paging: true,
        options: "-machine q35 -m 256M -smp 2",
        image: "python",
        expected: "499500 8\n",
        drill: None,
    },
    Case {
        name: "hello_1_processor_shadow",
        nested_paging: false,
        options: "-machine pc -m 64M -smp 1",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "hello_2_processors_shadow",
        nested_paging: false,
        options: "-machine pc -m 64M -smp 2",
        image: "hello",
        expected: HELLO,
        drill: None,
    },
    Case {
        name: "coreutils_shadow",
        nested_paging: false,
        options: "-machine pc -m 128M -smp 1",
        image: "coreutils",
        expected: SUM,
        drill: None,
    },
];

const MODULES: [&str; 4] = [
    "virt/lib/irqbypass",
    "drivers/crypto/ccp/ccp",
    "arch/x86/kvm/kvm",
    "arch/x86/kvm/kvm-amd",
];
const FIRMWARE: [&str; 9] = [
    "seabios/bios-256k.bin",
    "seabios/bios-microvm.bin",
    "seabios/kvmvapic.bin",
    "qemu/pvh.bin",
    "qemu/kvmvapic.bin",
    "qemu/linuxboot_dma.bin",
    "qemu/multiboot_dma.bin",
    "qemu/multiboot.bin",
    "qemu/bios-microvm.bin",
];

fn coreutils() -> Result<std::path::PathBuf, String> {
    let text = "name = \"kvm\"\npersonality = \"linux\"\ndrivers = [\"serial\", \"debug_console\"]\n\
        [program]\npath = \"/usr/bin/sha256sum\"\nargs = [\"/dev/null\"]\n\
        [root]\nfrom = [{ packages = [\"coreutils\"] }]\nwritable = true\n";
    Written::new("kvm", text)?.build()
}

fn python() -> Result<std::path::PathBuf, String> {
    let text = "name = \"kvm_python\"\npersonality = \"linux\"\ndrivers = [\"serial\", \"debug_console\"]\n\
        [program]\npath = \"/usr/bin/python3\"\n\
        args = [\"-c\", \"import json; print(sum(range(1000)), json.loads('[8]')[0])\"]\n\
        [root]\nfrom = [{ packages = [\"python3\"] }]\nwritable = true\n";
    Written::new("kvm_python", text)?.build()
}

fn survivor() -> Result<std::path::PathBuf, String> {
    let program = compile::c("survivor", Linkage::Static)?;
    let data = survivor_files("kvm")?;
    let text = format!(
        "name = \"kvm_survivor\"\npersonality = \"linux\"\ndrivers = [\"serial\", \"debug_console\"]\n\
         [program]\npath = \"/survivor\"\nargs = [\"100\"]\n\
         [root]\nfrom = [{{ binary = {program:?}, to = \"/survivor\" }},\n\
         {{ directory = {data:?}, to = \"/data\" }}]\nwritable = true\n"
    );
    Written::new("kvm_survivor", &text)?.build()
}

/// The initial file system: a shell, modules, QEMU with its libraries and firmware, images.
fn initial_ram(kernel: &linux::Kernel) -> Result<Vec<u8>, String> {
    let mut archive = Archive::new();
    for path in ["proc", "sys", "dev", "tmp"] {
        archive.directory(path);
    }
    archive.file("init", include_bytes!("../../kvm/init.sh"));
    let busybox = which("busybox")?;
    archive.host_file(Path::new(&busybox), "bin/busybox")?;
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        let path = kernel.modules.join(format!("{module}.ko"));
        let packed = kernel.modules.join(format!("{module}.ko.xz"));
        if path.exists() {
            archive.host_file(&path, &format!("modules/{name}.ko"))?;
        } else if packed.exists() {
            let unpacked = Child::new("xz")
                .args(["-dc".as_ref(), packed.as_os_str()])
                .run()?;
            archive.file(
                &format!("modules/{name}.ko"),
                &unpacked.expect_status(0)?.out,
            );
        }
    }
    let qemu = which(&machine::program().to_string_lossy())?;
    archive.host_file(Path::new(&qemu), "usr/bin/qemu-system-x86_64")?;
    let libraries = Child::new("ldd")
        .args([&qemu])
        .run()?
        .expect_status(0)?
        .text();
    for library in libraries
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        archive.host_file(Path::new(library), library)?;
    }
    for name in FIRMWARE {
        let path = Path::new("/usr/share").join(name);
        if path.exists() {
            archive.host_file(&path, &format!("usr/share/{name}"))?;
        }
    }
    archive.host_file(hello()?, "images/hello")?;
    archive.host_file(by_pvh()?, "images/hello.pvh")?;
    archive.host_file(disc()?, "images/hello.iso")?;
    archive.host_file(&coreutils()?, "images/coreutils")?;
    archive.host_file(&survivor()?, "images/survivor")?;
    archive.host_file(&python()?, "images/python")?;
    let cases: String = CASES
        .iter()
        .map(|case| {
            let paging = u8::from(case.nested_paging);
            format!(
                "{}|{paging}|{}|{}|/images/{}\n",
                case.name,
                case.options,
                case.drill.map_or("", |(words, _)| words),
                case.image
            )
        })
        .collect();
    archive.file("cases", cases.as_bytes());
    Ok(archive.finish())
}

fn which(program: &str) -> Result<String, String> {
    let found = Child::new("/bin/sh")
        .args(["-c", "command -v \"$0\"", program])
        .run()?;
    let path = found
        .expect_status(0)
        .map_err(|_| format!("{program} is not there"))?
        .text();
    Ok(path.trim().to_owned())
}

/// What came out of each case, once.
fn run_all() -> Result<BTreeMap<String, Seen>, String> {
    const TRIES: u32 = 3;
    let mut tries = 0;
    loop {
        tries += 1;
        let start = Instant::now();
        let (seen, seconds) = run_once()?;
        // On a busy host Linux can take the emulated processor for much slower than it is when it compares it
        // with the timer of old: its clock is then so fast that a minute for each case is over at once.
        if tries == TRIES || seconds <= 2 * start.elapsed().as_secs() {
            return Ok(seen);
        }
    }
}

/// Boots the Linux with KVM; what came out of each case, and how many seconds that Linux counted.
fn run_once() -> Result<(BTreeMap<String, Seen>, u64), String> {
    let kernel = linux::kernel()?;
    let file = places::made().join(format!("kvm-{}.cpio", std::process::id()));
    std::fs::write(&file, initial_ram(&kernel)?).map_err(|error| error.to_string())?;
    let words = "-accel tcg,thread=multi -cpu EPYC,+svm,+npt -smp 2 -m 1536 -nodefaults -no-user-config \
        -display none -monitor none -serial stdio -no-reboot";
    let output = Child::new(machine::program())
        .args(words.split_whitespace())
        .args([
            "-kernel".as_ref(),
            kernel.image.as_os_str(),
            "-initrd".as_ref(),
            file.as_os_str(),
        ])
        .args([
            "-append",
            "console=ttyS0 quiet mitigations=off nokaslr tsc=reliable panic=-1",
        ])
        .limit(Duration::from_secs(300))
        .run();
    let _ = std::fs::remove_file(&file);
    let said = output?.text().replace('\r', "");
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    let mut seconds = 0;
    for section in said.split("\n@@").skip(1) {
        let (head, body) = section.split_once('\n').unwrap_or((section, ""));
        let mut words = head.split_whitespace();
        let (Some(kind), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        if kind == "done" {
            seconds = name.parse().unwrap_or(0);
            continue;
        }
        let seen = all.entry(name.to_owned()).or_insert_with(|| Seen {
            console: Vec::new(),
            messages: String::new(),
            used: Duration::ZERO,
            status: -1,
            complaints: String::new(),
        });
        match kind {
            "console" => seen.console = body.as_bytes().to_vec(),
            "messages" => seen.messages = body.to_owned(),
            "complaints" => seen.complaints = body.to_owned(),
            "status" => {
                seen.status = words
                    .next()
                    .and_then(|status| status.parse().ok())
                    .unwrap_or(-1)
            }
            _ => {}
        }
    }
    if all.is_empty() {
        let last: Vec<&str> = said.lines().rev().take(30).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(format!(
            "Linux did not come to the cases; its last lines:\n{}",
            last.join("\n")
        ));
    }
    Ok((all, seconds))
}

fn check(case: &Case) -> Result<(), String> {
    static SEEN: OnceLock<Result<BTreeMap<String, Seen>, String>> = OnceLock::new();
    let seen = SEEN.get_or_init(run_all).as_ref().map_err(Clone::clone)?;
    let seen = seen
        .get(case.name)
        .ok_or_else(|| format!("no word of {}", case.name))?;
    seen.expect(case.expected, 0)?;
    match case.drill {
        None => Ok(()),
        Some((_, said)) => ensure(seen.messages.contains(said), || {
            format!("no {said:?} in {}", seen.messages)
        }),
    }
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    for case in CASES {
        tests.add(format!("kvm::{}", case.name), move || check(case));
    }
}
