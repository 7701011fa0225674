//! The tests, a family in each file.

mod bad_input;
mod boot;
mod busybox;
mod c_programs;
mod debian;
mod endings;
mod entropy;
mod events;
mod faulty;
mod homes;
mod hostile;
mod idle;
mod image_contents;
mod interruption;
mod kvm;
mod memory;
mod native;
mod panic;
mod processors;
mod streams;
mod survival;
mod tool;
mod trace;

use crate::Tests;

/// Adds all of them.
pub fn add(tests: &mut Tests) {
    boot::add(tests);
    c_programs::add(tests);
    endings::add(tests);
    entropy::add(tests);
    events::add(tests);
    interruption::add(tests);
    streams::add(tests);
    survival::add(tests);
    busybox::add(tests);
    debian::add(tests);
    memory::add(tests);
    processors::add(tests);
    bad_input::add(tests);
    trace::add(tests);
    image_contents::add(tests);
    faulty::add(tests);
    homes::add(tests);
    hostile::add(tests);
    native::add(tests);
    panic::add(tests);
    idle::add(tests);
    tool::add(tests);
    kvm::add(tests);
}
