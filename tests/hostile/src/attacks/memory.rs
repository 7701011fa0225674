//! Requests about memory that must be refused, or that must not touch what is not theirs.

use kiln_interface::file::{File as _, FileStub, FileTree, FileTreeStub, open};
use kiln_interface::kernel::{
    AddressSpace as _, FileCache, MapFlags, Process as _, Protection, protection_and_flags,
};
use kiln_object::layout::{
    CALL_SLOT_INPUT, CALL_SLOT_OUTPUT, KERNEL_INFORMATION_BASE, PAGE_BYTES, STARTUP_BASE, USER_END,
    USER_START, call_slot, dispatcher_page,
};
use kiln_object::startup::InitialObject;
use kiln_object::{Caller, Error, RawReference, Reference};
use kiln_runtime::{Far, address_space, process, release, startup, time};

use super::{bound, command, itself, own, server};
use crate::memory::{ARENA, READ_WRITE, map, region, text, unmap};
use crate::report::{attack, ensure, expect, failed};
use crate::server::Command;

const READ: Protection = Protection::READ;
const PAGE: u64 = PAGE_BYTES;

pub fn all() {
    write_and_execute();
    pinned();
    impossible_ranges();
    files();
    moves();
    copies();
    entries_and_waits();
}

fn write_and_execute() {
    attack("memory that can be written and executed");
    let both = READ_WRITE | Protection::EXECUTE;
    for flags in [
        MapFlags::empty(),
        MapFlags::EXACT,
        MapFlags::REPLACE,
        MapFlags::POPULATE,
    ] {
        expect(map(ARENA, PAGE, both, flags), Err(Error::Denied));
        let bits = Protection::WRITE | Protection::EXECUTE;
        expect(map(ARENA, PAGE, bits, flags), Err(Error::Denied));
    }
    expect(map(ARENA, PAGE, READ_WRITE, MapFlags::EXACT), Ok(ARENA));
    let space = address_space();
    expect(space.protect(ARENA, PAGE, both.bits()), Err(Error::Denied));
    expect(space.protect(text(), PAGE, both.bits()), Err(Error::Denied));
    for bits in [8, 16, 1 << 31, u32::MAX] {
        expect(space.protect(ARENA, PAGE, bits), Err(Error::BadArgument));
        expect(
            space.map_anonymous(ARENA, PAGE, bits, 0),
            Err(Error::BadArgument),
        );
        expect(
            space.map_anonymous(ARENA, PAGE, 1, bits << 1 | 16),
            Err(Error::BadArgument),
        );
    }
    expect(unmap(ARENA, PAGE), Ok(()));
}

fn pinned() {
    attack("the kernel's pages in this process");
    let slot = call_slot(0, 0);
    let itself = itself();
    expect(command(itself, Command::Show, [0; 6]), Ok([0; 4]));
    let space = address_space();
    for place in [
        dispatcher_page(0),
        STARTUP_BASE,
        KERNEL_INFORMATION_BASE,
        slot + CALL_SLOT_INPUT,
        slot + CALL_SLOT_OUTPUT,
    ] {
        let Some((_, end)) = region(place).filter(|(start, _)| *start == place) else {
            failed(format_args!("nothing is mapped at {place:#x}"));
        };
        let around = (place - PAGE, end + PAGE - place + PAGE);
        for (address, length) in [(place, PAGE), (place, 1), around] {
            expect(unmap(address, length), Err(Error::Denied));
            expect(space.discard(address, length), Err(Error::Denied));
            for bits in [0, 1, 3, 5] {
                expect(space.protect(address, length, bits), Err(Error::Denied));
            }
            expect(
                map(address, length, READ_WRITE, MapFlags::REPLACE),
                Err(Error::Denied),
            );
            expect(
                map(address, length, READ_WRITE, MapFlags::EXACT),
                Err(Error::Occupied),
            );
        }
        expect(space.relocate(place, PAGE, 0, PAGE), Err(Error::Denied));
        expect(map(ARENA, PAGE, READ_WRITE, MapFlags::EXACT), Ok(ARENA));
        expect(space.relocate(ARENA, PAGE, place, PAGE), Err(Error::Denied));
        expect(unmap(ARENA, PAGE), Ok(()));
        for bytes in [&[0x90][..], &[0x90; 16]] {
            expect(space.patch(place + 8, bytes), Err(Error::Denied));
        }
        let before = place - 4;
        expect(space.patch(before, &[0x90; 16]), Err(Error::Denied));
    }
    expect(command(itself, Command::Show, [0; 6]), Ok([0; 4]));
    expect(space.patch(ARENA, &[1]), Err(Error::BadBuffer));
    expect(space.patch(0, &[1]), Err(Error::BadBuffer));
    expect(space.patch(USER_END - 1, &[1, 2]), Err(Error::Denied));
    expect(space.patch(u64::MAX, &[1, 2]), Err(Error::BadArgument));
    expect(space.patch(0xffff_8000_0000_0000, &[1]), Err(Error::Denied));
    expect(space.patch(text(), &[0; 17]), Err(Error::TooLarge));
}

