//! The QEMU command line for an image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{RunError, Settings};
use crate::manifest::MachineModel;

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accelerator {
    fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The one asked for by `KILN_ACCEL`, else KVM where it can work.
    ///
    /// A processor that cannot virtualise may still show `/dev/kvm`, which then fails
    /// late; so the processor is asked first.
    ///
    /// # Errors
    /// `KILN_ACCEL` names something else.
    pub fn choose() -> Result<Self, RunError> {
        let wanted = std::env::var_os("KILN_ACCEL").filter(|value| !value.is_empty());
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let usable = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .is_ok()
        };
        Self::decide(wanted, &information, usable)
    }

    fn decide(
        wanted: Option<OsString>,
        processor: &str,
        usable: impl FnOnce() -> bool,
    ) -> Result<Self, RunError> {
        match wanted.as_ref().map(|value| value.to_str()) {
            Some(Some("kvm")) => Ok(Self::Kvm),
            Some(Some("tcg")) => Ok(Self::Tcg),
            Some(_) => Err(RunError::Environment {
                variable: "KILN_ACCEL",
                value: wanted.unwrap_or_default().to_string_lossy().into_owned(),
                remedy: "it is `kvm` or `tcg`; leave it out to have Kiln choose",
            }),
            None => {
                let flags = processor.lines().find(|line| line.starts_with("flags"));
                let can = flags.is_some_and(|line| {
                    line.split_whitespace()
                        .any(|flag| flag == "vmx" || flag == "svm")
                });
                Ok(if can && usable() {
                    Self::Kvm
                } else {
                    Self::Tcg
                })
            }
        }
    }
}

/// The QEMU program: `KILN_QEMU`, else the one in `PATH`.
///
/// # Errors
/// There is none.
pub fn find() -> Result<PathBuf, RunError> {
    let name = std::env::var_os("KILN_QEMU").filter(|value| !value.is_empty());
    let name = name.unwrap_or_else(|| "qemu-system-x86_64".into());
    crate::search_path::find_program(Path::new(&name))
        .ok_or_else(|| RunError::NoQemu(name.to_string_lossy().into_owned()))
}

/// What the image is told by its command line about the console's two directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleEnds {
    /// Input comes from a terminal: not escaped.
    pub input_is_terminal: bool,
    /// Output goes to a terminal.
    pub output_is_terminal: bool,
    /// Columns and rows, if known.
    pub size: Option<(u16, u16)>,
}

impl ConsoleEnds {
    /// The kernel command line.
    pub fn command_line(&self) -> String {
        let end = |terminal| if terminal { "tty" } else { "pipe" };
        let mut line = format!(
            "stdin={} stdout={}",
            end(self.input_is_terminal),
            end(self.output_is_terminal)
        );
        if let Some((columns, rows)) = self.size {
            line.push_str(&format!(" columns={columns} rows={rows}"));
        }
        line
    }
}

/// A path inside a QEMU option, where a comma separates.
fn option_value(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_encoded_bytes();
    if !bytes.contains(&b',') {
        return path.as_os_str().to_owned();
    }
    path.to_string_lossy().replace(',', ",,").into()
}

/// What a machine is connected to.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The image.
    pub image: &'a Path,
    /// What the debug console writes to.
    pub messages: &'a Path,
    /// The file that is the machine's memory, if it is to be one.
    pub memory: Option<PathBuf>,
    /// Words for the kernel's command line.
    pub words: Vec<String>,
    /// The console's two directions.
    pub console: &'a ConsoleEnds,
}

