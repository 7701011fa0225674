//! The driver between the console and a made-up port: nothing is lost, nothing overtakes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::vec;
use std::vec::Vec;

use kiln_kernel::device::console;
use proptest::prelude::*;

use super::made_up::MadeUp;
use super::port::{POLL_NS, Serial};
use super::registers::{Registers, Uart};

/// A byte at 115,200 baud.
const SLOW: u64 = 86_806;

static PORT: Serial<MadeUp> = Serial::new(MadeUp::new());
/// Processors that were told of room, by bits.
static TOLD: AtomicU64 = AtomicU64::new(0);
static ALONE: Mutex<()> = Mutex::new(());

/// The console is one, so one test uses it at a time.
fn port(interrupts: bool) -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(|broken| broken.into_inner());
    PORT.uart().registers.reset();
    console::register(&PORT);
    console::on_room(|processor| {
        TOLD.fetch_or(1 << processor, Ordering::Relaxed);
    });
    while console::feed() {}
    while console::read(&mut [0; 64]) > 0 {}
    TOLD.store(0, Ordering::Relaxed);
    PORT.uart().registers.reset();
    PORT.initialise();
    PORT.go_live(interrupts);
    alone
}

/// Lets time go by in small steps; the processor sees interrupts unless they are `lost`.
fn run(ns: u64, lost: bool) {
    const STEP: u64 = 10_000;
    for _ in 0..ns.div_ceil(STEP) {
        let mut state = PORT.uart().registers.state();
        state.advance(STEP);
        let edge = core::mem::take(&mut state.edge);
        let alarm = state.take_alarm();
        drop(state);
        if edge && !lost {
            PORT.interrupt();
        }
        if alarm {
            PORT.expired(true);
        }
    }
}

fn sent() -> Vec<u8> {
    PORT.uart().registers.state().sent.clone()
}

/// Where two differ, shorter to read than both.
fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (one != other).then_some(same)
}

fn numbered(start: usize, count: usize) -> Vec<u8> {
    (start..start + count)
        .map(|number| (number % 253) as u8)
        .collect()
}

#[test]
fn a_line_at_its_own_speed_never_idles() {
    for (interrupts, lost) in [(true, false), (true, true), (false, true)] {
        let _alone = port(interrupts);
        PORT.uart().registers.state().byte_ns = SLOW;
        let bytes = numbered(0, 8000);
        assert_eq!(console::write(&bytes), 8000);
        run(8000 * SLOW * 11 / 10, lost);
        assert_eq!(
            first_difference(&sent(), &bytes),
            None,
            "{interrupts} {lost}"
        );
    }
}

#[test]
fn a_fast_port_needs_no_interrupt() {
    let _alone = port(true);
    assert_eq!(console::write(&numbered(0, 900)), 900);
    assert_eq!(first_difference(&sent(), &numbered(0, 900)), None);
    assert!(!PORT.uart().registers.state().edge);
}

#[test]
fn a_stuck_port_is_no_loss_and_its_writer_is_told() {
    let _alone = port(true);
    PORT.uart().registers.state().stuck = true;
    let bytes = numbered(0, 20_000);
    let mut taken = console::write_as(2, &bytes);
    assert_eq!(console::write_as(2, &bytes[taken..]), 0);
    run(1_000_000_000, false);
    assert_eq!(TOLD.load(Ordering::Relaxed), 0);
    PORT.uart().registers.state().stuck = false;
    for _ in 0..1000 {
        run(POLL_NS, false);
        if TOLD.swap(0, Ordering::Relaxed) == 1 << 2 {
            let before = taken;
            while let count @ 1.. = console::write_as(2, &bytes[taken..]) {
                taken += count;
            }
            assert!(taken - before >= 4096.min(bytes.len() - before));
        }
    }
    assert_eq!(taken, bytes.len());
    run(100_000_000, false);
    assert_eq!(first_difference(&sent(), &bytes), None);
}

#[test]
fn the_alarm_ends_with_the_bytes_unless_it_is_all_there_is() {
    let _alone = port(true);
    PORT.uart().registers.state().byte_ns = SLOW;
    console::write(&[0; 100]);
    run(50_000_000, false);
    assert_eq!(PORT.uart().registers.state().alarm, None);
    drop(_alone);
    let _alone = port(false);
    run(50_000_000, true);
    PORT.uart().registers.state().received.extend(b"typed");
    run(5_000_000, true);
    let mut into = [0; 9];
    assert_eq!(console::read(&mut into), 5);
}

#[test]
fn a_reader_that_makes_room_gets_what_the_port_held_back() {
    let _alone = port(true);
    let bytes = numbered(0, 5000);
    PORT.uart().registers.state().type_in(&bytes);
    run(10_000_000, false);
    let edges = PORT.uart().registers.state().edges;
    assert!(edges < 5, "{edges} interrupts for what nobody reads");
    let mut read = Vec::<u8>::new();
    while read.len() < bytes.len() {
        run(10_000, false);
        let mut into = [0; 100];
        let count = console::read(&mut into);
        assert!(count > 0, "nothing comes after {}", read.len());
        read.extend(&into[..count]);
    }
    assert_eq!(first_difference(&read, &bytes), None);
}

