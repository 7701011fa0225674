//! The order in which the kernel comes up.

use crate::boot::{self, BootInformation, Protocol};
use crate::device::{self, Stage};
use crate::firmware::{self, DirectMap};
use crate::{interrupt, processor, time};

/// First Rust code on the boot processor; called once by the entry stub.
///
/// `information` is the physical address of what the loader hands over, `moved_by` how far from
/// its linked address it put the image.
pub(crate) extern "sysv64" fn boot_entry(protocol: u32, information: u64, moved_by: i64) -> ! {
    let entry_counter = time::counter();
    // SAFETY: this is the boot processor's first Rust code, on the boot stack, and the descriptor
    // table is filled before it is loaded.
    unsafe {
        interrupt::initialise();
        processor::initialise_boot(boot_stack_top());
    }
    device::start(Stage::Channel);
    boot::set_moved_by(moved_by);
    // SAFETY: the entry stub's page tables map the first 4 GiB, and so do the kernel's later ones.
    let memory = unsafe { DirectMap::new() };
    let image_end = image_end();
    let boot = Protocol::from_number(protocol)
        .and_then(|protocol| boot::initialise(&memory, protocol, information, image_end));
    match boot {
        Some(Ok(boot)) => kernel_main(boot, &memory, entry_counter),
        Some(Err(error)) => panic!("the boot loader's information: {error:?}"),
        None => panic!("entered by an unknown protocol"),
    }
}

fn boot_stack_top() -> u64 {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static kiln_boot_stack_top: u8;
        }
        (&raw const kiln_boot_stack_top) as u64
    }
    #[cfg(not(kiln_freestanding))]
    0
}

/// Physical end of the image, its zeroed part included.
fn image_end() -> u64 {
    #[cfg(kiln_freestanding)]
    {
        unsafe extern "C" {
            static __bss_end: u8;
        }
        let loaded = boot::physical_of(&raw const __bss_end);
        loaded.max(boot::image_start() + crate::image::length())
    }
    #[cfg(not(kiln_freestanding))]
    0
}

/// What can be done on the boot page tables and the boot stack.
fn kernel_main(boot: &'static BootInformation, memory: &DirectMap, entry_counter: u64) -> ! {
    // Firmware's tables may lie in memory that is about to be given out: they are read first.
    firmware::initialise(memory, boot.root_pointer());
    time::begin(entry_counter);
    crate::memory::initialise(boot);
    let stack = crate::memory::kernel_space::allocate_stack().expect("memory for one stack");
    // SAFETY: the stack is fresh and this processor's; nothing on the old one is used again.
    unsafe { processor::continue_on(stack, on_guarded_stack) }
}

/// The rest, on a stack whose overflow is a fault.
extern "sysv64" fn on_guarded_stack() -> ! {
    interrupt::legacy::silence();
    interrupt::local_apic::initialise();
    interrupt::io_apic::initialise();
    time::timer::initialise();
    crate::trace::initialise(boot::information().command_line());
    device::start(Stage::Device);
    processor::application::enter_boot_processor();
    processor::application::start_others();
    #[cfg(feature = "self-test")]
    crate::self_test::run(boot::information().command_line());
    #[cfg(not(feature = "self-test"))]
    crate::process::start()
}
