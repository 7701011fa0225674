//! Code that is patched while other threads run it: they see the old or the new, never a part of each.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::SeqCst;

use kiln_interface::kernel::{AddressSpace as _, Protection};
use kiln_object::layout::PAGE_BYTES;
use kiln_runtime::address_space;
use kiln_runtime::thread::{Priority, yield_now};

use crate::report::{check, failed};
use crate::scheduling::start;

/// What the function answers, by turns.
const VALUES: [u32; 2] = [0x1111_1111, 0x2222_2222];

const ROUNDS: usize = 300;

/// `mov eax, value; ret`.
fn code(value: u32) -> [u8; 6] {
    let [a, b, c, d] = value.to_le_bytes();
    [0xb8, a, b, c, d, 0xc3]
}

fn run(address: u64) -> u32 {
    // SAFETY: the test keeps such a function there, which follows the C convention.
    unsafe {
        let function = core::ptr::with_exposed_provenance::<()>(address as usize);
        core::mem::transmute::<*const (), extern "sysv64" fn() -> u32>(function)()
    }
}

/// An instruction that lies in two pages.
pub fn whole() {
    let space = address_space();
    let rights = (Protection::READ | Protection::EXECUTE).bits();
    let start_address = match space.map_anonymous(0, 2 * PAGE_BYTES, rights, 0) {
        Ok(address) => address,
        Err(error) => failed(format_args!("no memory for code: {error}")),
    };
    let function = start_address + PAGE_BYTES - 3;
    let patch = |value| {
        let done = address_space().patch(function, &code(value));
        check(done == Ok(()), format_args!("{done:?}"));
    };
    patch(VALUES[0]);
    let done = Arc::new(AtomicBool::new(false));
    let runners: Vec<_> = (0..3)
        .map(|_| {
            let done = done.clone();
            start(Priority::Normal, move || {
                while !done.load(SeqCst) {
                    for _ in 0..100 {
                        let value = run(function);
                        check(VALUES.contains(&value), format_args!("{value:#x}"));
                    }
                    yield_now();
                }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        let value = VALUES[round % 2];
        patch(value);
        let seen = run(function);
        check(seen == value, format_args!("{seen:#x} for {value:#x}"));
        yield_now();
    }
    done.store(true, SeqCst);
    for runner in runners {
        runner.join();
    }
    let unmapped = space.unmap(start_address, 2 * PAGE_BYTES);
    check(unmapped == Ok(()), format_args!("{unmapped:?}"));
}
