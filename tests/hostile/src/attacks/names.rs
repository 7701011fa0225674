//! References that are forged, stale, of others, or asked to carry more rights than they have.

use kiln_interface::file::{FileTree, FileTreeStub, open};
use kiln_interface::kernel::{FileCache, FileCacheStub, Random as _, RandomStub};
use kiln_interface::name_space::{NameSpace, NameSpaceStub};
use kiln_object::call::{Operation, universal};
use kiln_object::startup::InitialObject;
use kiln_object::{Error, ObjectName, ProcessId, RawReference, Reference, Rights};
use kiln_runtime::{Far, bind, grant, release, startup};

use super::{bound, call, command, kernel, own, server, status};
use crate::random::Random;
use crate::registers::Registers;
use crate::report::{attack, ensure, expect};
use crate::server::Command;

/// A method that no interface has, not a universal one.
const NO_METHOD: u16 = 0x7000;

pub fn all() {
    forged_in_the_kernel();
    forged_in_servers();
    stale();
    amplified();
    delegated();
    bound_to_strangers();
    operations();
}

fn forged_in_the_kernel() {
    attack("forged names of kernel objects");
    let given = |name| startup().objects.contains(&kernel(name));
    for slot in 0..70 {
        for generation in 0..4 {
            let name = ObjectName::new(slot, generation);
            let wanted = if given(name) {
                Error::BadMethod
            } else {
                Error::BadReference
            };
            expect(status(kernel(name), NO_METHOD, [0; 6]), Some(wanted));
        }
    }
    let mut random = Random::new(7);
    for _ in 0..20_000 {
        let name = ObjectName::from_raw(random.word());
        expect(
            status(kernel(name), 1, [random.word(); 6]),
            Some(Error::BadReference),
        );
        let method = universal::BIND + random.below(4) as u16;
        let answer = status(kernel(name), method, [0; 6]);
        ensure(
            matches!(answer, Some(Error::BadReference | Error::BadMethod)),
            "a forged name does something",
        );
    }
}

fn servers() -> impl Iterator<Item = ProcessId> {
    ["name_space", "image_root", "memory_fs"]
        .into_iter()
        .filter_map(|name| startup().server(name))
        .map(|bootstrap| bootstrap.process)
}

const fn bootstrap_of(process: ProcessId) -> RawReference {
    RawReference {
        process,
        object: ObjectName::BOOTSTRAP,
    }
}

fn forged_in_servers() {
    attack("forged names of servers' objects");
    let mine = [
        bound::<dyn NameSpace>("name_space").raw(),
        bound::<dyn FileTree>("image_root").raw(),
    ];
    for process in servers() {
        let mut found = 0;
        for slot in (0..600).chain([u32::MAX, 65_535, 65_536]) {
            for generation in 0..3 {
                let object = ObjectName::new(slot, generation);
                let reference = RawReference { process, object };
                match status(reference, NO_METHOD, [0; 6]) {
                    Some(Error::BadReference) => {}
                    // The root of the server itself, which was bound or will be.
                    Some(Error::BadMethod) => found += 1,
                    other => expect(other, None),
                }
            }
        }
        // The bootstrap object, and what was bound.
        let held = mine.iter().filter(|held| held.process == process).count();
        ensure(found <= held + 2, "another's object answers");
        ensure(found >= held, "an own object does not answer");
        let bootstrap = bootstrap_of(process);
        for method in [0, 1, universal::GRANT, universal::RELEASE, u16::MAX] {
            expect(status(bootstrap, method, [0; 6]), Some(Error::BadMethod));
        }
        let hash = [0x1234_5678, 0, 0, 0, 0, 0];
        expect(
            status(bootstrap, universal::BIND, hash),
            Some(Error::WrongInterface),
        );
    }
    // A server that was given nothing finds nothing under the program's names.
    let other = server(0);
    for reference in mine {
        let words = [reference.process.raw(), reference.object.raw(), 1, 0, 0, 0];
        expect(
            command(other, Command::Call, words).map(|answer| answer[0]),
            Ok(u64::from(Error::BadReference.code())),
        );
    }
    for object in [InitialObject::Machine, InitialObject::Console] {
        let object = own(object).object.raw();
        let words = [ProcessId::KERNEL.raw(), object, 1, 0, 0, 0];
        expect(
            command(other, Command::Call, words).map(|answer| answer[0]),
            Ok(u64::from(Error::BadReference.code())),
        );
    }
}

