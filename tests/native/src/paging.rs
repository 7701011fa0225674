//! Pages that a server brings: who waits for them, and who does not.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicBool, AtomicU64};

use kiln_interface::kernel::{
    AddressSpace as _, FileCache, Log as _, MapFlags, Protection, Random as _, protection_and_flags,
};
use kiln_object::layout::PAGE_BYTES;
use kiln_object::{Caller, Error, Reference};
use kiln_runtime::thread::{self, Failed, Priority, yield_now};
use kiln_runtime::time::monotonic_ns;
use kiln_runtime::{SpinMutex, address_space, log, random, release, startup};

use crate::pager::content;
use crate::report::{check, failed};
use crate::scheduling::start;
use crate::served::{Worker as _, bound};

const PAGES: u64 = 32;
const PAGE: usize = PAGE_BYTES as usize;
const DELAY: u64 = 20_000_000;

/// A mapped file of the server.
struct Mapped {
    address: usize,
    key: u64,
    cache: Reference<dyn FileCache>,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let unmapped = address_space().unmap(self.address as u64, PAGES * PAGE_BYTES);
        check(unmapped.is_ok(), format_args!("{unmapped:?}"));
        // The server may have ended, and the reference with it.
        let _ = release(self.cache);
    }
}

fn place(cache: Reference<dyn FileCache>, flags: MapFlags) -> usize {
    let how = protection_and_flags(Protection::READ | Protection::WRITE, flags);
    match address_space().map_file(cache, 0, 0, PAGES * PAGE_BYTES, how) {
        Ok(address) => address as usize,
        Err(error) => failed(format_args!("a file is not mapped: {error}")),
    }
}

fn map(delay: u64, flags: MapFlags) -> Mapped {
    match bound().file(PAGES, delay, Caller(startup().process)) {
        Ok((cache, key)) => Mapped {
            address: place(cache, flags),
            key,
            cache,
        },
        Err(error) => failed(format_args!("no file: {error}")),
    }
}

/// The byte at `offset` of what is mapped at `address`.
fn byte(address: usize, offset: usize) -> u8 {
    // SAFETY: the test has it mapped; the access may fault, which is what is tested.
    unsafe { core::ptr::with_exposed_provenance::<u8>(address + offset).read_volatile() }
}

fn store(address: usize, offset: usize, value: u8) {
    // SAFETY: as in `byte`, to be written.
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address + offset).write_volatile(value) }
}

/// While a thread waits for a page, others of its dispatcher run.
pub fn parked() {
    let mapped = map(DELAY, MapFlags::empty());
    let (address, key) = (mapped.address, mapped.key);
    let done = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let begin = monotonic_ns();
    let reader = {
        let done = done.clone();
        start(Priority::Normal, move || {
            // Values that live across the fault, in registers of both kinds.
            let (mut whole, mut half) = (7u64, 0.5f64);
            for number in [0, 3] {
                let value = byte(address, number * PAGE + 11);
                whole = whole * 31 + u64::from(value);
                half += f64::from(value);
            }
            done.store(true, SeqCst);
            (whole, half)
        })
    };
    let other = {
        let (done, turns) = (done.clone(), turns.clone());
        start(Priority::Normal, move || {
            while !done.load(SeqCst) {
                turns.fetch_add(1, SeqCst);
                yield_now();
            }
        })
    };
    let (whole, half) = reader.join();
    let took = monotonic_ns() - begin;
    other.join();
    let values = [content(key, 0), content(key, 3)].map(u64::from);
    let expected = (7 * 31 + values[0]) * 31 + values[1];
    check(whole == expected, format_args!("{whole} for {expected}"));
    let sum = (values[0] + values[1]) as f64 + 0.5;
    check(half == sum, format_args!("{half} for {sum}"));
    check(took >= 2 * DELAY, format_args!("it took {took} ns"));
    let turns = turns.load(SeqCst);
    check(turns > 50, format_args!("the other had {turns} turns"));
}

