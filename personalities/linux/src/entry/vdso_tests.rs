//! The shared object as C libraries use it: names are found, answers are those of the calls.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::ffi::CStr;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use kiln_object::dispatcher::soft_interrupt::{CONSOLE, TIMER};
use kiln_object::startup::KernelInformation;

use super::vdso::{hash, range};
use crate::time::{TimeSpec, TimeValue};

pub(super) static INFORMATION: KernelInformation = KernelInformation {
    version: AtomicU64::new(4),
    tsc_base: AtomicU64::new(0),
    ns_base: AtomicU64::new(0),
    multiplier: AtomicU64::new(0),
    wall_clock_offset: AtomicU64::new(1_600_000_000_000_000_000),
    cpus_online: AtomicU64::new(1),
    memory_free: AtomicU64::new(0),
    features: AtomicU64::new(0),
    deaths: AtomicU64::new(0),
};

pub(super) static PENDING: AtomicU64 = AtomicU64::new(0);

/// Answers the call's number, and returns where a call does.
#[unsafe(naked)]
pub(super) extern "sysv64" fn called() {
    core::arch::naked_asm!("neg rax", "jmp rcx")
}

/// The word at `address`, an address in the object.
fn word<T: Copy>(address: u64) -> T {
    assert!(range().contains(&address));
    // SAFETY: the object is readable as far as it goes, and the test asks for integers only.
    unsafe { core::ptr::with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

/// The function `name` and its version, as a C library finds them.
fn find(name: &str) -> Option<(u64, String)> {
    let base = range().start;
    assert_eq!(word::<[u8; 7]>(base), *b"\x7fELF\x02\x01\x01");
    let segments = base + word::<u64>(base + 32);
    assert_eq!((word::<u16>(base + 54), word::<u16>(base + 56)), (56, 2));
    assert_eq!((word::<u32>(segments), word::<u64>(segments + 16)), (1, 0));
    assert_eq!(word::<u64>(segments + 40), range().end - base);
    assert_eq!(word::<u32>(segments + 56), 2);
    let dynamic = base + word::<u64>(segments + 56 + 16);
    let entry = |kind: u64| {
        (0..)
            .map(|n| dynamic + 16 * n)
            .take_while(|at| word::<u64>(*at) != 0)
            .find(|at| word::<u64>(*at) == kind)
            .map(|at| word::<u64>(at + 8))
            .unwrap()
    };
    let string = |offset: u32| {
        let address = base + entry(5) + u64::from(offset);
        // SAFETY: all strings of the object end with a zero in it.
        let string = unsafe { CStr::from_ptr(address as *const _) };
        string.to_str().unwrap().to_owned()
    };
    let hash = base + entry(4);
    assert_eq!(word::<u32>(hash), 1);
    let mut index = word::<u32>(hash + 8);
    while index != 0 {
        let symbol = base + entry(6) + 24 * u64::from(index);
        if string(word(symbol)) == name {
            assert_eq!((word::<u8>(symbol + 4), word::<u16>(symbol + 6)), (0x12, 1));
            let version = word::<u16>(base + entry(0x6fff_fff0) + 2 * u64::from(index));
            let mut definition = base + entry(0x6fff_fffc);
            while word::<u16>(definition + 4) != version {
                definition += u64::from(word::<u32>(definition + 16));
            }
            let version = word::<u32>(definition + u64::from(word::<u32>(definition + 12)));
            return Some((base + word::<u64>(symbol + 8), string(version)));
        }
        index = word(hash + 12 + 4 * u64::from(index));
    }
    None
}

fn function(name: &str) -> extern "C" fn(*mut [i64; 2], *mut u64) -> i64 {
    let (address, version) = find(name).unwrap();
    assert_eq!(version, "LINUX_2.6");
    // SAFETY: all functions of the object take up to two words in registers, answer one, and
    // keep what the C ABI says they keep.
    unsafe { core::mem::transmute(address as usize) }
}

#[test]
fn functions_are_found_and_answer_as_the_calls_do() {
    assert!(find("__vdso_clock").is_none());
    assert_eq!(hash(b"LINUX_2.6"), 0x3ae_75f6);
    let clock_gettime: extern "C" fn(u64, *mut TimeSpec) -> i32 =
        // SAFETY: its first argument is the clock.
        unsafe { core::mem::transmute(function("__vdso_clock_gettime")) };
    let read = |clock| {
        let mut time = TimeSpec::default();
        let answer = clock_gettime(clock, &raw mut time);
        (answer, time)
    };
    for ns in [
        0,
        1,
        999_999_999,
        1_000_000_000,
        2_999_999_999,
        u64::MAX / 4,
    ] {
        INFORMATION.ns_base.store(ns, Relaxed);
        for clock in [1, 4, 6, 7, 9] {
            assert_eq!(read(clock), (0, TimeSpec::from_ns(ns)));
        }
        let now = 1_600_000_000_000_000_000 + ns;
        for clock in [0, 5, 8, 11] {
            assert_eq!(read(clock), (0, TimeSpec::from_ns(now)));
        }
        let (mut time, mut zone) = ([0; 2], 5);
        let value = TimeValue::from_ns(now);
        let gettimeofday = function("__vdso_gettimeofday");
        assert_eq!(gettimeofday(&raw mut time, &raw mut zone), 0);
        assert_eq!((time, zone), ([value.seconds, value.microseconds], 0));
        assert_eq!(
            gettimeofday(core::ptr::null_mut(), core::ptr::null_mut()),
            0
        );
        let time = function("__vdso_time");
        assert_eq!(
            time(core::ptr::null_mut(), core::ptr::null_mut()),
            value.seconds
        );
    }
    for clock in [2, 3, 10, 12, 33, 1 << 31, u64::from(u32::MAX)] {
        assert_eq!(read(clock).0, -228);
    }
    assert_eq!(
        function("__vdso_getcpu")(core::ptr::null_mut(), core::ptr::null_mut()) as i32,
        -309
    );

    for told in [CONSOLE, TIMER] {
        PENDING.store(told, Relaxed);
        assert_eq!(read(1).0, -228);
        let null = core::ptr::null_mut;
        assert_eq!(
            function("__vdso_gettimeofday")(null(), core::ptr::null_mut()),
            -96
        );
        assert_eq!(function("__vdso_time")(null(), core::ptr::null_mut()), -201);
    }
    PENDING.store(0, Relaxed);

    // Counting: a tick is half a nanosecond, from now on.
    INFORMATION.ns_base.store(0, Relaxed);
    INFORMATION
        .tsc_base
        .store(kiln_runtime::time::counter(), Relaxed);
    INFORMATION.multiplier.store(1 << 31, Relaxed);
    let (first, second) = (read(1).1.to_ns().unwrap(), read(1).1.to_ns().unwrap());
    let all = kiln_runtime::time::counter() - INFORMATION.tsc_base.load(Relaxed);
    assert!(
        first < second && second <= all / 2,
        "{first} {second} {all}"
    );
    INFORMATION.tsc_base.store(u64::MAX, Relaxed);
    assert_eq!(read(1).1, TimeSpec::default());
}
