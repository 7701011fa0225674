//! Files whose pages a process brings: what it must not bring, map or store.

use kiln_interface::kernel::{
    AddressSpace as _, FileCache, MapFlags, PagedFile, PagedFileStub, Protection,
    protection_and_flags,
};
use kiln_object::call::universal;
use kiln_object::layout::PAGE_BYTES;
use kiln_object::startup::InitialObject;
use kiln_object::{Error, Reference, Rights};
use kiln_runtime::{Far, address_space, release, startup, take_back};

use crate::memory::{ARENA, READ_WRITE, unmap};
use crate::report::{attack, ensure, expect, failed};
use crate::together::known;

const PAGE: u64 = PAGE_BYTES;
const PAGES: u64 = 4;

/// An object that this process does not have.
const NO_OBJECT: u64 = 0x7fff_0000_0123;

pub fn all() {
    lengths();
    pages_nobody_asked_for();
    its_own_pages();
    at_the_cost_of_another();
    without_a_pager();
    again_and_again();
}

fn create(length: u64, pager: u64) -> Reference<dyn PagedFile> {
    match address_space().create_file(length, pager, 7) {
        Ok(file) => file,
        Err(error) => failed(format_args!("no file: {error}")),
    }
}

fn share(file: Reference<dyn PagedFile>, rights: Rights) -> Reference<dyn FileCache> {
    match PagedFileStub::new(file, Far).share(startup().process, rights.bits()) {
        Ok(cache) => cache,
        Err(error) => failed(format_args!("it is not shared: {error}")),
    }
}

fn map(
    cache: Reference<dyn FileCache>,
    offset: u64,
    how: MapFlags,
    what: Protection,
) -> Result<u64, Error> {
    let how = protection_and_flags(what, how | MapFlags::EXACT);
    address_space().map_file(cache, offset, ARENA, PAGES * PAGE, how)
}

fn lengths() {
    attack("files of impossible lengths");
    for length in [u64::MAX, 1 << 63, (1 << 52) + 1] {
        let made = address_space().create_file(length, 0, 0).map(|_| ());
        expect(made, Err(Error::TooLarge));
    }
    let file = create(1 << 52, 0);
    let stub = PagedFileStub::new(file, Far);
    for length in [u64::MAX, 1 << 63, (1 << 52) + 1] {
        expect(stub.set_length(length), Err(Error::TooLarge));
    }
    for (length, last) in [(0, 0), (1 << 52, (1 << 52) - PAGE)] {
        expect(stub.set_length(length), Ok(()));
        if length != 0 {
            expect(stub.write(last, &[1; 4096]), Ok(4096));
        }
        expect(stub.write(length, &[1]), Ok(0));
        expect(stub.read(u64::MAX, &mut [0; 2]), Ok(0));
        expect(stub.write(u64::MAX - 1, &[0; 4096]), Ok(0));
    }
    expect(release(file), Ok(()));
}

fn pages_nobody_asked_for() {
    attack("pages that nobody asked for, of wrong sizes, at wrong places");
    let length = PAGES * PAGE - 100;
    let file = create(length, NO_OBJECT);
    let stub = PagedFileStub::new(file, Far);
    for offset in [
        1,
        PAGE - 1,
        PAGES * PAGE,
        1 << 52,
        u64::MAX,
        u64::MAX - 4095,
    ] {
        expect(stub.supply(offset, &[1]), Err(Error::BadArgument));
        expect(stub.fail(offset), Err(Error::BadArgument));
    }
    expect(stub.supply(0, &[]), Err(Error::BadArgument));
    expect(stub.fail(0), Err(Error::NotFound));
    expect(stub.read(0, &mut [0]), Err(Error::NotFound));
    expect(stub.write(0, &[0]), Err(Error::NotFound));
    expect(stub.supply(0, &[1; 10]), Ok(()));
    expect(stub.supply(0, &[2; 4096]), Err(Error::Exists));
    // What is behind the end is not kept.
    expect(stub.supply(3 * PAGE, &[3; 4096]), Ok(()));
    expect(stub.set_length(PAGES * PAGE), Ok(()));
    let mut bytes = [9; 200];
    expect(stub.read(length - 100, &mut bytes), Ok(200));
    let (kept, gone) = bytes.split_at(100);
    ensure(
        kept.iter().all(|byte| *byte == 3) && gone.iter().all(|byte| *byte == 0),
        "bytes behind the end of a file show",
    );
    expect(stub.read(0, &mut bytes), Ok(200));
    ensure(
        bytes.iter().skip(10).all(|byte| *byte == 0),
        "a page shows what it was before",
    );
    expect(release(file), Ok(()));
    let stale = stub.supply(PAGE, &[1]);
    expect(stale, Err(Error::BadReference));
}

