//! A debugger's side of gdb's remote protocol, as far as tests go wrong on purpose with it.
//!
//! A packet is `$TEXT#SUM`, answered with `+` by whoever took it (gdb's manual, appendix E).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an answer may take: a machine may have to boot until it stops.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the instruction pointer among the registers of x86-64.
const INSTRUCTION_POINTER: u32 = 16;

/// A machine under control.
#[derive(Debug)]
pub struct Debugger {
    stream: UnixStream,
}

impl Debugger {
    /// Connects to QEMU's socket, which may not be there yet.
    ///
    /// # Errors
    /// There is nobody.
    pub fn connect(socket: &Path) -> Result<Self, String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let failed = |error: std::io::Error| format!("{}: {error}", socket.display());
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(failed(error)),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { stream })
    }

    /// Lets the machine run until it is about to execute `address`.
    ///
    /// # Errors
    /// It did not come there.
    pub fn run_to(&mut self, address: u64) -> Result<(), String> {
        self.expect(&format!("Z1,{address:x},1"), "OK")?;
        self.expect("c", "T05")?;
        self.expect(&format!("z1,{address:x},1"), "OK")
    }

    /// Has the stopped processor go on at `address`.
    ///
    /// # Errors
    /// The debugger's end of the machine does not answer.
    pub fn jump(&mut self, address: u64) -> Result<(), String> {
        let bytes: String = address
            .to_le_bytes()
            .map(|byte| format!("{byte:02x}"))
            .concat();
        // QEMU lets only those write one register who have asked how registers are described.
        self.expect("qXfer:features:read:target.xml:0,40", "m")?;
        self.expect(&format!("P{INSTRUCTION_POINTER:x}={bytes}"), "OK")?;
        self.go_on()
    }

    /// Lets the machine run.
    ///
    /// # Errors
    /// It is gone.
    pub fn go_on(&mut self) -> Result<(), String> {
        self.send("c")
    }

    /// Sends a packet and wants an answer that begins with `begin`.
    fn expect(&mut self, packet: &str, begin: &str) -> Result<(), String> {
        self.send(packet)?;
        let answer = self
            .answer()
            .map_err(|error| format!("{packet}: {error}"))?;
        if answer.starts_with(begin) {
            return Ok(());
        }
        Err(format!("{packet}: {answer:?} and not {begin}"))
    }

    fn send(&mut self, packet: &str) -> Result<(), String> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.stream
            .write_all(format!("${packet}#{sum:02x}").as_bytes())
            .map_err(|error| error.to_string())
    }

    fn answer(&mut self) -> Result<String, String> {
        while self.byte()? != b'$' {}
        let mut text = String::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => text.push(char::from(byte)),
            }
        }
        // The sum: the socket loses nothing.
        self.byte()?;
        self.byte()?;
        self.stream
            .write_all(b"+")
            .map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.stream
            .read_exact(&mut byte)
            .map_err(|error| error.to_string())?;
        Ok(byte[0])
    }
}
