//! Names, owners, rights and shares; and that an object outlives the calls inside it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU64};

use kiln_object::Failure;
use kiln_object::call::CALL_WORDS;
use kiln_object::startup::{ClientEntry, Peer};

use super::*;

const SERVER: ProcessId = ProcessId::new(2, 1);
const ALICE: ProcessId = ProcessId::new(3, 1);
const BOB: ProcessId = ProcessId::new(4, 1);
const HASH: u64 = 0x1234;

/// Answers its number and the rights it was called with; tells when it goes.
struct Numbered {
    number: u64,
    gone: Arc<AtomicU64>,
    alive: AtomicBool,
}

fn numbered(number: u64) -> (Arc<dyn Dispatch>, Arc<AtomicU64>) {
    let gone = Arc::new(AtomicU64::new(0));
    let object = Arc::new(Numbered {
        number,
        gone: gone.clone(),
        alive: AtomicBool::new(true),
    });
    (object, gone)
}

impl Dispatch for Numbered {
    fn interface_hash(&self) -> u64 {
        HASH
    }

    fn dispatch(&self, call: &mut Incoming<'_>) -> Answer {
        assert!(self.alive.load(Relaxed), "a call in an object that is gone");
        call.words = [self.number, u64::from(call.rights.bits()), 0, 0, 0, 0];
        Answer::done(0)
    }

    fn deliver(&self, call: &mut Incoming<'_>) -> Answer {
        self.dispatch(call)
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, SeqCst));
        self.gone.fetch_add(1, SeqCst);
    }
}

fn startup_of_server() -> &'static Startup {
    static STARTUP: std::sync::OnceLock<Startup> = std::sync::OnceLock::new();
    STARTUP.get_or_init(startup_with_alice)
}

fn startup_with_alice() -> Startup {
    let mut startup = Startup::new();
    startup.process = SERVER;
    startup.clients[0] = ClientEntry {
        process: Peer::new(ALICE),
        rights: u64::from((Rights::READ | Rights::GRANT).bits()),
        server: 0,
    };
    startup
}

fn call(
    objects: &Objects,
    name: ObjectName,
    caller: ProcessId,
    method: u16,
    arguments: [u64; 2],
) -> Result<[u64; 4], Error> {
    let mut words = [0; CALL_WORDS];
    words[..2].copy_from_slice(&arguments);
    ask_by(objects, startup_of_server, name, caller, method, words)
}

fn ask_by(
    objects: &Objects,
    startup: fn() -> &'static Startup,
    name: ObjectName,
    caller: ProcessId,
    method: u16,
    words: [u64; CALL_WORDS],
) -> Result<[u64; 4], Error> {
    let mut call = Incoming {
        words,
        caller: Caller(caller),
        method,
        processor: Processor::default(),
        rights: Rights::empty(),
        bytes: None,
    };
    let answer = objects.dispatch(startup, &mut call, name, Counted);
    let outcome = answer.outcome(&call).map(|reply| reply.words);
    outcome.map_err(|failure| {
        assert_eq!(failure, Failure::from(failure.error));
        failure.error
    })
}

fn bind(objects: &Objects, caller: ProcessId, hash: u64) -> Result<ObjectName, Error> {
    call(
        objects,
        ObjectName::BOOTSTRAP,
        caller,
        universal::BIND,
        [hash, 0],
    )
    .map(|words| ObjectName::from_raw(words[0]))
}

fn grant(
    objects: &Objects,
    name: ObjectName,
    caller: ProcessId,
    to: ProcessId,
    rights: Rights,
) -> Result<ObjectName, Error> {
    let arguments = [to.raw(), u64::from(rights.bits())];
    call(objects, name, caller, universal::GRANT, arguments)
        .map(|words| ObjectName::from_raw(words[0]))
}

/// Sends it, and answers what nobody is told.
fn send(
    objects: &Objects,
    name: ObjectName,
    sender: ProcessId,
    method: u16,
    arguments: [u64; 2],
) -> Result<(), Error> {
    let mut words = [0; CALL_WORDS];
    words[..2].copy_from_slice(&arguments);
    let mut message = Incoming {
        words,
        caller: Caller(sender),
        method,
        processor: Processor::default(),
        rights: Rights::empty(),
        bytes: None,
    };
    let answer = objects.deliver(&mut message, name);
    let outcome = answer.outcome(&message).map(drop);
    outcome.map_err(|failure| failure.error)
}

