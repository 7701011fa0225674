//! Those who try to get at objects that are not theirs, or to do more with them than they may.

use kiln_object::call::universal;
use kiln_object::{Error, Interface, ObjectName, RawReference, Reference, Rights};
use kiln_runtime::{Far, bind_server, grant, release, take_back};

use super::report::{expect, good};
use super::{error, me, process_of, server};
use crate::interface::{Faulty, FaultyStub, Item, ItemStub};

/// What `stranger` is answered when it calls `method` of `target`.
fn attempt(stranger: &str, target: RawReference, method: u16, words: [u64; 2]) -> u64 {
    let target = Reference::<dyn Item>::new(target);
    let answer = server(stranger).try_call(target, u32::from(method), words[0], words[1]);
    good(answer).0
}

fn code(error: Error) -> u64 {
    u64::from(error.code())
}

/// A reference is its owner's alone, however a stranger came by it.
pub fn names() {
    let item = ItemStub::new(good(server("faulty_server").make(me())), Far);
    let name = item.reference().raw();
    expect(item.number().is_ok(), true);
    for stranger in ["faulty_stranger", "faulty_second"] {
        for method in [1, 2, 3, universal::GRANT, universal::RELEASE] {
            let answer = attempt(stranger, name, method, [0, u64::from(u32::MAX)]);
            expect(answer, code(Error::BadReference));
        }
    }
    // Every neighbouring slot and generation.
    for slot in 0..64 {
        for generation in 1..4 {
            let object = ObjectName::new(slot, generation);
            let guess = RawReference { object, ..name };
            let answer = attempt("faulty_stranger", guess, 1, [0, 0]);
            let expected = if object == ObjectName::BOOTSTRAP {
                // It is everybody's, and knows one method.
                Error::BadMethod
            } else {
                Error::BadReference
            };
            expect(answer, code(expected));
        }
    }
    expect(item.number().is_ok(), true);
    expect(release(item.reference()), Ok(()));
}

/// What was given back, or taken away, stays so when the slot is somebody else's.
pub fn used_again() {
    let faulty = server("faulty_server");
    let old = ItemStub::new(good(faulty.make(me())), Far);
    expect(release(old.reference()), Ok(()));
    expect(release(old.reference()), Err(Error::BadReference));
    let new = ItemStub::new(good(faulty.make(me())), Far);
    let (before, after) = (old.reference().raw(), new.reference().raw());
    expect(after.object.slot(), before.object.slot());
    expect(after.object.generation(), before.object.generation() + 1);
    expect(old.number(), Err(Error::BadReference));
    expect(new.number().is_ok(), true);
    expect(faulty.revoke_all(me().0), Ok(()));
    expect(new.number(), Err(Error::BadReference));
    // The one that was bound, too; binding again gives another.
    expect(error(faulty.count()), Error::BadReference);
    expect(server("faulty_server").count().is_ok(), true);
    expect(server("faulty_server").items(), Ok(0));
}

/// Who gives a reference on cannot give more than he has.
pub fn rights() {
    let item = good(server("faulty_server").make(me()));
    let stranger = process_of("faulty_stranger");
    let all = [0, u64::from(u32::MAX)];
    let read = good(grant(item, stranger, Rights::READ)).raw();
    expect(attempt("faulty_stranger", read, 1, [0, 0]), 0);
    expect(
        attempt("faulty_stranger", read, 2, [5, 0]),
        code(Error::Denied),
    );
    let on = [process_of("faulty_second").raw(), all[1]];
    let answer = attempt("faulty_stranger", read, universal::GRANT, on);
    expect(answer, code(Error::Denied));
    // With the right to give on, and no other: nothing is added on the way.
    let bare = good(grant(item, stranger, Rights::GRANT)).raw();
    let answer = good(server("faulty_stranger").try_call(
        Reference::new(bare),
        u32::from(universal::GRANT),
        process_of("faulty_second").raw(),
        all[1],
    ));
    expect(answer.0, 0);
    let third = RawReference {
        object: ObjectName::from_raw(answer.1),
        ..bare
    };
    expect(
        attempt("faulty_second", third, 1, [0, 0]),
        code(Error::Denied),
    );
    expect(
        attempt("faulty_second", third, 2, [0, 0]),
        code(Error::Denied),
    );
    // What the manifest does not grant cannot be granted to oneself.
    let bound = good(bind_server::<dyn Faulty>("faulty_server"));
    expect(FaultyStub::new(bound, Far).secret(), Err(Error::Denied));
    let more = good(grant(bound, me().0, Rights::ALL));
    expect(FaultyStub::new(more, Far).secret(), Err(Error::Denied));
    expect(FaultyStub::new(more, Far).count().is_ok(), true);
    expect(server("faulty_server").revoke_all(me().0), Ok(()));
    let _ = server("faulty_server").revoke_all(stranger);
    let _ = server("faulty_server").revoke_all(process_of("faulty_second"));
    expect(server("faulty_server").items(), Ok(0));
}