fn impossible_ranges() {
    attack("ranges that are none");
    let space = address_space();
    for (address, length) in [
        (0, PAGE),
        (USER_START - PAGE, PAGE),
        (USER_START - PAGE, 2 * PAGE),
        (ARENA + 1, PAGE),
        (ARENA, 0),
        (ARENA, u64::MAX),
        (ARENA, u64::MAX - PAGE + 1),
        (ARENA, 1 << 63),
        (ARENA, USER_END),
        (USER_END, PAGE),
        (USER_END - PAGE, PAGE + 1),
        (1 << 47, PAGE),
        (0xffff_8000_0000_0000, PAGE),
        (u64::MAX - PAGE + 1, PAGE),
        (u64::MAX - PAGE + 1, u64::MAX),
        (u64::MAX, u64::MAX),
    ] {
        let wrong = Err(Error::BadArgument);
        expect(unmap(address, length), wrong);
        expect(space.discard(address, length), wrong);
        expect(space.protect(address, length, 1), wrong);
        expect(
            map(address, length, READ, MapFlags::EXACT).map(|_| ()),
            wrong,
        );
        expect(
            map(address, length, READ, MapFlags::REPLACE).map(|_| ()),
            wrong,
        );
        expect(space.relocate(address, length, 0, PAGE).map(|_| ()), wrong);
    }
    for length in [1 << 47, 1 << 48, 1 << 60, u64::MAX - PAGE + 1] {
        expect(
            map(0, length, READ, MapFlags::empty()).err(),
            Some(Error::Exhausted),
        );
    }
    expect(
        map(0, u64::MAX, READ, MapFlags::empty()).err(),
        Some(Error::BadArgument),
    );
    expect(
        map(0, 0, READ, MapFlags::empty()).err(),
        Some(Error::BadArgument),
    );
    expect(space.region(u64::MAX).err(), Some(Error::NotFound));
    expect(space.region(USER_END).err(), Some(Error::NotFound));
}

/// The pages of a file of the image's root.
fn pages() -> (Reference<dyn FileCache>, u64) {
    let tree = FileTreeStub::new(bound::<dyn FileTree>("image_root"), Far);
    let opened = tree.open(
        b"etc/passwd",
        open::READ,
        0,
        startup().process,
        &mut [0; 64],
    );
    let shared = opened.and_then(|opened| {
        let shared = FileStub::new(opened.file, Far).pages(Caller(startup().process));
        release(opened.file)?;
        shared
    });
    match shared {
        Ok(shared) => shared,
        Err(error) => failed(format_args!("a file's pages cannot be had: {error}")),
    }
}

