//! Faults on pages of a file that a server keeps, if the image has one that does.
//!
//! The pages are holes: each is asked for alone, and comes as zeroes. The thread that touches one is parked;
//! nobody else has anything to do.
#![expect(unsafe_code, reason = "memory is touched that may not be there")]

use kiln_interface::file::{Attributes, File, FileStub, FileTree, FileTreeStub, change, open};
use kiln_interface::kernel::{
    AddressSpace as _, FileCache, MapFlags, Protection, protection_and_flags,
};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Caller, Error, Reference};
use kiln_runtime::{Far, address_space, bind_server, startup, thread};
use zerocopy::IntoBytes;

use crate::{CALLS, ROUNDS, counter, fail, least, report};

/// More than the kernel maps at one fault, in pages.
const STEP: u64 = 16;
const PAGES: u64 = CALLS * STEP;

const _: () = assert!(PAGES >= CALLS * ROUNDS as u64);

/// Measures and reports, if there is a file server that keeps what is written.
pub(crate) fn measure() {
    let Ok(reference) = bind_server::<dyn FileTree>("memory_fs") else {
        return;
    };
    // Only the threads of a scheduler that may stop them are parked.
    thread::on_soft_interrupt(|_| ());
    if let Err(error) = faults(&FileTreeStub::new(reference, Far)) {
        fail(&alloc::format!("faults cannot be measured: {error}"));
    }
}

fn faults(tree: &FileTreeStub<Far>) -> Result<(), Error> {
    let me = startup().process;
    let flags = open::READ | open::WRITE | open::NAMELESS;
    let opened = tree.open_writable(b"", flags, 0o600, me, &mut [0; 64])?;
    let file = FileStub::new(opened.file, Far);
    let attributes = Attributes {
        length: PAGES * PAGE_BYTES,
        ..Attributes::default()
    };
    file.set_attributes(attributes.as_bytes(), change::LENGTH)?;
    let (cache, _) = file.pages(Caller(me))?;
    let start = map(cache)?;
    let next = core::cell::Cell::new(start);
    report(
        "fault.pager",
        least(|| {
            let address = next.get();
            next.set(address + PAGE_BYTES);
            touch(address)
        }),
    );
    for page in 0..PAGES {
        touch(start + page * PAGE_BYTES);
    }
    let mut figure = u64::MAX;
    for _ in 0..ROUNDS {
        let again = map(cache)?;
        let begin = counter();
        for call in 0..CALLS {
            touch(again + call * STEP * PAGE_BYTES);
        }
        figure = figure.min((counter() - begin) / CALLS);
        address_space().unmap(again, PAGES * PAGE_BYTES)?;
    }
    report("fault.file", figure);
    Ok(())
}

fn map(cache: Reference<dyn FileCache>) -> Result<u64, Error> {
    let how = protection_and_flags(Protection::READ | Protection::WRITE, MapFlags::SHARED);
    address_space().map_file(cache, 0, 0, PAGES * PAGE_BYTES, how)
}

/// Reads a byte of a page that is mapped; it is zero.
fn touch(address: u64) -> bool {
    let pointer = core::ptr::with_exposed_provenance::<u8>(address as usize);
    // SAFETY: the caller has mapped a file there, whose pages come.
    unsafe { pointer.read_volatile() == 0 }
}