fn stale() {
    attack("names of what was given back");
    let first = own(InitialObject::Random);
    let mut names = alloc::vec::Vec::new();
    for _ in 0..300 {
        let given = grant::<dyn kiln_interface::kernel::Random>(
            Reference::new(first),
            startup().process,
            Rights::ALL,
        );
        let Ok(reference) = given else {
            return expect(given.err(), None);
        };
        names.push(reference);
        expect(RandomStub::new(reference, Far).fill(&mut [0; 8]), Ok(8));
        expect(release(reference), Ok(()));
    }
    for reference in &names {
        expect(
            RandomStub::new(*reference, Far).fill(&mut [0; 8]),
            Err(Error::BadReference),
        );
        expect(release(*reference), Err(Error::BadReference));
    }
    let tree = bound::<dyn FileTree>("image_root");
    let root =
        FileTreeStub::new(tree, Far).open(b"", open::READ, 0, startup().process, &mut [0; 64]);
    let file = match root {
        Ok(opened) => opened.file.raw(),
        Err(error) => return expect(Some(error), None),
    };
    expect(status(file, 1, [0; 6]).is_some(), true);
    expect(release(Reference::<dyn FileTree>::new(file)), Ok(()));
    for method in [1, 3, universal::RELEASE, universal::GRANT] {
        expect(status(file, method, [0; 6]), Some(Error::BadReference));
    }
}

fn amplified() {
    attack("more rights than there were");
    let me = startup().process;
    let give = |from: RawReference, rights: u64| {
        let answer = call(
            from,
            universal::GRANT,
            [me.raw(), rights, 0, 0, 0, 0],
            (0, 0),
            (0, 0),
        );
        match Error::from_code(answer.answer().status()) {
            None => Ok(RawReference {
                process: from.process,
                object: ObjectName::from_raw(answer.results()[0]),
            }),
            Some(error) => Err(error),
        }
    };
    let bits = |rights: Rights| u64::from(rights.bits());
    for (object, needs_more) in [
        (own(InitialObject::Process), 4),
        (own(InitialObject::AddressSpace), 3),
        (bound::<dyn FileTree>("image_root").raw(), 4),
    ] {
        let weak = give(object, bits(Rights::READ | Rights::GRANT));
        let Ok(weak) = weak else {
            return expect(weak.err(), None);
        };
        expect(status(weak, needs_more, [0; 6]), Some(Error::Denied));
        let again = give(weak, u64::from(u32::MAX));
        let Ok(again) = again else {
            return expect(again.err(), None);
        };
        expect(status(again, needs_more, [0; 6]), Some(Error::Denied));
        let without = give(again, bits(Rights::READ));
        let Ok(without) = without else {
            return expect(without.err(), None);
        };
        expect(give(without, bits(Rights::READ)), Err(Error::Denied));
        expect(give(weak, u64::MAX), Err(Error::BadArgument));
        for reference in [weak, again, without] {
            expect(release(Reference::<dyn FileTree>::new(reference)), Ok(()));
        }
    }
    // To nobody, and to the kernel.
    let object = own(InitialObject::Random);
    for receiver in [0, ProcessId::KERNEL.raw(), u64::MAX, me.raw() + (1 << 32)] {
        let words = [receiver, u64::from(u32::MAX), 0, 0, 0, 0];
        expect(
            status(object, universal::GRANT, words),
            Some(Error::ServerDied),
        );
    }
    // What the manifest does not give: to change the mount table.
    let names = NameSpaceStub::new(bound::<dyn NameSpace>("name_space"), Far);
    expect(names.mount(b"/x", bootstrap_of(me), 0), Err(Error::Denied));
    expect(names.unmount(b"/"), Err(Error::Denied));
}

