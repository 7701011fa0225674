//! Taking all there is of something: others must still get theirs, and all of it must come back.

use kiln_interface::kernel::{AddressSpace as _, MapFlags, Protection, Random as _};
use kiln_object::call::universal;
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ObjectName, Reference, Rights};
use kiln_runtime::{address_space, grant, random, release, startup};

use super::{call, kernel, own, server, still_well};
use crate::memory::{ARENA, READ_WRITE, free, map, region, unmap};
use crate::report::{attack, ensure, expect, failed};

/// Pages that may be in the processor's own cache, counted as taken or not.
const CACHED_BYTES: u64 = 128 * PAGE_BYTES;

/// Regions that a process may have.
const REGIONS: u64 = 65_530;

/// Names that a process can pay for, those that it was given at the start among them.
const SHARE: usize = 1 << 15;

pub fn all() {
    // What the first times make for good (the kernel's heap and tables of names do not shrink) must be
    // enough for the last.
    for round in 0..3 {
        for (name, what) in [
            ("all regions", regions as fn() -> u64),
            ("all memory", pages),
            ("all memory for page tables", tables),
            ("all names", names),
        ] {
            attack(name);
            let before = free();
            let taken = what();
            still_well();
            let after = free();
            if round == 2 && after + CACHED_BYTES < before {
                failed(format_args!(
                    "{} KiB were free before and {} KiB are after taking {taken}",
                    before >> 10,
                    after >> 10
                ));
            }
        }
    }
}

/// As many regions as can be: neighbours differ in protection, so that none are joined.
fn regions() -> u64 {
    let protection = [Protection::READ, READ_WRITE];
    let mut count = 0;
    loop {
        let address = ARENA + count * PAGE_BYTES;
        match map(
            address,
            PAGE_BYTES,
            protection[count as usize & 1],
            MapFlags::EXACT,
        ) {
            Ok(_) => count += 1,
            Err(error) => {
                expect(error, Error::Exhausted);
                break;
            }
        }
    }
    ensure(count < REGIONS, "a process has regions without end");
    // None can be split any more, but whole ones can go.
    let wide = ARENA + (1 << 40);
    expect(
        map(wide, PAGE_BYTES, READ_WRITE, MapFlags::EXACT).err(),
        Some(Error::Exhausted),
    );
    let bits = Protection::empty().bits();
    let length = count * PAGE_BYTES;
    expect(address_space().protect(ARENA, length, bits), Ok(()));
    expect(region(ARENA), Some((ARENA, ARENA + length)));
    expect(unmap(ARENA, length), Ok(()));
    count
}

/// Populates until nothing is left for the program.
fn pages() -> u64 {
    let length = 1 << 40;
    expect(
        map(
            ARENA,
            length,
            READ_WRITE,
            MapFlags::EXACT | MapFlags::POPULATE,
        ),
        Ok(ARENA),
    );
    let left = free();
    let all = startup().memory_bytes;
    ensure(left < all / 8, "memory is left although all was asked for");
    ensure(left > 0, "nothing is left for anybody");
    // Others go on: calls, bindings, new regions as far as there is room for notes.
    let bytes = &mut [0; 4096];
    expect(random().fill(bytes), Ok(4096));
    for number in 1..2000 {
        let place = ARENA + length + number * 2 * PAGE_BYTES;
        match map(place, PAGE_BYTES, READ_WRITE, MapFlags::EXACT) {
            Ok(_) => {}
            Err(error) => {
                expect(error, Error::Exhausted);
                break;
            }
        }
    }
    for _ in 0..100 {
        still_well_without_memory();
    }
    expect(unmap(ARENA, 2 * length), Ok(()));
    all - left
}

fn still_well_without_memory() {
    use kiln_interface::file::{FileTree, FileTreeStub, open};
    let tree = FileTreeStub::new(
        super::bound::<dyn FileTree>("image_root"),
        kiln_runtime::Far,
    );
    match tree.open(b"etc", open::READ, 0, startup().process, &mut [0; 64]) {
        Ok(opened) => expect(release(opened.file), Ok(())),
        Err(error) => expect(error, Error::Exhausted),
    }
}

/// Touches pages so far apart that each needs tables of its own.
fn tables() -> u64 {
    let protection = READ_WRITE.bits();
    let mut count = 0;
    for step in [1 << 39, 1 << 30, 1 << 21] {
        for number in 0..200 {
            let address = ARENA + number * step;
            let flags = (MapFlags::EXACT | MapFlags::POPULATE).bits();
            match address_space().map_anonymous(address, PAGE_BYTES, protection, flags) {
                Ok(_) => count += 1,
                Err(error) => ensure(
                    matches!(error, Error::BadArgument | Error::Occupied),
                    "a page cannot be mapped",
                ),
            }
        }
    }
    crate::memory::clean();
    count
}

/// Gives names to itself and to another without end.
fn names() -> u64 {
    let object = own(InitialObject::Random);
    let give = |to: u64| {
        let words = [to, u64::from(Rights::READ.bits()), 0, 0, 0, 0];
        let answer = call(object, universal::GRANT, words, (0, 0), (0, 0));
        match Error::from_code(answer.answer().status()) {
            None => Ok(ObjectName::from_raw(answer.results()[0])),
            Some(error) => Err(error),
        }
    };
    let mine = startup().process.raw();
    let mut given = alloc::vec::Vec::new();
    let error = loop {
        match give(mine) {
            Ok(name) => given.push(name),
            Err(error) => break error,
        }
    };
    expect(error, Error::Exhausted);
    let first = startup().objects.iter().filter(|name| !name.is_none());
    let share = SHARE - first.count();
    ensure(given.len() <= share, "a process pays for names without end");
    // In a small machine the kernel's room for notes ends first; else none are left for others.
    let other = give(server(0).process.raw());
    if given.len() == share {
        expect(other, Err(Error::Exhausted));
    }
    // Others have their own share: a file's pages still come by the server that shares them.
    let reference = Reference::<dyn kiln_interface::kernel::Random>::new(object);
    expect(
        grant(reference, startup().process, Rights::READ).err(),
        Some(Error::Exhausted),
    );
    for name in &given {
        let reference = Reference::<dyn kiln_interface::kernel::Random>::new(kernel(*name));
        expect(release(reference), Ok(()));
    }
    given.len() as u64
}