fn its_own_pages() {
    attack("a process that waits for itself");
    let file = create(PAGES * PAGE, NO_OBJECT);
    let cache = share(file, Rights::ALL);
    let refused = map(cache, 0, MapFlags::SHARED, READ_WRITE);
    expect(refused, Err(Error::Denied));
    let user = PagedFileStub::new(Reference::<dyn PagedFile>::new(cache.raw()), Far);
    // The two are different objects.
    expect(user.set_length(0), Err(Error::BadMethod));
    expect(release(file), Ok(()));
    expect(release(cache), Ok(()));
}

fn at_the_cost_of_another() {
    attack("giving files to somebody who did not ask");
    let held = || known::ask_word(startup().object(InitialObject::Process), universal::HELD, 0);
    let stranger = super::server(0).process;
    let before = held();
    let file = create(PAGE, 0);
    let stub = PagedFileStub::new(file, Far);
    let given: alloc::vec::Vec<_> = (0..10)
        .filter_map(|_| stub.share(stranger, Rights::READ.bits()).ok())
        .collect();
    // The giver pays, and can have it back.
    expect(held(), before.map(|before| before + 11));
    for given in given {
        expect(take_back(file, stranger, given), Ok(()));
    }
    expect(stub.users(), Ok(0));
    expect(release(file), Ok(()));
    expect(held(), before);
}

fn without_a_pager() {
    attack("stores to what may only be read");
    let file = create(2 * PAGE, 0);
    let stub = PagedFileStub::new(file, Far);
    expect(stub.users(), Ok(0));
    let reader = share(file, Rights::READ | Rights::MAP);
    let other = share(file, Rights::READ | Rights::WRITE);
    expect(
        map(other, 0, MapFlags::SHARED, Protection::READ),
        Err(Error::Denied),
    );
    expect(
        map(reader, 0, MapFlags::SHARED, READ_WRITE),
        Err(Error::Denied),
    );
    expect(
        map(reader, 1, MapFlags::SHARED, Protection::READ),
        Err(Error::BadArgument),
    );
    expect(
        map(
            reader,
            u64::MAX - PAGE + 1,
            MapFlags::SHARED,
            Protection::READ,
        ),
        Err(Error::BadArgument),
    );
    expect(
        map(reader, 0, MapFlags::SHARED, Protection::READ),
        Ok(ARENA),
    );
    let space = address_space();
    for part in [(ARENA, PAGES * PAGE), (ARENA + PAGE, PAGE)] {
        expect(
            space.protect(part.0, part.1, READ_WRITE.bits()),
            Err(Error::Denied),
        );
    }
    expect(stub.users(), Ok(3));
    expect(stub.write(0, &[5]), Ok(1));
    // SAFETY: a page of the file is mapped there.
    let seen = unsafe { core::ptr::with_exposed_provenance::<u8>(ARENA as usize).read_volatile() };
    expect(seen, 5);
    expect(unmap(ARENA, PAGES * PAGE), Ok(()));
    expect(stub.users(), Ok(2));
    expect(release(reader), Ok(()));
    expect(release(other), Ok(()));
    expect(stub.users(), Ok(0));
    expect(release(file), Ok(()));
}

fn again_and_again() {
    attack("files that are made and given back");
    for key in 0..2000 {
        match address_space().create_file(PAGE, NO_OBJECT, key) {
            Ok(file) => expect(release(file), Ok(())),
            Err(error) => failed(format_args!("file {key} is not made: {error}")),
        }
    }
}