fn with_root() -> (Objects, Arc<AtomicU64>) {
    let objects = Objects::new(|_| true, || {});
    let (root, gone) = numbered(1);
    objects.serve(0, root);
    (objects, gone)
}

#[test]
fn a_client_binds_once_and_has_the_rights_of_its_entry() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    assert_eq!(bind(&objects, ALICE, HASH), Ok(name));
    let rights = Rights::READ | Rights::GRANT;
    assert_eq!(
        call(&objects, name, ALICE, 1, [0; 2]),
        Ok([1, u64::from(rights.bits()), 0, 0])
    );
    call(&objects, name, ALICE, universal::RELEASE, [0; 2]).expect("it is hers");
    assert_eq!(
        call(&objects, name, ALICE, 1, [0; 2]),
        Err(Error::BadReference)
    );
    let again = bind(&objects, ALICE, HASH).expect("she may bind again");
    assert_ne!(again, name);
    assert!(call(&objects, again, ALICE, 1, [0; 2]).is_ok());
}

#[test]
fn a_message_makes_no_reference() {
    let (objects, _) = with_root();
    let bootstrap = ObjectName::BOOTSTRAP;
    let bound = send(&objects, bootstrap, ALICE, universal::BIND, [HASH, 0]);
    assert_eq!(bound, Err(Error::BadReference));
    assert_eq!(objects.table.share(ALICE), 0);
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    let all = u64::from(Rights::ALL.bits());
    for method in universal::BIND..=universal::HELD {
        let sent = send(&objects, name, ALICE, method, [BOB.raw(), all]);
        assert_eq!(sent, Err(Error::BadMethod), "{method:#x}");
    }
    assert_eq!(objects.table.share(ALICE), 1);
    assert_eq!(
        send(&objects, name, BOB, 1, [0; 2]),
        Err(Error::BadReference)
    );
    assert_eq!(send(&objects, name, ALICE, 1, [0; 2]), Ok(()));
}

#[test]
fn who_is_no_client_and_what_is_not_served_is_refused() {
    let (objects, _) = with_root();
    assert_eq!(bind(&objects, BOB, HASH), Err(Error::Denied));
    assert_eq!(bind(&objects, ProcessId::NONE, HASH), Err(Error::Denied));
    assert_eq!(bind(&objects, ALICE, HASH + 1), Err(Error::WrongInterface));
    let bootstrap = ObjectName::BOOTSTRAP;
    for method in [1, universal::RELEASE, universal::GRANT] {
        assert_eq!(
            call(&objects, bootstrap, ALICE, method, [0; 2]),
            Err(Error::BadMethod)
        );
    }
}

#[test]
fn a_name_that_is_not_the_callers_tells_nothing() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    let next = ObjectName::new(name.slot(), name.generation() + 1);
    let beyond = ObjectName::new(u32::MAX, 1);
    let unused = ObjectName::new(name.slot() + 1, 1);
    for (name, caller) in [
        (name, BOB),
        (next, ALICE),
        (unused, ALICE),
        (beyond, ALICE),
        (ObjectName::new(0, 0), ALICE),
        (ObjectName::new(0, 2), ALICE),
    ] {
        for method in [1, universal::RELEASE, universal::GRANT, universal::BIND] {
            assert_eq!(
                call(&objects, name, caller, method, [0; 2]),
                Err(Error::BadReference),
                "{name:?} by {caller:?}"
            );
        }
    }
    assert!(call(&objects, name, ALICE, 1, [0; 2]).is_ok());
}