#[test]
fn processors_that_write_at_once_keep_their_own_order() {
    const EACH: usize = 30_000;
    let _alone = port(true);
    PORT.uart().registers.state().byte_ns = 1_000;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u8)
            .map(|writer| {
                scope.spawn(move || {
                    let bytes: Vec<u8> = (0..EACH)
                        .map(|number| writer << 6 | (number % 63) as u8)
                        .collect();
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let piece = &rest[..rest.len().min(1 + rest.len() % 700)];
                        let count = console::write_as(u32::from(writer), piece);
                        rest = &rest[count..];
                        if count == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                run(200_000, false);
                std::thread::yield_now();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    run(100_000_000, false);
    let sent = sent();
    assert_eq!(sent.len(), 3 * EACH);
    for writer in 0..3_u8 {
        let mine = sent.iter().filter(|byte| *byte >> 6 == writer);
        let expected = (0..EACH).map(|number| (number % 63) as u8);
        assert!(mine.map(|byte| byte & 63).eq(expected), "{writer}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Line(usize),
    Type(usize),
    Read(usize),
    Wait(u64),
    Stuck(bool),
    Lost(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..5000).prop_map(Step::Write),
        1 => (0usize..150).prop_map(Step::Line),
        2 => (0usize..300).prop_map(Step::Type),
        2 => (0usize..300).prop_map(Step::Read),
        4 => (0u64..20_000_000).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Stuck),
        1 => any::<bool>().prop_map(Step::Lost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both ways at once, at any speed, with the line stuck or interrupts lost for a while.
    #[test]
    fn every_byte_arrives_in_order(
        steps in prop::collection::vec(step(), 1..40),
        byte_ns in prop_oneof![Just(0), 1_000u64..100_000],
        access_ns in prop_oneof![Just(0), 100u64..20_000],
        interrupts: bool,
    ) {
        let _alone = port(interrupts);
        PORT.uart().registers.state().byte_ns = byte_ns;
        PORT.uart().registers.state().access_ns = access_ns;
        let (mut written, mut typed, mut read) = (0, 0, Vec::<u8>::new());
        let (mut lost, mut ever_lost) = (false, false);
        let mut waits = false;
        for step in steps {
            match step {
                Step::Write(count) => {
                    TOLD.store(0, Ordering::Relaxed);
                    let taken = console::write_as(7, &numbered(written, count));
                    waits = taken == 0 && count > 0;
                    written += taken;
                }
                // What a stuck port does not take of these may be lost, so none then.
                Step::Line(count) if written < 4000 => {
                    console::write_through(&numbered(written, count));
                    written += count;
                }
                Step::Line(_) => {}
                Step::Type(count) => {
                    PORT.uart().registers.state().type_in(&numbered(typed, count));
                    typed += count;
                }
                Step::Read(count) => {
                    let mut into = vec![0; count];
                    let count = console::read(&mut into);
                    read.extend(&into[..count]);
                }
                Step::Wait(ns) => run(ns, lost),
                Step::Stuck(stuck) => PORT.uart().registers.state().stuck = stuck,
                Step::Lost(now) => {
                    lost = now;
                    ever_lost |= now;
                }
            }
            let edge = core::mem::take(&mut PORT.uart().registers.state().edge);
            if edge && !lost {
                PORT.interrupt();
            }
        }
        PORT.uart().registers.state().stuck = false;
        // Twice the time, as the alarm may come just before a queueful has left.
        run(8192 * byte_ns.max(SLOW) * 22 / 10, lost);
        if ever_lost {
            // Lost for input: the next byte of output would make up for it.
            PORT.interrupt();
        }
        prop_assert_eq!(first_difference(&sent(), &numbered(0, written)), None);
        prop_assert_eq!(TOLD.load(Ordering::Relaxed) & 1 << 7 != 0, waits);
        loop {
            let mut into = [0; 500];
            let count = console::read(&mut into);
            if count == 0 {
                break;
            }
            read.extend(&into[..count]);
            run(2_000_000, false);
        }
        prop_assert_eq!(first_difference(&read, &numbered(0, typed)), None);
    }
}

#[test]
fn what_is_sent_before_and_during_the_start_is_kept() {
    for byte_ns in [0, 10, SLOW] {
        let _alone = port(true);
        PORT.uart().registers.reset();
        PORT.uart().registers.state().access_ns = 10;
        PORT.uart().registers.state().byte_ns = byte_ns;
        let bytes = numbered(0, 300);
        PORT.uart().registers.state().type_in(&bytes);
        // Its first byte has come.
        PORT.uart().registers.state().advance(byte_ns);
        PORT.initialise();
        console::write_through(&bytes);
        PORT.go_live(true);
        run(700 * SLOW, false);
        let mut into = [0; 500];
        let count = console::read(&mut into);
        assert_eq!(first_difference(&into[..count], &bytes), None, "{byte_ns}");
        assert_eq!(first_difference(&sent(), &bytes), None, "{byte_ns}");
    }
}

#[test]
fn received_bytes_and_losses_are_told() {
    let uart = Uart::new(MadeUp::new());
    uart.registers.state().received.extend(b"ab");
    uart.registers.state().lost = true;
    let mut losses = 0;
    assert_eq!(uart.receive(|| losses += 1), Some(b'a'));
    assert_eq!(uart.receive(|| losses += 1), Some(b'b'));
    assert_eq!(uart.receive(|| losses += 1), None);
    assert_eq!(losses, 1);
}

#[test]
fn nothing_at_the_port_is_no_device() {
    struct Nothing;
    impl Registers for Nothing {
        fn read(&self, _: u8) -> u8 {
            0xff
        }
        fn write(&self, _: u8, _: u8) {}
    }
    let uart = Uart::new(Nothing);
    assert!(!uart.is_present());
    assert_eq!(uart.receive(|| panic!("no losses either")), None);
    // And nobody waits for it.
    assert!(uart.has_room() && uart.is_idle());
}
