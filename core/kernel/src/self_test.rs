//! Checks that only a running kernel can make, in place of processes; feature `self-test`.
//!
//! The command line's word `test=NAME` chooses one. Each ends the machine: status 0 if all is well,
//! another if not, and the deliberate failures with their own.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::device::console;
use crate::power::{self, ExitStatus};
use crate::processor::{self, PerCpu};
use crate::time::{self, timer};

/// Runs the test that the command line names.
pub(crate) fn run(command_line: &[u8]) -> ! {
    let name = command_line
        .split(|byte| *byte == b' ')
        .find_map(|word| word.strip_prefix(b"test="))
        .and_then(|name| core::str::from_utf8(name).ok())
        .unwrap_or("none");
    crate::info!("self-test {name}");
    let good = match name {
        "none" => true,
        "exit" => power::off(ExitStatus::Code(42)),
        "panic" => panic!("as asked"),
        "null" => read(0x10),
        "write-text" => write_text(),
        "stack" => overflow(0) != 1,
        "stack-home" => {
            let _serving = crate::home::Serving::begin(true);
            overflow(0) != 1
        }
        "machine" => machine(),
        "timer" => expiries(),
        "clock" => clock(),
        "processors" => processors(),
        "panic-others" => {
            processors();
            panic!("with others running")
        }
        "console" => echo(),
        _ => false,
    };
    power::off(ExitStatus::Code(u8::from(!good)))
}

fn read(address: u64) -> bool {
    // SAFETY: none: the fault is what the test is for.
    unsafe { (core::hint::black_box(address) as *const u8).read_volatile() == 0 }
}

fn write_text() -> bool {
    let text = run as fn(&[u8]) -> ! as *mut u8;
    // SAFETY: none: the fault is what the test is for.
    unsafe { core::hint::black_box(text).write_volatile(0xcc) };
    false
}

#[expect(
    unconditional_recursion,
    reason = "the overflow is what the test is for"
)]
fn overflow(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + room[7]
}

fn machine() -> bool {
    let machine = crate::firmware::machine();
    crate::info!("processors {:?}", machine.processors());
    crate::info!("interrupt controllers {:x?}", machine.io_apics());
    crate::info!("serial line {:?}", machine.isa_route(4));
    crate::info!(
        "power {:x?}",
        crate::firmware::acpi_tables().map(|tables| (tables.power(), tables.timer()))
    );
    for range in crate::boot::information().usable_memory() {
        crate::info!("memory {:#x} to {:#x}", range.start, range.end);
    }
    true
}

static EXPIRIES: AtomicU32 = AtomicU32::new(0);
static LATEST: AtomicU64 = AtomicU64::new(0);

fn expired() {
    LATEST.store(time::monotonic_ns(), Ordering::Relaxed);
    EXPIRIES.fetch_add(1, Ordering::Relaxed);
}

/// Timers fire in time: never before their deadline.
fn expiries() -> bool {
    timer::on_expiry(expired);
    for (count, wait) in (1..).zip([0, 50_000, 1_000_000, 20_000_000]) {
        let deadline = time::monotonic_ns() + wait;
        timer::arm(deadline);
        while EXPIRIES.load(Ordering::Relaxed) < count {
            processor::wait_for_interrupt();
        }
        let late = LATEST.load(Ordering::Relaxed).checked_sub(deadline);
        crate::info!("a wait of {wait} ns ended {late:?} ns late");
        if late.is_none() {
            return false;
        }
    }
    true
}

fn clock() -> bool {
    let information = time::information();
    crate::info!(
        "clock {information:?}, wall {} s",
        time::wall_clock_ns() / 1_000_000_000
    );
    information.multiplier != 0
}

/// All processors of the machine come up, each with a block of its own.
fn processors() -> bool {
    let expected = crate::firmware::machine().processors().len().max(1) as u32;
    while processor::online() < expected && time::monotonic_ns() < 5_000_000_000 {
        timer::arm(time::monotonic_ns() + 1_000_000);
        processor::wait_for_interrupt();
    }
    crate::info!(
        "{} of {expected} processors, all after {} us",
        processor::online(),
        time::monotonic_ns() / 1000
    );
    processor::online() == expected && PerCpu::number() == 0
}

/// Sends back what arrives, upper-cased, until a line ends.
fn echo() -> bool {
    loop {
        let mut bytes = [0; 16];
        let count = console::read(&mut bytes);
        let bytes = &mut bytes[..count];
        bytes.make_ascii_uppercase();
        if console::write(bytes) != count {
            return false;
        }
        if bytes.contains(&b'\n') {
            return true;
        }
        if count == 0 {
            processor::wait_for_interrupt();
        }
    }
}