/// A reference that goes from one process to another, and on to a third with fewer rights.
pub fn given_on() {
    let (second, third) = ("faulty_second", "faulty_stranger");
    let item = good(server("faulty_server").make(me()));
    let given = good(grant(
        item,
        process_of(second),
        Rights::READ | Rights::WRITE | Rights::GRANT,
    ));
    expect(attempt(second, given.raw(), 2, [77, 0]), 0);
    let words = [
        process_of(third).raw(),
        u64::from((Rights::READ | Rights::CONTROL).bits()),
    ];
    let grant_method = u32::from(universal::GRANT);
    let (status, name) = good(server(second).try_call(given, grant_method, words[0], words[1]));
    expect(status, 0);
    let on = RawReference {
        object: ObjectName::from_raw(name),
        ..given.raw()
    };
    // It may read what the second has written, and nothing else.
    let read = server(third).try_call(Reference::new(on), 1, 0, 0);
    expect(read, Ok((0, 77)));
    expect(attempt(third, on, 2, [5, 0]), code(Error::Denied));
    expect(attempt(third, on, 3, [5, 0]), code(Error::Denied));
    // Neither of the others can use it, nor can this process take back what it did not give.
    expect(attempt(second, on, 1, [0, 0]), code(Error::BadReference));
    expect(
        ItemStub::new(Reference::new(on), Far).number(),
        Err(Error::BadReference),
    );
    // Who gave it takes it back; the second keeps its own until that is taken back.
    let back = [process_of(third).raw(), on.object.raw()];
    let answer = attempt(second, given.raw(), universal::TAKE_BACK, back);
    expect(answer, 0);
    expect(attempt(third, on, 1, [0, 0]), code(Error::BadReference));
    expect(attempt(second, given.raw(), 1, [0, 0]), 0);
    expect(take_back(item, process_of(second), given), Ok(()));
    let answer = attempt(second, given.raw(), 1, [0, 0]);
    expect(answer, code(Error::BadReference));
    expect(ItemStub::new(item, Far).number(), Ok(77));
    expect(release(item), Ok(()));
    expect(server("faulty_server").items(), Ok(0));
}

/// A process that the manifest gives no grant cannot bind, and cannot use what makes objects.
pub fn without_a_grant() {
    let bootstrap = RawReference {
        process: process_of("faulty_server"),
        object: ObjectName::BOOTSTRAP,
    };
    let hash = <dyn Faulty as Interface>::HASH;
    let answer = attempt("faulty_stranger", bootstrap, universal::BIND, [hash, 0]);
    expect(answer, code(Error::Denied));
    // Who may is told if it asks for something else.
    let other = attempt("faulty_second", bootstrap, universal::BIND, [hash ^ 1, 0]);
    expect(other, code(Error::WrongInterface));
    let factory = good(bind_server::<dyn Faulty>("faulty_server"));
    for method in 1..12 {
        let answer = attempt("faulty_stranger", factory.raw(), method, [1, 1]);
        expect(answer, code(Error::BadReference));
    }
    // The second may read and write, but make nothing for others.
    let stranger = process_of("faulty_stranger").raw();
    let bound = good(server("faulty_second").try_call(
        Reference::new(bootstrap),
        u32::from(universal::BIND),
        hash,
        0,
    ));
    expect(bound.0, 0);
    let seconds = RawReference {
        object: ObjectName::from_raw(bound.1),
        ..bootstrap
    };
    for method in [6, 7] {
        let answer = attempt("faulty_second", seconds, method, [stranger, 1]);
        expect(answer, code(Error::Denied));
    }
    expect(server("faulty_server").items(), Ok(0));
}