#[test]
fn rights_only_shrink_when_they_are_given_on() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    let bobs = grant(&objects, name, ALICE, BOB, Rights::READ | Rights::WRITE).expect("she may");
    assert_eq!(
        call(&objects, bobs, BOB, 1, [0; 2]),
        Ok([1, u64::from(Rights::READ.bits()), 0, 0])
    );
    assert_eq!(
        call(&objects, bobs, ALICE, 1, [0; 2]),
        Err(Error::BadReference)
    );
    assert_eq!(
        grant(&objects, bobs, BOB, ALICE, Rights::ALL),
        Err(Error::Denied)
    );
    let arguments = [BOB.raw(), 1 << 40];
    assert_eq!(
        call(&objects, name, ALICE, universal::GRANT, arguments),
        Err(Error::BadArgument)
    );
}

#[test]
fn a_gift_can_be_accepted_from_its_giver_only_and_taken_back_by_its_giver_only() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    let bobs = grant(&objects, name, ALICE, BOB, Rights::READ).expect("she may");
    let accept = |name, caller, giver: ProcessId, hash| {
        call(
            &objects,
            name,
            caller,
            universal::ACCEPT,
            [giver.raw(), hash],
        )
    };
    assert_eq!(
        accept(bobs, BOB, ALICE, HASH).map(|words| words[0]),
        Ok(u64::from(Rights::READ.bits()))
    );
    assert_eq!(accept(bobs, BOB, SERVER, HASH), Err(Error::Denied));
    assert_eq!(accept(bobs, BOB, BOB, HASH), Err(Error::Denied));
    assert_eq!(accept(bobs, BOB, ALICE, 0), Err(Error::WrongInterface));
    assert_eq!(accept(bobs, ALICE, ALICE, HASH), Err(Error::BadReference));
    // What she bound to herself is no gift of anybody else's.
    assert_eq!(accept(name, ALICE, BOB, HASH), Err(Error::Denied));
    let take_back = |with, by, from: ProcessId, name: ObjectName| {
        call(
            &objects,
            with,
            by,
            universal::TAKE_BACK,
            [from.raw(), name.raw()],
        )
    };
    for (with, by, from, what) in [
        (bobs, BOB, ALICE, name),    // not his gift
        (name, ALICE, SERVER, bobs), // not given to that one
        (
            name,
            ALICE,
            BOB,
            ObjectName::new(bobs.slot(), bobs.generation() + 1),
        ),
        (bobs, ALICE, BOB, bobs), // asked of a reference that is not hers
    ] {
        assert_eq!(take_back(with, by, from, what), Err(Error::BadReference));
    }
    assert!(call(&objects, bobs, BOB, 1, [0; 2]).is_ok());
    assert!(take_back(name, ALICE, BOB, bobs).is_ok());
    assert_eq!(
        call(&objects, bobs, BOB, 1, [0; 2]),
        Err(Error::BadReference)
    );
    assert_eq!(take_back(name, ALICE, BOB, bobs), Err(Error::BadReference));
}

#[test]
fn counts_are_for_who_may_control() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    assert_eq!(
        call(&objects, name, ALICE, universal::COUNTS, [0; 2]),
        Err(Error::Denied)
    );
    let (object, _) = numbered(3);
    let name = objects
        .table
        .insert(object, ALICE, Rights::CONTROL, ALICE)
        .expect("there is room");
    assert!(call(&objects, name, ALICE, universal::COUNTS, [0; 2]).is_ok());
}

#[test]
fn the_giver_pays_and_a_share_has_an_end() {
    let (objects, _) = with_root();
    let name = bind(&objects, ALICE, HASH).expect("a client may bind");
    let mut given = Vec::new();
    let last = loop {
        match grant(&objects, name, ALICE, BOB, Rights::READ) {
            Ok(name) => given.push(name),
            Err(error) => break error,
        }
    };
    assert_eq!(last, Error::Exhausted);
    assert_eq!(given.len() as u32, OBJECTS_PER_CLIENT - 1);
    let held = call(&objects, name, ALICE, universal::HELD, [0; 2]).expect("anybody may ask");
    assert_eq!(held[0], u64::from(OBJECTS_PER_CLIENT));
    let held = call(&objects, given[1], BOB, universal::HELD, [0; 2]).expect("anybody may ask");
    assert_eq!(held[0], 0);
    let (object, _) = numbered(7);
    assert!(objects.table.insert(object, BOB, Rights::READ, BOB).is_ok());
    call(&objects, given[0], BOB, universal::RELEASE, [0; 2]).expect("it is his");
    assert!(grant(&objects, name, ALICE, BOB, Rights::READ).is_ok());
}