fn delegated() {
    attack("in the name of another");
    let tree = FileTreeStub::new(bound::<dyn FileTree>("image_root"), Far);
    let stranger = server(0).process;
    let mut elsewhere = [0; 64];
    expect(
        tree.open(b"", open::READ, 0, stranger, &mut elsewhere)
            .err(),
        Some(Error::Denied),
    );
    for name in ["image_root", "memory_fs"] {
        if startup().server(name).is_some() {
            let tree = FileTreeStub::new(bound::<dyn FileTree>(name), Far);
            expect(
                tree.open_writable(b"etc/x", open::CREATE, 0o600, stranger, &mut elsewhere)
                    .err(),
                Some(Error::Denied),
            );
        }
    }
    // Pages that were shared for mapping are not to be shared on.
    let passwd = tree.open(
        b"etc/passwd",
        open::READ,
        0,
        startup().process,
        &mut elsewhere,
    );
    if let Ok(opened) = passwd {
        use kiln_interface::file::{File as _, FileStub};
        let file = FileStub::new(opened.file, Far);
        if let Ok((pages, _)) = file.pages(kiln_object::Caller(startup().process)) {
            let pages = FileCacheStub::new(pages, Far);
            expect(
                pages.share_range(0, 1, startup().process).err(),
                Some(Error::Denied),
            );
            expect(
                kiln_runtime::grant::<dyn FileCache>(pages.reference(), stranger, Rights::ALL)
                    .err(),
                Some(Error::Denied),
            );
            expect(release(pages.reference()), Ok(()));
        }
        expect(release(opened.file), Ok(()));
    }
}

fn bound_to_strangers() {
    attack("binding without a grant");
    let stranger = server(0);
    let hash = <dyn FileTree as kiln_object::Interface>::HASH;
    for process in servers() {
        let words = [
            process.raw(),
            ObjectName::BOOTSTRAP.raw(),
            u64::from(universal::BIND),
            hash,
            0,
            0,
        ];
        expect(
            command(stranger, Command::Call, words).map(|answer| answer[0]),
            Ok(u64::from(Error::Denied.code())),
        );
    }
    for process in [
        ProcessId::NONE,
        ProcessId::new(1, 0),
        ProcessId::new(1, 2),
        ProcessId::new(1023, 1),
        ProcessId::new(1024, 1),
        ProcessId::from_raw(u64::MAX),
    ] {
        // The runtime would go on to who lives in that place now.
        let words = [hash, 0, 0, 0, 0, 0];
        expect(
            status(bootstrap_of(process), universal::BIND, words),
            Some(Error::ServerDied),
        );
    }
    expect(
        bind::<dyn FileTree>(bootstrap_of(ProcessId::KERNEL)).err(),
        Some(Error::BadMethod),
    );
}

fn operations() {
    attack("operations that there are not");
    for tag in 0xcb00..=0xcbffu16 {
        if (Operation::Call as u16..=Operation::Collect as u16).contains(&tag) {
            continue;
        }
        let mut registers = Registers::marked(super::MARK);
        registers.rax = u64::from(tag) << 48;
        let before = registers;
        registers.cross();
        // Collecting an answer is one, but nobody waits for it here.
        let wanted = match tag == Operation::Collect as u16 {
            true => Error::BadReference,
            false => Error::BadMethod,
        };
        expect(registers.answer().status(), wanted.code());
        expect(registers.unexpected(&before), None);
    }
    let mut registers = Registers::marked(super::MARK);
    registers.rax = crate::server::RETURN;
    registers.cross();
    expect(registers.answer().status(), Error::BadMethod.code());
    expect(registers.results(), [0; 4]);
}
