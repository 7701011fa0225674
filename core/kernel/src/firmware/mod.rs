//! What firmware tells about the machine: ACPI tables, or the older MP table.
//!
//! Read once at boot and copied into [`Machine`]; nothing else looks at firmware's memory, except
//! power-off, which has to find one object in the definition blocks.

pub mod acpi;
pub mod mp_table;
pub mod physical;

use core::convert::Infallible;

use crate::rolled::one_pass;
use crate::set_once::FillOnce;

pub use physical::{DirectMap, OutOfReach, PhysicalMemory};

/// Processors that a description can hold.
pub const MAX_PROCESSORS: usize = 64;
/// I/O APICs that a description can hold.
pub const MAX_IO_APICS: usize = 8;

/// One I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoApic {
    /// Physical address of its registers.
    pub address: u32,
    /// The first global system interrupt that arrives at it.
    pub first_interrupt: u32,
}

/// Where an ISA interrupt request really arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IsaRoute {
    /// Global system interrupt.
    pub interrupt: u32,
    /// The line is active when low.
    pub active_low: bool,
    /// The line is level-triggered.
    pub level: bool,
}

/// Interrupt controllers and processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    processors: [u32; MAX_PROCESSORS],
    processor_count: usize,
    io_apics: [IoApic; MAX_IO_APICS],
    io_apic_count: usize,
    isa: [IsaRoute; 16],
}

impl Machine {
    /// A machine of which nothing is known: ISA interrupts arrive where they did on a PC/AT.
    pub const fn new() -> Self {
        let mut isa = [IsaRoute {
            interrupt: 0,
            active_low: false,
            level: false,
        }; 16];
        let mut line = 0;
        while line < isa.len() {
            isa[line].interrupt = line as u32;
            line += 1;
        }
        Self {
            processors: [0; MAX_PROCESSORS],
            processor_count: 0,
            io_apics: [IoApic {
                address: 0,
                first_interrupt: 0,
            }; MAX_IO_APICS],
            io_apic_count: 0,
            isa,
        }
    }

    /// APIC identifiers of the processors that may be started, the boot processor's among them.
    pub fn processors(&self) -> &[u32] {
        self.processors.get(..self.processor_count).unwrap_or(&[])
    }

    /// The I/O APICs.
    pub fn io_apics(&self) -> &[IoApic] {
        self.io_apics.get(..self.io_apic_count).unwrap_or(&[])
    }

    /// Where ISA interrupt request `line` (0 to 15) arrives.
    pub fn isa_route(&self, line: u8) -> Option<IsaRoute> {
        self.isa.get(usize::from(line)).copied()
    }

    /// Adds a processor; more than there is room for, or one named twice, are left out.
    fn add_processor(&mut self, apic: u32) {
        let mut known = self.processors().iter();
        if !known.any(|known| {
            one_pass();
            *known == apic
        }) && let Some(place) = self.processors.get_mut(self.processor_count)
        {
            *place = apic;
            self.processor_count += 1;
        }
    }

    fn add_io_apic(&mut self, io_apic: IoApic) {
        if let Some(place) = self.io_apics.get_mut(self.io_apic_count) {
            *place = io_apic;
            self.io_apic_count += 1;
        }
    }

    fn set_isa_route(&mut self, line: u8, route: IsaRoute) {
        if let Some(place) = self.isa.get_mut(usize::from(line)) {
            *place = route;
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

static MACHINE: FillOnce<Machine> = FillOnce::new(Machine::new());
static TABLES: FillOnce<acpi::Tables> = FillOnce::new(acpi::Tables::NONE);

/// Reads the tables. `root_pointer` is where the loader says ACPI's root pointer is.
pub(crate) fn initialise(memory: &impl PhysicalMemory, root_pointer: Option<u64>) {
    TABLES.fill(|tables| match root_pointer {
        Some(address) if tables.find(memory, address).is_ok() => Ok(()),
        _ => {
            let address = acpi::scan_for_root_pointer(memory).ok_or(OutOfReach)?;
            tables.find(memory, address)
        }
    });
    MACHINE.fill(|machine| {
        if let Some(tables) = acpi_tables() {
            // A table that ends early has told what it could.
            let _ = tables.read_interrupt_controllers(memory, machine);
        }
        if machine.processors().is_empty() {
            let _ = mp_table::read(memory, machine);
        }
        Ok::<(), Infallible>(())
    });
}

/// The machine's processors and interrupt controllers.
///
/// # Panics
/// Before [`crate::firmware`] was initialised, which comes before every user.
pub fn machine() -> &'static Machine {
    MACHINE
        .get()
        .expect("the firmware's tables are read at boot")
}

/// The ACPI tables, if the machine has any.
pub fn acpi_tables() -> Option<&'static acpi::Tables> {
    TABLES.get()
}