fn files() {
    attack("mappings of files");
    let space = address_space();
    let (cache, length) = pages();
    let how = |protection, flags| protection_and_flags(protection, flags);
    let fixed = how(READ, MapFlags::EXACT);
    for (offset, length) in [
        (u64::MAX - PAGE + 1, PAGE),
        (u64::MAX - PAGE + 1, 4 * PAGE),
        (1 << 63, 1 << 63),
        (1, PAGE),
    ] {
        expect(
            space.map_file(cache, offset, ARENA, length, fixed).err(),
            Some(Error::BadArgument),
        );
    }
    expect(
        space
            .map_file(cache, 0, ARENA, PAGE, how(READ_WRITE, MapFlags::SHARED))
            .err(),
        Some(Error::ReadOnly),
    );
    let both = READ | Protection::WRITE | Protection::EXECUTE;
    expect(
        space
            .map_file(cache, 0, ARENA, PAGE, how(both, MapFlags::EXACT))
            .err(),
        Some(Error::Denied),
    );
    for forged in [
        own(InitialObject::Random),
        own(InitialObject::AddressSpace),
        bound::<dyn FileTree>("image_root").raw(),
        RawReference::NONE,
    ] {
        let answer = space.map_file(Reference::new(forged), 0, ARENA, PAGE, fixed);
        ensure(
            matches!(answer, Err(Error::WrongInterface | Error::BadReference)),
            "what is no file's pages is mapped",
        );
    }
    // A page behind the end is not there, neither for us nor for the kernel's copies.
    let whole = length.next_multiple_of(PAGE);
    expect(
        space.map_file(cache, 0, ARENA, whole + PAGE, fixed),
        Ok(ARENA),
    );
    let beyond = super::call(server(0), 1, [0; 6], (ARENA + whole, 8), (0, 0));
    expect(beyond.answer().status(), Error::BadBuffer.code());
    // What is written to a private mapping stays private: the file shows what it did.
    // SAFETY: the page was just mapped.
    let first = unsafe { (ARENA as *const u64).read() };
    expect(space.protect(ARENA, PAGE, READ_WRITE.bits()), Ok(()));
    // SAFETY: the page was just mapped to be written.
    unsafe { (ARENA as *mut u64).write(!first) };
    expect(space.patch(ARENA + 16, &[1; 16]), Ok(()));
    let second = ARENA + (1 << 30);
    expect(space.map_file(cache, 0, second, PAGE, fixed), Ok(second));
    // SAFETY: both pages are mapped.
    unsafe {
        expect((second as *const u64).read(), first);
        expect((ARENA as *const u64).read(), !first);
        ensure(
            (second as *const [u8; 16]).add(1).read() != [1; 16],
            "a patch reached the file",
        );
    }
    // Dropped copies show the file again.
    expect(space.discard(ARENA, PAGE), Ok(()));
    // SAFETY: it is still mapped.
    expect(unsafe { (ARENA as *const u64).read() }, first);
    expect(unmap(ARENA, whole + PAGE), Ok(()));
    expect(unmap(second, PAGE), Ok(()));
    expect(release(cache), Ok(()));
    expect(
        space.map_file(cache, 0, ARENA, PAGE, fixed).err(),
        Some(Error::BadReference),
    );
}

fn moves() {
    attack("moving mappings");
    let space = address_space();
    let huge = 32 << 40;
    expect(map(ARENA, huge, READ_WRITE, MapFlags::EXACT), Ok(ARENA));
    let marks = [0, PAGE, 5 << 30, huge - PAGE];
    for offset in marks {
        // SAFETY: it was just mapped.
        unsafe { ((ARENA + offset) as *mut u64).write(offset | 1) };
    }
    // A range of terabytes moves in no time, since only pages that are there are looked for.
    let before = time::monotonic_ns();
    let target = ARENA + (34 << 40);
    expect(space.relocate(ARENA, huge, target, huge), Ok(target));
    let passed = time::monotonic_ns() - before;
    ensure(passed < 500_000_000, "moving terabytes takes too long");
    for offset in marks {
        // SAFETY: it was moved there.
        expect(
            unsafe { ((target + offset) as *const u64).read() },
            offset | 1,
        );
    }
    expect(region(ARENA).map(|(start, _)| start >= target), Some(true));
    for (new_address, new_length) in [
        (target, huge),
        (target + PAGE, huge),
        (target - PAGE, 2 * PAGE),
        (USER_END, PAGE),
        (ARENA, u64::MAX),
        (ARENA, 0),
        (ARENA + 1, PAGE),
        (0, 0),
    ] {
        expect(
            space.relocate(target, huge, new_address, new_length).err(),
            Some(Error::BadArgument),
        );
    }
    expect(
        space.relocate(target, huge + PAGE, ARENA, PAGE).err(),
        Some(Error::NotFound),
    );
    expect(
        space.relocate(ARENA, PAGE, target, PAGE).err(),
        Some(Error::NotFound),
    );
    // To shrink while moving gives the rest back.
    expect(space.relocate(target, huge, ARENA, PAGE), Ok(ARENA));
    // SAFETY: the first page was moved there.
    expect(unsafe { (ARENA as *const u64).read() }, 1);
    expect(unmap(ARENA, PAGE), Ok(()));
    expect(
        region(ARENA).map(|(start, _)| start > target + huge),
        Some(true),
    );
}