#[test]
fn the_last_reference_takes_the_object_along() {
    let (objects, _) = with_root();
    let (object, gone) = numbered(5);
    let both = Rights::READ | Rights::GRANT;
    let name = objects
        .table
        .insert(object, ALICE, both, ALICE)
        .expect("there is room");
    let second = grant(&objects, name, ALICE, BOB, Rights::READ).expect("she may");
    call(&objects, name, ALICE, universal::RELEASE, [0; 2]).expect("it is hers");
    assert_eq!(gone.load(SeqCst), 0);
    assert_eq!(
        call(&objects, second, BOB, 1, [0; 2]).map(|words| words[0]),
        Ok(5)
    );
    objects.forget(BOB);
    assert_eq!(gone.load(SeqCst), 1);
    assert_eq!(
        call(&objects, second, BOB, 1, [0; 2]),
        Err(Error::BadReference)
    );
    // The place is used again, under another name.
    let (object, _) = numbered(6);
    let reused = objects
        .table
        .insert(object, BOB, Rights::READ, BOB)
        .expect("there is room");
    assert_eq!(reused.slot(), second.slot());
    assert_eq!(reused.generation(), second.generation() + 1);
}

#[test]
fn an_object_stays_until_the_calls_inside_have_left() {
    let (objects, _) = with_root();
    let (object, gone) = numbered(5);
    let name = objects
        .table
        .insert(object, ALICE, Rights::READ, ALICE)
        .expect("there is room");
    let first = objects.table.enter(name, ALICE, Counted).expect("live");
    let second = objects.table.enter(name, ALICE, Counted).expect("live");
    assert!(first.close());
    assert!(!second.close(), "only one closes");
    assert!(objects.table.enter(name, ALICE, Counted).is_none());
    drop(first);
    assert_eq!(gone.load(SeqCst), 0);
    assert_eq!(second.contents().object().interface_hash(), HASH);
    drop(second);
    assert_eq!(gone.load(SeqCst), 1);
}

#[test]
fn calls_stale_names_and_releases_at_once_leave_every_object_whole() {
    const ROUNDS: u64 = 100;
    let objects: &Objects = Box::leak(Box::new(Objects::new(|_| true, || {})));
    let current = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    let gone = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut stale = 0;
                while !done.load(Relaxed) {
                    let name = current.load(Relaxed);
                    for name in [name, stale] {
                        if let Ok(words) =
                            call(objects, ObjectName::from_raw(name), ALICE, 1, [0; 2])
                        {
                            // A place has one number per generation: no call is answered by
                            // another object than the name's.
                            assert_eq!(words[0], name);
                        }
                    }
                    let _ = call(
                        objects,
                        ObjectName::from_raw(stale),
                        ALICE,
                        universal::RELEASE,
                        [0; 2],
                    );
                    stale = name;
                    std::thread::yield_now();
                }
            });
        }
        for _ in 0..ROUNDS {
            // The first place is the one that will be filled, since all others were never used.
            let slot = 1;
            let generation = u32::try_from(made.load(Relaxed) + 1).expect("few rounds");
            let number = ObjectName::new(slot, generation).raw();
            let object = Arc::new(Numbered {
                number,
                gone: gone.clone(),
                alive: AtomicBool::new(true),
            });
            let name = loop {
                let share = objects
                    .table
                    .insert(object.clone(), ALICE, Rights::READ, ALICE);
                match share {
                    Ok(name) => break name,
                    Err(_) => std::thread::yield_now(),
                }
            };
            drop(object);
            assert_eq!(name.raw(), number);
            made.fetch_add(1, Relaxed);
            current.store(name.raw(), Relaxed);
            std::thread::yield_now();
            let _ = call(objects, name, ALICE, universal::RELEASE, [0; 2]);
            while gone.load(SeqCst) < made.load(Relaxed) || objects.table.is_live(name) {
                std::thread::yield_now();
            }
            while !objects.table.has_free_place() {
                std::thread::yield_now();
            }
        }
        done.store(true, Relaxed);
    });
    assert_eq!(gone.load(SeqCst), ROUNDS);
}

