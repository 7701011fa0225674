//! The devices that need no driver.

use alloc::sync::Arc;

use kiln_interface::file::{Attributes, kind};

use crate::LINUX;
use crate::errno::Errno;
use crate::files::buffer::{Destination, Source};
use crate::files::object::{Mappable, Object, Position};
use crate::terminal::ConsoleTerminal;

/// Bytes that are made at once.
const PIECE_BYTES: usize = 1024;

/// A device by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Device {
    /// Reads as nothing and takes everything.
    Null,
    /// Reads as zeroes.
    Zero,
    /// Is full.
    Full,
    /// Random numbers.
    Random,
    /// Random numbers under their other name.
    Urandom,
    /// The process's terminal.
    Terminal,
    /// The console.
    Console,
}

impl Device {
    /// Its permissions.
    pub const fn mode(self) -> u32 {
        match self {
            Device::Console => 0o620,
            _ => 0o666,
        }
    }

    /// Major and minor, as `Attributes::device` has them.
    pub const fn number(self) -> u64 {
        let (major, minor) = match self {
            Device::Null => (1, 3),
            Device::Zero => (1, 5),
            Device::Full => (1, 7),
            Device::Random => (1, 8),
            Device::Urandom => (1, 9),
            Device::Terminal => (5, 0),
            Device::Console => (5, 1),
        };
        major << 32 | minor
    }

    /// The device with that major and minor number.
    pub fn with_number(number: u64) -> Option<Self> {
        [
            Device::Null,
            Device::Zero,
            Device::Full,
            Device::Random,
            Device::Urandom,
            Device::Terminal,
            Device::Console,
        ]
        .into_iter()
        .find(|device| device.number() == number)
    }

    /// The device, open.
    ///
    /// # Errors
    /// `ENXIO` for the terminal if the process has none.
    pub fn open(self) -> Result<Arc<dyn Object>, Errno> {
        match self {
            Device::Terminal if !LINUX.terminal.input_is_terminal() => Err(Errno::ENXIO),
            Device::Terminal | Device::Console => Ok(Arc::new(ConsoleTerminal)),
            device => Ok(Arc::new(OpenDevice(device))),
        }
    }
}

struct OpenDevice(Device);

impl Object for OpenDevice {
    fn read(&self, _offset: u64, into: &mut Destination<'_>) -> Result<usize, Errno> {
        if self.0 == Device::Null {
            return Ok(0);
        }
        let start = into.stored();
        let mut piece = [0; PIECE_BYTES];
        while into.room() > 0 {
            let wanted = into.room().min(PIECE_BYTES);
            let bytes = piece.get_mut(..wanted).unwrap_or_default();
            if matches!(self.0, Device::Random | Device::Urandom) {
                fill_random(bytes)?;
            }
            match into.put(bytes) {
                Ok(count) if count == wanted => {}
                Ok(_) => break,
                Err(error) if into.stored() == start => return Err(error),
                Err(_) => break,
            }
        }
        Ok(into.stored() - start)
    }

    fn write(&self, _position: Position, from: &mut Source<'_>) -> Result<(usize, u64), Errno> {
        if self.0 == Device::Full && from.left() > 0 {
            return Err(Errno::ENOSPC);
        }
        Ok((from.skip_all(), 0))
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn has_positions(&self) -> bool {
        false
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(Attributes {
            mode: kind::CHARACTER | self.0.mode(),
            number: 0x100 + self.0 as u64,
            device: self.0.number(),
            ..super::own_attributes()
        })
    }

    fn mappable(&self) -> Result<Mappable, Errno> {
        match self.0 {
            Device::Zero => Ok(Mappable::Zero),
            _ => Err(Errno::ENODEV),
        }
    }
}

/// Fills `bytes` with random numbers.
///
/// # Errors
/// `EIO` if the system has none to give.
#[cfg(not(test))]
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Errno> {
    use kiln_interface::kernel::Random as _;
    let count = kiln_runtime::random().fill(bytes)?;
    if count == bytes.len() {
        Ok(())
    } else {
        Err(Errno::EIO)
    }
}

/// Fills `bytes` with numbers that look random enough for a test.
#[cfg(test)]
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut state = kiln_runtime::time::monotonic_ns() | 1;
    for byte in bytes {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *byte = (state >> 56) as u8;
    }
    Ok(())
}