/// A page that was shown under one protection is not reachable under a stale one.
fn copies() {
    attack("stale translations");
    let space = address_space();
    let probe = |write: bool| {
        crate::caught::attempt(if write { store } else { load }, ARENA).map_err(|trap| trap.vector)
    };
    for pages in [1, 3, 64] {
        let length = pages * PAGE;
        expect(map(ARENA, length, READ_WRITE, MapFlags::EXACT), Ok(ARENA));
        expect(probe(true), Ok(0));
        expect(space.protect(ARENA, length, READ.bits()), Ok(()));
        expect(probe(true), Err(14));
        expect(probe(false), Ok(ARENA));
        expect(space.protect(ARENA, length, 0), Ok(()));
        expect(probe(false), Err(14));
        expect(space.protect(ARENA, length, READ_WRITE.bits()), Ok(()));
        expect(probe(false), Ok(ARENA));
        expect(probe(true), Ok(0));
        expect(space.discard(ARENA, length), Ok(()));
        expect(probe(false), Ok(0));
        expect(probe(true), Ok(0));
        let away = ARENA + (1 << 32);
        expect(space.relocate(ARENA, length, away, length), Ok(away));
        expect(probe(false), Err(14));
        expect(space.relocate(away, length, ARENA, length), Ok(ARENA));
        expect(probe(false), Ok(ARENA));
        expect(unmap(ARENA, length), Ok(()));
        expect(probe(false), Err(14));
        // Mapped over, the old page is gone.
        expect(map(ARENA, length, READ_WRITE, MapFlags::EXACT), Ok(ARENA));
        expect(probe(true), Ok(0));
        expect(map(ARENA, length, READ, MapFlags::REPLACE), Ok(ARENA));
        expect(probe(false), Ok(0));
        expect(probe(true), Err(14));
        expect(unmap(ARENA, length), Ok(()));
    }
}

extern "sysv64" fn store(address: u64) -> u64 {
    // SAFETY: where it is not mapped the attempt ends with an exception.
    unsafe { (address as *mut u64).write_volatile(address) };
    0
}

extern "sysv64" fn load(address: u64) -> u64 {
    // SAFETY: as in `store`.
    unsafe { (address as *const u64).read_volatile() }
}

fn entries_and_waits() {
    attack("entries outside user space");
    for address in [
        USER_END,
        1 << 47,
        0x8000_0000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX,
    ] {
        for entries in [(address, 0, 0), (0, address, 0), (0, 0, address)] {
            expect(
                process().set_entries(entries.0, entries.1, entries.2),
                Err(Error::BadArgument),
            );
        }
        expect(
            process().set_thread_pointer(address),
            Err(Error::BadArgument),
        );
    }
    expect(process().set_thread_pointer(0), Ok(()));
    attack("waits that are over");
    let before = time::monotonic_ns();
    for deadline in [0, 1, before - 1, before, before + 1000] {
        expect(process().wait(deadline).is_ok(), true);
    }
    ensure(
        time::monotonic_ns() - before < 1_000_000_000,
        "a wait that is over takes long",
    );
    // In a served call as well.
    for wait in [0, 1000, 1_000_000] {
        expect(
            command(server(0), Command::Wait, [wait, 0, 0, 0, 0, 0]),
            Ok([0; 4]),
        );
    }
}
