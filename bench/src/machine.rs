//! The machines that are compared: the same QEMU options for Kiln and for Linux.

use std::path::Path;
use std::time::Duration;

use kiln_tests::linux::Kernel;
use kiln_tests::machine::{Machine, Seen};

/// Linux's command line: nothing printed that costs, no work against processors' errors, and a
/// restart, which ends QEMU, at the end or on a panic.
const LINUX_WORDS: &str = "console=ttyS0 quiet mitigations=off reboot=t panic=-1";

/// Added where time is the host's: an emulated timer that is late must not decide how fast the
/// processor is.
const LINUX_TIMED_WORDS: &str = "tsc_early_khz=2000000";

/// Memory where it is not what is measured.
const MEMORY: &str = "-m 64M";
/// The same for Linux, which needs more.
const LINUX_MEMORY: &str = "-m 256M";

/// One instruction takes one nanosecond, and nothing of the host's clock is seen.
const COUNTED: &str = "-icount shift=0,sleep=off -rtc base=2026-01-01T00:00:00,clock=vm";

/// What all machines of one run have in common.
#[derive(Debug, Clone)]
pub struct Machines {
    /// QEMU's name of the processor.
    pub processor: String,
}

impl Machines {
    fn base(&self) -> Machine {
        Machine::new("microvm").option("-cpu", &self.processor)
    }

    /// Runs an image and counts its instructions.
    ///
    /// # Errors
    /// It did not end, or not well.
    pub fn count(&self, image: &Path) -> Result<Seen, String> {
        let seen = self.base().with(COUNTED).with(MEMORY).kernel(image).run()?;
        ended_well(&seen)?;
        Ok(seen)
    }

    /// As [`Machines::count`], while all events are noted.
    ///
    /// # Errors
    /// It did not end, or not well.
    pub fn count_traced(&self, image: &Path) -> Result<Seen, String> {
        let seen = self
            .base()
            .with(COUNTED)
            .with(MEMORY)
            .option("-kernel", &image.to_string_lossy())
            .option("-append", "stdin=pipe stdout=pipe trace=all")
            .run()?;
        ended_well(&seen)?;
        Ok(seen)
    }

    /// Runs an image on so many processors, one at a time, and counts the instructions of all.
    ///
    /// # Errors
    /// It did not end, or not well.
    pub fn count_on(&self, image: &Path, processors: u32) -> Result<Seen, String> {
        let machine = self.base().with(COUNTED).with(MEMORY);
        let machine = machine.with(&format!("-smp {processors}"));
        let seen = machine.kernel(image).run()?;
        ended_well(&seen)?;
        Ok(seen)
    }

    /// Runs an image on so many processors at once, as far as the host has them.
    ///
    /// # Errors
    /// It did not end, or not well.
    pub fn at_once(&self, image: &Path, processors: u32) -> Result<Seen, String> {
        let machine = self.base().with(MEMORY);
        let machine = machine.with(&format!("-smp {processors}"));
        let seen = machine.kernel(image).run()?;
        ended_well(&seen)?;
        Ok(seen)
    }

    /// Runs Linux with these files and counts its instructions; gives its console.
    ///
    /// # Errors
    /// It did not end.
    pub fn count_linux(&self, kernel: &Kernel, files: &Path) -> Result<String, String> {
        let seen = self
            .linux(kernel, files)
            .option("-append", LINUX_WORDS)
            .with(COUNTED)
            .with(LINUX_MEMORY)
            .run()?;
        Ok(String::from_utf8_lossy(&seen.console).into_owned())
    }

    /// Linux with so much memory, at the speed of the host.
    ///
    /// # Errors
    /// It did not end.
    pub fn linux_with(&self, kernel: &Kernel, files: &Path, mib: u64) -> Result<String, String> {
        let seen = self
            .linux(kernel, files)
            .option("-append", &timed_words())
            .with(&format!("-m {mib}M"))
            .limit(Duration::from_secs(30))
            .run()?;
        Ok(String::from_utf8_lossy(&seen.console).into_owned())
    }

    fn linux(&self, kernel: &Kernel, files: &Path) -> Machine {
        self.base()
            .limit(Duration::from_secs(120))
            .option("-kernel", &kernel.image.to_string_lossy())
            .option("-initrd", &files.to_string_lossy())
    }

    /// An image with so much memory, at the speed of the host.
    ///
    /// # Errors
    /// It did not end, or not well.
    pub fn run_with(&self, image: &Path, kib: u64) -> Result<Seen, String> {
        let seen = self
            .base()
            .with(&format!("-m {kib}K"))
            .limit(Duration::from_secs(10))
            .kernel(image)
            .run()?;
        ended_well(&seen)?;
        Ok(seen)
    }

    /// The words for a run whose wall time counts; the console goes nowhere.
    pub fn timed(&self, image: &Path) -> Vec<String> {
        let mut words = self.timed_words(MEMORY);
        words.extend(["-kernel".to_owned(), image.display().to_string()]);
        words.extend(["-append", "stdin=pipe stdout=pipe"].map(str::to_owned));
        words
    }

    /// The same for Linux.
    pub fn timed_linux(&self, kernel: &Kernel, files: &Path) -> Vec<String> {
        let mut words = self.timed_words(LINUX_MEMORY);
        words.extend(["-kernel".to_owned(), kernel.image.display().to_string()]);
        words.extend(["-initrd".to_owned(), files.display().to_string()]);
        words.extend(["-append".to_owned(), timed_words()]);
        words
    }

    fn timed_words(&self, memory: &str) -> Vec<String> {
        let processor = &self.processor;
        format!(
            "-machine microvm -accel tcg -cpu {processor} {memory} -nodefaults -no-user-config -no-reboot \
             -display none -monitor none -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
             -chardev null,id=messages -device isa-debugcon,iobase=0xe9,chardev=messages"
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect()
    }
}

fn timed_words() -> String {
    format!("{LINUX_WORDS} {LINUX_TIMED_WORDS}")
}

/// The image said nothing of an end but a good one.
fn ended_well(seen: &Seen) -> Result<(), String> {
    // QEMU ends with `value * 2 + 1` of what was written to the exit device.
    if seen.status == 1 {
        return Ok(());
    }
    Err(format!(
        "QEMU ended with {}; console: {}; messages: {}; QEMU: {}",
        seen.status,
        String::from_utf8_lossy(&seen.console).trim(),
        seen.messages.trim(),
        seen.complaints.trim()
    ))
}
