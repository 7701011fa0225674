//! QEMU started directly, where the tool's own way of running is not what is tested.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::child::Child;
use crate::places;

/// Tells the message files of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A machine to be.
#[derive(Debug, Clone)]
pub struct Machine {
    arguments: Vec<String>,
    limit: Duration,
}

/// What came out of a machine.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Bytes from the first serial port.
    pub console: Vec<u8>,
    /// Lines from the debug console.
    pub messages: String,
    /// QEMU's exit status.
    pub status: i32,
    /// Processor time of the host that QEMU used.
    pub used: Duration,
    /// What QEMU said.
    pub complaints: String,
}

impl Machine {
    /// A machine of `model`, translated by QEMU, with nothing that is not asked for.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let words = format!(
            "-machine {model} -accel tcg -nodefaults -no-user-config -no-reboot -display none -monitor none \
             -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04"
        );
        Self {
            arguments: words.split_whitespace().map(str::to_owned).collect(),
            limit: Duration::from_secs(60),
        }
    }

    /// Adds options, cut at spaces.
    #[must_use]
    pub fn with(mut self, words: &str) -> Self {
        self.arguments
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one option with a value that may have spaces.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Boots an image with the words that the tool gives one whose console is no terminal.
    #[must_use]
    pub fn kernel(self, image: &Path) -> Self {
        self.option("-kernel", &image.to_string_lossy())
            .option("-append", "stdin=pipe stdout=pipe")
    }

    /// Ends it after `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// QEMU could not be run, or was not done in time.
    pub fn run(&self) -> Result<Seen, String> {
        let name = format!(
            "messages-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let file = places::made().join(name);
        let channel = format!("file,id=messages,path={}", file.display());
        let ran = Child::new(program())
            .args(&self.arguments)
            .args([
                "-chardev",
                &channel,
                "-device",
                "isa-debugcon,iobase=0xe9,chardev=messages",
            ])
            .limit(self.limit)
            .run_and_measure();
        let messages = std::fs::read(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        let messages = String::from_utf8_lossy(&messages).into_owned();
        let (output, used) = ran.map_err(|error| format!("{error}\nmessages:\n{messages}"))?;
        Ok(Seen {
            console: output.out,
            messages,
            status: output.status,
            used,
            complaints: output.err,
        })
    }
}

/// QEMU: `KILN_QEMU`, else the one in `PATH`.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("KILN_QEMU").map_or_else(|| "qemu-system-x86_64".into(), PathBuf::from)
}

impl Seen {
    /// The program wrote `text` at the end of the console, and ended with `status`.
    ///
    /// # Errors
    /// What was seen instead.
    pub fn expect(&self, text: &str, status: u8) -> Result<(), String> {
        let console = String::from_utf8_lossy(&self.console).replace("\r\n", "\n");
        let said = format!("kiln:exit:{status}");
        // QEMU makes `value * 2 + 1` of what the image writes to the exit device.
        let ended = i32::from(status & 0x7f) * 2 + 1;
        if console.ends_with(text)
            && self.messages.lines().any(|line| line == said)
            && self.status == ended
        {
            return Ok(());
        }
        Err(format!(
            "expected {text:?} and status {status}; QEMU ended with {} (expected {ended})\nconsole: {console}\nmessages: {}\nQEMU: {}",
            self.status, self.messages, self.complaints
        ))
    }
}