/// One fill for all who want the page; all are told.
pub fn shared() {
    let mapped = map(DELAY, MapFlags::empty());
    let (address, key) = (mapped.address, mapped.key);
    let before = bound().fills();
    let threads: Vec<_> = (0..20)
        .map(|_| start(Priority::Normal, move || byte(address, 2 * PAGE)))
        .collect();
    for thread in threads {
        let value = thread.join();
        check(value == content(key, 2), format_args!("{value}"));
    }
    let fills = bound().fills();
    let once = matches!((before, fills), (Ok(before), Ok(after)) if after == before + 1);
    check(once, format_args!("{before:?} and then {fills:?} fills"));
}

fn must_fail(what: &str, work: impl FnOnce() + Send + 'static) {
    match thread::spawn_isolated(Priority::Normal, work) {
        Ok(thread) => {
            let end = thread.try_join();
            check(end == Err(Failed), format_args!("{what}: {end:?}"));
        }
        Err(error) => failed(format_args!("no thread: {error}")),
    }
}

/// The thread that wants it ends; so does one that waits with it; what is beyond the end is not there.
pub fn refused() {
    let mapped = map(1_000_000, MapFlags::empty());
    let (address, key) = (mapped.address, mapped.key);
    must_fail("a page that does not come", move || {
        byte(address, 7 * PAGE);
    });
    let threads = [15, 15].map(|number| {
        thread::spawn_isolated(Priority::Normal, move || {
            byte(address, number * PAGE);
        })
    });
    for thread in threads {
        let end = thread.map(|thread| thread.try_join());
        check(matches!(end, Ok(Err(Failed))), format_args!("it came"));
    }
    let value = byte(address, PAGE);
    check(value == content(key, 1), format_args!("{value}"));
    // The kernel finds out in a copy.
    let stub = bound();
    // SAFETY: as in `byte`.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance::<u8>(address + 23 * PAGE),
            16,
        )
    };
    let answer = stub.echo(bytes, &mut [0; 16]);
    check(answer == Err(Error::BadBuffer), format_args!("{answer:?}"));
}

/// Buffers of calls may lie in pages that come: calls are made once, and answers arrive.
pub fn calls() {
    let mapped = map(1_000_000, MapFlags::empty());
    let (address, key) = (mapped.address, mapped.key);
    let stub = bound();
    // SAFETY: as in `byte`; nobody else uses these pages.
    let piece = |number: usize, length: usize| unsafe {
        core::slice::from_raw_parts_mut(
            core::ptr::with_exposed_provenance_mut::<u8>(address + number * PAGE),
            length,
        )
    };
    for (from, to, length) in [(0, 2, PAGE), (4, 8, 100), (10, 12, 1)] {
        let answer = stub.echo(piece(from, length), piece(to, length));
        check(answer == Ok(length), format_args!("{answer:?}"));
        let expected = content(key, from as u64) + 1;
        let right = piece(to, length).iter().all(|byte| *byte == expected);
        check(right, format_args!("the answer is not what was asked for"));
        if length < PAGE {
            let rest = byte(address, to * PAGE + length);
            check(rest == content(key, to as u64), format_args!("{rest}"));
        }
    }
    // The kernel's own objects.
    let filled = random().fill(piece(16, 32));
    check(filled == Ok(32), format_args!("{filled:?}"));
    let random_bytes = piece(16, 32).iter().any(|byte| *byte != content(key, 16));
    check(random_bytes, format_args!("nothing arrived"));
    let noted = log().line(piece(18, 8));
    check(noted == Ok(()), format_args!("{noted:?}"));
}

/// With soft interrupts off nobody is parked: the dispatcher waits, and goes on.
pub fn whole() {
    let mapped = map(1_000_000, MapFlags::empty());
    let lock = SpinMutex::new(());
    let guard = lock.lock();
    let value = byte(mapped.address, 5 * PAGE);
    drop(guard);
    check(value == content(mapped.key, 5), format_args!("{value}"));
}

/// A store through one view is seen through all, and by the pager; private copies stay private.
pub fn stored() {
    let mapped = map(0, MapFlags::SHARED);
    let second = place(mapped.cache, MapFlags::SHARED);
    let private = place(mapped.cache, MapFlags::empty());
    let at = 9 * PAGE + 5;
    check(
        byte(private, at) == content(mapped.key, 9),
        format_args!("it is not the file's"),
    );
    store(private, at, 1);
    store(mapped.address, at, 200);
    let seen = [byte(second, at), byte(private, at)];
    check(seen == [200, 1], format_args!("{seen:?}"));
    let mut read = [0; 2];
    let answer = bound().read(mapped.key, at as u64, &mut read);
    let expected = [200, content(mapped.key, 9)];
    check(
        answer == Ok(2) && read == expected,
        format_args!("{answer:?} {read:?}"),
    );
    for view in [second, private] {
        let unmapped = address_space().unmap(view as u64, PAGES * PAGE_BYTES);
        check(unmapped == Ok(()), format_args!("{unmapped:?}"));
    }
}