#[test]
fn servers_that_share_a_process_are_told_apart() {
    fn shared() -> &'static Startup {
        static STARTUP: std::sync::OnceLock<Startup> = std::sync::OnceLock::new();
        STARTUP.get_or_init(|| {
            let mut startup = startup_with_alice();
            startup.hosted[0][..5].copy_from_slice(b"first");
            startup.hosted[1][..6].copy_from_slice(b"second");
            startup.clients[1] = ClientEntry {
                process: Peer::new(BOB),
                rights: u64::from(Rights::WRITE.bits()),
                server: 1,
            };
            startup
        })
    }
    let objects = Objects::new(|_| true, || {});
    let (first, _) = numbered(1);
    let (second, gone) = numbered(2);
    objects.serve(0, first);
    objects.serve(1, second);
    let ask = |name, caller, method, word| {
        let mut words = [0; CALL_WORDS];
        words[0] = word;
        ask_by(&objects, shared, name, caller, method, words)
    };
    let bind = |server, caller| {
        ask(ObjectName::bootstrap(server), caller, universal::BIND, HASH)
            .map(|words| ObjectName::from_raw(words[0]))
    };
    let of_first = bind(0, ALICE).unwrap();
    let of_second = bind(1, BOB).unwrap();
    assert_eq!(ask(of_first, ALICE, 1, 0).map(|words| words[0]), Ok(1));
    let rights = u64::from(Rights::WRITE.bits());
    assert_eq!(ask(of_second, BOB, 1, 0), Ok([2, rights, 0, 0]));
    assert_eq!(bind(1, ALICE), Err(Error::Denied));
    assert_eq!(bind(0, BOB), Err(Error::Denied));
    assert_eq!(bind(2, ALICE), Err(Error::BadReference));
    // The same interface again in one server takes the place of the first there alone.
    let (third, _) = numbered(3);
    objects.serve(1, third);
    assert_eq!(gone.load(SeqCst), 0, "who has it keeps it");
    assert_eq!(ask(of_first, ALICE, 1, 0).map(|words| words[0]), Ok(1));
}

#[test]
fn whoever_makes_a_reference_looks_for_the_dead_first() {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    let looks = || LOOKS.swap(0, SeqCst);
    let objects = Objects::new(
        |_| true,
        || {
            LOOKS.fetch_add(1, SeqCst);
        },
    );
    objects.serve(0, numbered(1).0);
    let name = bind(&objects, ALICE, HASH).expect("she may");
    assert_eq!(looks(), 1);
    grant(&objects, name, ALICE, BOB, Rights::READ).expect("she may");
    assert_eq!(looks(), 1);
    // A call makes none and does not look.
    call(&objects, name, ALICE, 1, [0, 0]).expect("she may");
    assert_eq!(looks(), 0);
}

#[test]
fn near_calls_are_refused_as_soon_as_the_reference_is_gone() {
    let objects: &Objects = Box::leak(Box::new(with_root().0));
    let name = bind(objects, ALICE, HASH).expect("she may");
    let life = |name| objects.near(name, ALICE).map(|found| found.life);
    let first = life(name).expect("it is hers");
    assert!(first.lasts());
    assert!(objects.near(name, BOB).is_none());
    call(objects, name, ALICE, universal::RELEASE, [0, 0]).expect("it is hers");
    assert!(!first.lasts() && life(name).is_none());
    // The same place again: what is gone stays so.
    let again = bind(objects, ALICE, HASH).expect("she may");
    assert_eq!(again.slot(), name.slot());
    let second = life(again).expect("it is hers");
    assert!(second.lasts() && !first.lasts());
    objects.forget(ALICE);
    assert!(!second.lasts() && !first.lasts());
    // It ends at once, also while a call is inside, and keeps nobody from being the last to leave.
    let third = bind(objects, ALICE, HASH).expect("she may");
    let life = life(third).expect("it is hers");
    let inside = objects
        .table
        .enter(third, ALICE, Counted)
        .expect("it is hers");
    assert!(inside.close() && !life.lasts());
    drop(inside);
    assert!(objects.table.has_free_place() && !life.lasts());
}
