//! Driver `serial`: the first serial port as the program's console.
//!
//! Received bytes come by interrupt, or are looked for by a timer where no interrupt controller has
//! the line. If nobody reads them they stay in the device, which holds its sender back.

mod registers;

use core::sync::atomic::{AtomicBool, Ordering};

use kiln_kernel::device::console::{self, ConsoleDevice};
use kiln_kernel::device::{Outcome, Stage};
use kiln_kernel::interrupt::{InterruptFrame, io_apic, local_apic, table};
use kiln_kernel::log::{self, Rank};
use kiln_kernel::time::{self, timer};
use registers::{Registers, Uart};
use spin::Mutex;
use x86_64::instructions::port::Port;

/// First port of COM1.
const BASE: u16 = 0x3f8;
/// ISA interrupt request of COM1.
const LINE: u8 = 4;
/// How often the port is looked at where it cannot interrupt.
const POLL_NS: u64 = 4_000_000;

kiln_kernel::driver!("KILN_DRIVER_SERIAL", 2, "serial", start);

struct Ports;

impl Registers for Ports {
    fn read(&self, register: u8) -> u8 {
        // SAFETY: COM1's registers, which only this driver uses.
        unsafe { Port::new(BASE + u16::from(register & 7)).read() }
    }

    fn write(&self, register: u8, value: u8) {
        // SAFETY: as above; a UART writes to no memory.
        unsafe { Port::new(BASE + u16::from(register & 7)).write(value) }
    }

    fn burst(&self, bytes: &[u8]) {
        // SAFETY: the data register takes every byte; one string instruction leaves a virtual
        // machine once instead of once for each byte.
        unsafe {
            core::arch::asm!(
                "rep outsb",
                inout("rcx") bytes.len() => _,
                inout("rsi") bytes.as_ptr() => _,
                in("dx") BASE,
                options(nostack, preserves_flags, readonly),
            );
        }
    }
}

/// Receiving and sending use different registers, so each direction has a lock of its own.
struct Serial {
    sending: Mutex<Uart<Ports>>,
    receiving: Mutex<Uart<Ports>>,
    polled: AtomicBool,
}

static SERIAL: Serial = Serial {
    sending: Mutex::new(Uart(Ports)),
    receiving: Mutex::new(Uart(Ports)),
    polled: AtomicBool::new(false),
};

impl ConsoleDevice for Serial {
    fn write(&self, bytes: &[u8]) -> usize {
        self.sending.lock().send(bytes)
    }

    fn resume(&self) {
        if !self.polled.load(Ordering::Relaxed) {
            self.receiving.lock().interrupt_on_receive(true);
        }
    }

    fn drain(&self) {
        // At the machine's end the lock's holder may have been stopped.
        if let Some(uart) = self.sending.try_lock() {
            uart.drain();
        }
    }
}

extern "sysv64" fn start(stage: Stage) -> Outcome {
    let uart = SERIAL.receiving.lock();
    match stage {
        Stage::Channel => {
            if !uart.is_present() {
                return Outcome::Absent;
            }
            uart.initialise(|uart| {
                console::receive(|| uart.receive(console::overflow));
            });
            console::register(&SERIAL);
            log::register(log_line, Rank::Shared);
        }
        Stage::Device if uart.is_present() => {
            let route = table::allocate(interrupt).ok().and_then(|vector| {
                let here = u8::try_from(local_apic::identifier()).ok()?;
                io_apic::route_isa(LINE, vector, here).ok()
            });
            if route.is_some() {
                // What came before raises the interrupt as well.
                uart.interrupt_on_receive(true);
            } else {
                SERIAL.polled.store(true, Ordering::Relaxed);
                timer::on_expiry_for(timer::User::Console, poll);
                timer::arm_for(timer::User::Console, time::monotonic_ns() + POLL_NS);
            }
        }
        // Said at the first stage.
        Stage::Device => {}
    }
    Outcome::Ready
}

/// Lines of the kernel may come from anywhere, even while this processor holds the lock.
fn log_line(bytes: &[u8]) {
    match SERIAL.sending.try_lock() {
        Some(uart) => uart.send(bytes),
        None => Uart(Ports).send(bytes),
    };
}

fn interrupt(_: &mut InterruptFrame) {
    take();
}

fn poll() {
    take();
    timer::arm_for(timer::User::Console, time::monotonic_ns() + POLL_NS);
}

/// Moves what the device has to the console.
fn take() {
    let uart = SERIAL.receiving.lock();
    let received = console::receive(|| uart.receive(console::overflow));
    if received.full {
        // Under the lock, so that a reader who makes room right now turns it on again after this.
        uart.interrupt_on_receive(false);
    }
    drop(uart);
    if received.any {
        console::notify();
    }
}