/// What is cut off is gone for who maps it, and comes back as zeroes or anew.
pub fn cut() {
    let mapped = map(0, MapFlags::SHARED);
    let (address, key) = (mapped.address, mapped.key);
    store(address, 2 * PAGE + 100, 77);
    store(address, 3 * PAGE, 78);
    let stub = bound();
    let answer = stub.set_length(key, 2 * PAGE_BYTES + 50);
    check(answer == Ok(()), format_args!("{answer:?}"));
    check(
        byte(address, 2 * PAGE + 49) == content(key, 2),
        format_args!("what is left has changed"),
    );
    check(
        byte(address, 2 * PAGE + 100) == 0,
        format_args!("the rest of the last page is not empty"),
    );
    must_fail("a page beyond the end", move || {
        byte(address, 3 * PAGE);
    });
    let answer = stub.set_length(key, PAGES * PAGE_BYTES);
    check(answer == Ok(()), format_args!("{answer:?}"));
    let value = byte(address, 3 * PAGE);
    check(value == content(key, 3), format_args!("{value}"));
}

/// Many threads map one file, touch its pages, have the kernel read and write them, and unmap it.
pub fn crowd() {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 6;
    for _ in 0..5 {
        let mapped = map(0, MapFlags::SHARED);
        let (cache, key) = (mapped.cache, mapped.key);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                start(Priority::Normal, move || {
                    let stub = bound();
                    let mut state = thread + 1;
                    for _ in 0..ROUNDS {
                        let view = place(cache, MapFlags::SHARED);
                        for _ in 0..8 {
                            state = state.wrapping_mul(6_364_136_223_846_793_005) + 1;
                            let number = ((state >> 40) % PAGES) & !1;
                            if number % 8 == 6 {
                                continue;
                            }
                            let value = byte(view, number as usize * PAGE);
                            check(
                                value == content(key, number),
                                format_args!("{value} in page {number}"),
                            );
                            // SAFETY: as in `byte`; who reads it at the same time does not care.
                            let bytes = unsafe {
                                core::slice::from_raw_parts(
                                    core::ptr::with_exposed_provenance::<u8>(
                                        view + (number as usize ^ 4) * PAGE,
                                    ),
                                    64,
                                )
                            };
                            let mut answer = [0; 64];
                            if (number ^ 4) % 8 < 6 {
                                let echoed = stub.echo(bytes, &mut answer);
                                let wanted = [content(key, number ^ 4) + 1; 64];
                                check(
                                    echoed == Ok(64) && answer == wanted,
                                    format_args!("{echoed:?}: {answer:?}"),
                                );
                            }
                        }
                        let unmapped = address_space().unmap(view as u64, PAGES * PAGE_BYTES);
                        check(unmapped == Ok(()), format_args!("{unmapped:?}"));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join();
        }
    }
}

/// Those who wait for pages of a server that ends get a fault, and the next server's pages come.
pub fn deserted() {
    let mapped = map(0, MapFlags::empty());
    let (address, key) = (mapped.address, mapped.key);
    let value = byte(address, 0);
    check(value == content(key, 0), format_args!("{value}"));
    let waiting = thread::spawn_isolated(Priority::Normal, move || {
        byte(address, 6 * PAGE);
    });
    let ending = bound().end();
    check(ending == Ok(()), format_args!("{ending:?}"));
    let end = waiting.map(|thread| thread.try_join());
    check(matches!(end, Ok(Err(Failed))), format_args!("it came"));
    let value = byte(address, 0);
    check(
        value == content(key, 0),
        format_args!("what was there is not"),
    );
    must_fail("a page of a server that has ended", move || {
        byte(address, PAGE);
    });
    drop(mapped);
    let again = map(0, MapFlags::empty());
    let value = byte(again.address, 0);
    check(value == content(again.key, 0), format_args!("{value}"));
}
