//! What machine this is: `uname`, `sysinfo`, the CPU, random numbers.

use core::sync::atomic::Ordering::Relaxed;

use kiln_interface::kernel::Random as _;
use kiln_object::configuration::key;
use linux_raw_sys::general as abi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::call::Call;
use crate::errno::{Answer, Errno};
use crate::program_memory;

/// Bytes of a field of `struct utsname`.
const FIELD_BYTES: usize = 65;

/// A field of [`uname`]'s answer, in the structure's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtsField {
    /// The operating system.
    System,
    /// The host's name.
    Host,
    /// The release whose interface this is.
    Release,
    /// The version.
    Version,
    /// The processor's architecture.
    Machine,
    /// The domain name.
    Domain,
}

/// What a field says.
#[must_use]
pub fn uts_field(field: UtsField) -> &'static [u8] {
    match field {
        UtsField::System => b"Linux",
        UtsField::Host => kiln_runtime::configuration()
            .value(key::HOST_NAME)
            .unwrap_or(b"kiln"),
        UtsField::Release => b"6.1.0-kiln",
        UtsField::Version => b"#1 SMP Kiln",
        UtsField::Machine => b"x86_64",
        UtsField::Domain => b"(none)",
    }
}

/// `uname(buffer)`.
///
/// # Errors
/// `EFAULT`.
pub fn uname(call: &Call<'_>) -> Answer {
    let fields = [
        UtsField::System,
        UtsField::Host,
        UtsField::Release,
        UtsField::Version,
        UtsField::Machine,
        UtsField::Domain,
    ];
    let mut names = [[0_u8; FIELD_BYTES]; 6];
    for (name, field) in names.iter_mut().zip(fields) {
        let text = uts_field(field);
        let text = text.get(..FIELD_BYTES - 1).unwrap_or(text);
        if let Some(room) = name.get_mut(..text.len()) {
            room.copy_from_slice(text);
        }
    }
    program_memory::write(call.pointer(0), &names)?;
    Ok(0)
}

/// `sethostname(name, length)`: the name is the image's.
///
/// # Errors
/// `EPERM` always.
pub fn sethostname(_call: &Call<'_>) -> Answer {
    Err(Errno::EPERM)
}

#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SystemInformation {
    uptime: u64,
    loads: [u64; 3],
    total: u64,
    free: u64,
    shared: u64,
    buffers: u64,
    swap_total: u64,
    swap_free: u64,
    processes: u16,
    padding: [u16; 3],
    high_total: u64,
    high_free: u64,
    unit: u32,
    end_padding: u32,
}

/// `sysinfo(information)`.
///
/// # Errors
/// `EFAULT`.
pub fn sysinfo(call: &Call<'_>) -> Answer {
    let information = SystemInformation {
        uptime: kiln_runtime::time::monotonic_ns() / 1_000_000_000,
        total: kiln_runtime::startup().memory_bytes,
        free: kiln_runtime::kernel_information().memory_free.load(Relaxed),
        processes: 1,
        unit: 1,
        ..SystemInformation::default()
    };
    program_memory::write(call.pointer(0), &information)?;
    Ok(0)
}

/// `getcpu(&cpu, &node, cache)`.
///
/// # Errors
/// `EFAULT`.
pub fn getcpu(call: &Call<'_>) -> Answer {
    let cpu = kiln_runtime::dispatcher::page().cpu.load(Relaxed);
    program_memory::write_if_wanted(call.pointer(0), &cpu)?;
    program_memory::write_if_wanted(call.pointer(1), &0_u32)?;
    Ok(0)
}

/// Fills `bytes` with random numbers.
///
/// # Errors
/// `EIO` if the kernel gives none.
pub fn random_bytes(bytes: &mut [u8]) -> Result<(), Errno> {
    let random = kiln_runtime::random();
    for chunk in bytes.chunks_mut(kiln_object::call::MESSAGE_BYTES) {
        if random.fill(chunk)? != chunk.len() {
            return Err(Errno::EIO);
        }
    }
    Ok(())
}

/// `getrandom(buffer, length, flags)`.
///
/// # Errors
/// `EINVAL` for unknown flags; `EFAULT`.
pub fn getrandom(call: &Call<'_>) -> Answer {
    const CHUNK: usize = 256;
    let flags = call.unsigned(2);
    let both = abi::GRND_RANDOM | abi::GRND_INSECURE;
    if flags & !(both | abi::GRND_NONBLOCK) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let address = call.pointer(0);
    let length = call.long(1).min(i32::MAX as u64);
    program_memory::check(address, length)?;
    let mut buffer = [0; CHUNK];
    let mut done = 0;
    while done < length {
        let now = (length - done).min(CHUNK as u64);
        let bytes = buffer.get_mut(..now as usize).unwrap_or_default();
        random_bytes(bytes)?;
        program_memory::copy_out(address + done, bytes)?;
        done += now;
    }
    Ok(length)
}