/// All arguments of QEMU.
pub fn arguments(
    settings: &Settings,
    accelerator: Accelerator,
    surroundings: &Surroundings<'_>,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
    let mut machine = settings.model.name().to_owned();
    if surroundings.memory.is_some() {
        machine.push_str(",memory-backend=ram");
    }
    add(&["-machine", &machine]);
    add(&["-accel", accelerator.name(), "-cpu", "max"]);
    // In KiB, since MiB is QEMU's unit when none is given.
    add(&["-m", &format!("{}K", settings.memory >> 10)]);
    add(&["-smp", &settings.cpus.to_string()]);
    add(&["-nodefaults", "-no-user-config", "-no-reboot"]);
    add(&["-display", "none", "-monitor", "none"]);
    add(&[
        "-chardev",
        "stdio,id=console,signal=off",
        "-serial",
        "chardev:console",
    ]);
    add(&["-device", "isa-debugcon,iobase=0xe9,chardev=messages"]);
    add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
    if settings.entropy {
        let device = match settings.model {
            MachineModel::Microvm => "virtio-rng-device",
            MachineModel::Q35 | MachineModel::Pc => "virtio-rng-pci",
        };
        add(&["-device", device]);
    }
    let mut line = surroundings.console.command_line();
    for word in &surroundings.words {
        line.push(' ');
        line.push_str(word);
    }
    add(&["-append", &line]);
    if let Some(memory) = &surroundings.memory {
        let size = settings.memory >> 10;
        let mut object = OsString::from(format!(
            "memory-backend-file,id=ram,size={size}K,share=on,mem-path="
        ));
        object.push(option_value(memory));
        all.extend(["-object".into(), object]);
    }
    all.push("-chardev".into());
    let mut channel = OsString::from("file,id=messages,path=");
    channel.push(option_value(surroundings.messages));
    all.push(channel);
    if let Some(socket) = &settings.debugger {
        let mut channel = OsString::from("socket,id=debugger,server=on,wait=off,path=");
        channel.push(option_value(socket));
        all.extend(["-chardev".into(), channel]);
        all.extend(["-gdb", "chardev:debugger", "-S"].map(OsString::from));
    }
    all.extend(["-kernel".into(), surroundings.image.as_os_str().to_owned()]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            model: MachineModel::Microvm,
            memory: 6 << 20,
            cpus: 4,
            timeout: None,
            strace: false,
            drills: Vec::new(),
            console: crate::run::Console::Shared,
            entropy: false,
            debugger: None,
            verbose: false,
            functions: Default::default(),
        }
    }

    fn words(settings: &Settings) -> String {
        let ends = ConsoleEnds {
            input_is_terminal: false,
            output_is_terminal: true,
            size: Some((100, 30)),
        };
        words_with(settings, &ends, None)
    }

    fn words_with(settings: &Settings, ends: &ConsoleEnds, memory: Option<PathBuf>) -> String {
        let surroundings = Surroundings {
            image: Path::new("/i"),
            messages: Path::new("/m,x"),
            words: memory.iter().map(|_| "trace".to_owned()).collect(),
            memory,
            console: ends,
        };
        let all = arguments(settings, Accelerator::Tcg, &surroundings);
        let all: Vec<_> = all.iter().map(|word| word.to_string_lossy()).collect();
        all.join(" ")
    }

    #[test]
    fn the_manifest_decides_the_machine() {
        let all = words(&settings());
        for part in [
            "-machine microvm",
            "-m 6144K",
            "-smp 4",
            "-accel tcg",
            "-append stdin=pipe stdout=tty columns=100 rows=30",
            "path=/m,,x",
            "-kernel /i",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(!all.contains("rng") && !all.contains("-gdb"));
        assert!(!all.contains("memory-backend"));
    }

    #[test]
    fn a_watched_machine_has_its_memory_in_a_file() {
        let ends = ConsoleEnds {
            input_is_terminal: false,
            output_is_terminal: false,
            size: None,
        };
        let all = words_with(&settings(), &ends, Some("/f".into()));
        for part in [
            "-machine microvm,memory-backend=ram",
            "-object memory-backend-file,id=ram,size=6144K,share=on,mem-path=/f",
            "-append stdin=pipe stdout=pipe trace",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
    }

    #[test]
    fn devices_follow_the_settings() {
        let mut settings = settings();
        settings.entropy = true;
        settings.debugger = Some("/s".into());
        assert!(words(&settings).contains("virtio-rng-device"));
        assert!(words(&settings).contains("-gdb chardev:debugger -S"));
        settings.model = MachineModel::Q35;
        assert!(words(&settings).contains("virtio-rng-pci"));
    }

    #[test]
    fn kvm_is_used_only_where_the_processor_can() {
        let decide = |wanted: Option<&str>, flags: &str, usable| {
            Accelerator::decide(wanted.map(OsString::from), flags, || usable)
        };
        assert!(matches!(
            decide(None, "flags : fpu vmx", true),
            Ok(Accelerator::Kvm)
        ));
        assert!(matches!(
            decide(None, "flags : fpu vmx", false),
            Ok(Accelerator::Tcg)
        ));
        assert!(matches!(
            decide(None, "flags : fpu xsvm", true),
            Ok(Accelerator::Tcg)
        ));
        assert!(matches!(
            decide(Some("kvm"), "", false),
            Ok(Accelerator::Kvm)
        ));
        assert!(decide(Some("xen"), "", true).is_err());
    }
}
