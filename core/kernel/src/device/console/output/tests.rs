//! The way out against a device that takes what a test lets it take.

use super::*;
use proptest::prelude::*;
use std::sync::Mutex as Shared;
use std::vec;
use std::vec::Vec;

#[derive(Default)]
struct Device(Shared<Taken>);

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    /// How many more it takes now.
    room: usize,
    /// What comes of sending: so much room right after.
    room_when_sent: usize,
    /// What comes of being asked: so much room each time.
    room_when_asked: usize,
    announced: bool,
    askings: u32,
}

impl Device {
    fn with_room(room: usize) -> Self {
        let device = Self::default();
        device.0.lock().unwrap().room = room;
        device
    }

    fn give(&self, room: usize) {
        self.0.lock().unwrap().room += room;
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn announced(&self) -> bool {
        self.0.lock().unwrap().announced
    }
}

impl ConsoleDevice for Device {
    fn send(&self, bytes: &[u8]) -> usize {
        let mut taken = self.0.lock().unwrap();
        let count = bytes.len().min(taken.room);
        taken.room -= count;
        taken.bytes.extend(&bytes[..count]);
        taken.room = taken.room.saturating_add(taken.room_when_sent);
        count
    }

    fn announce_room(&self, wanted: bool) {
        self.0.lock().unwrap().announced = wanted;
    }

    fn has_room(&self) -> bool {
        let mut taken = self.0.lock().unwrap();
        taken.askings += 1;
        taken.room += taken.room_when_asked;
        taken.room > 0
    }

    fn is_idle(&self) -> bool {
        self.0.lock().unwrap().room_when_asked > 0
    }

    fn resume(&self) {}
}

fn numbered(range: core::ops::Range<usize>) -> Vec<u8> {
    range.map(|number| (number % 251) as u8).collect()
}

#[test]
fn a_ready_device_gets_everything_at_once_and_is_not_asked_for_more() {
    let (output, device) = (Output::new(), Device::with_room(usize::MAX));
    let (taken, fed) = output.write(&device, &numbered(0..700), Some(0));
    assert_eq!((taken, fed), (700, Fed::default()));
    assert_eq!(device.bytes(), numbered(0..700));
    assert!(!device.announced());
}

#[test]
fn no_more_than_a_piece_goes_with_interrupts_off() {
    let (output, device) = (Output::new(), Device::with_room(usize::MAX));
    let bytes = numbered(0..AT_ONCE + 500);
    assert_eq!(output.write(&device, &bytes, None).0, bytes.len());
    assert_eq!(device.bytes().len(), AT_ONCE);
    assert!(device.announced());
    while output.feed(&device).waits {}
    assert_eq!(device.bytes(), bytes);
    assert!(!device.announced());
}

#[test]
fn only_a_full_ring_answers_short_and_half_an_empty_one_tells() {
    let (output, device) = (Output::new(), Device::with_room(10));
    let all = numbered(0..RING_BYTES + 100);
    let (taken, _) = output.write(&device, &all, Some(2));
    assert_eq!(taken, RING_BYTES + 10);
    assert_eq!(output.write(&device, &all[taken..], Some(3)).0, 0);
    assert_eq!(output.write(&device, &all[taken..], Some(5)).0, 0);
    device.give(ENOUGH - 1);
    for _ in 0..ENOUGH / AT_ONCE {
        assert_eq!(output.feed(&device).tell, 0);
    }
    device.give(1);
    let told = Fed {
        waits: true,
        tell: 1 << 3 | 1 << 5,
    };
    assert_eq!(output.feed(&device), told);
    assert_eq!(output.feed(&device).tell, 0);
    assert_eq!(output.write(&device, &all[taken..], Some(5)).0, 90);
    device.give(usize::MAX >> 1);
    while output.feed(&device).waits {}
    assert_eq!(device.bytes(), all);
}

#[test]
fn who_has_written_meanwhile_is_not_told() {
    let (output, device) = (Output::new(), Device::default());
    output.write(&device, &[1; RING_BYTES], None);
    assert_eq!(output.write(&device, b"x", Some(0)).0, 0);
    assert_eq!(output.write(&device, b"x", Some(1)).0, 0);
    device.give(20);
    assert_eq!(output.write(&device, b"x", Some(0)).0, 1);
    device.give(usize::MAX >> 1);
    let mut told = 0;
    while device.announced() {
        told |= output.feed(&device).tell;
    }
    assert_eq!(told, 1 << 1);
}

#[test]
fn a_writer_that_makes_room_tells_the_others() {
    let (output, device) = (Output::new(), Device::default());
    output.write(&device, &[1; RING_BYTES], None);
    assert_eq!(output.write(&device, b"x", Some(1)).0, 0);
    device.give(usize::MAX >> 1);
    let told: u64 = (0..RING_BYTES / AT_ONCE)
        .map(|_| output.write(&device, b"", Some(0)).1.tell)
        .sum();
    assert_eq!(told, 1 << 1);
}

#[test]
fn a_device_that_is_just_ready_again_is_not_given_what_came_last() {
    let (output, device) = (Output::new(), Device::default());
    output.write(&device, &numbered(0..30), None);
    device.0.lock().unwrap().room_when_sent = 5;
    for piece in 30..40 {
        output.write(&device, &numbered(piece..piece + 1), None);
    }
    while output.feed(&device).waits {}
    assert_eq!(device.bytes(), numbered(0..40));
}

#[test]
fn a_line_of_the_kernel_follows_what_waits() {
    let (output, device) = (Output::new(), Device::with_room(3));
    output.write(&device, b"program's", None);
    device.0.lock().unwrap().room_when_asked = 2;
    output.write_through(&device, b", kernel's");
    assert_eq!(device.bytes(), b"program's, kernel's");
}

#[test]
fn a_stuck_device_gets_the_kernels_line_later() {
    let (output, device) = (Output::new(), Device::default());
    output.write_through(&device, b"a");
    output.write_through(&device, b"b");
    assert!(device.0.lock().unwrap().askings <= 2 * PATIENCE);
    assert!(device.announced());
    output.write(&device, b"c", None);
    device.give(9);
    assert!(!output.feed(&device).waits);
    assert_eq!(device.bytes(), b"abc");
}

#[test]
fn last_words_come_out_even_if_the_lock_is_held_for_ever() {
    let (output, device) = (Output::new(), Device::with_room(100));
    let held = output.0.lock();
    output.write_through(&device, b"panic");
    assert_eq!(device.bytes(), b"panic");
    device.0.lock().unwrap().room_when_asked = 1;
    assert!(output.drain(&device, 10));
    drop(held);
}

#[test]
fn the_end_waits_for_a_slow_device_and_not_for_a_stuck_one() {
    let (output, device) = (Output::new(), Device::default());
    output.write(&device, &numbered(0..5000), None);
    assert!(!output.drain(&device, 100));
    device.0.lock().unwrap().room_when_asked = 1;
    assert!(output.drain(&device, 100));
    assert_eq!(device.bytes(), numbered(0..5000));
}

proptest! {
    /// Whatever the device takes when, what was taken from writers comes out in order.
    #[test]
    fn order_is_kept(steps in prop::collection::vec((0usize..6000, 0usize..5000, 0..3), 1..20)) {
        let (output, device) = (Output::new(), Device::default());
        let mut written = 0;
        for (length, room, kind) in steps {
            device.give(room);
            match kind {
                0 => drop(output.feed(&device)),
                1 => output.write_through(&device, &[]),
                _ => {
                    let bytes = numbered(written..written + length);
                    written += output.write(&device, &bytes, Some(0)).0;
                }
            }
            let sent = device.bytes();
            prop_assert!(sent.len() <= written && written - sent.len() <= RING_BYTES);
        }
        device.give(usize::MAX >> 1);
        while output.feed(&device).waits {}
        prop_assert_eq!(device.bytes(), numbered(0..written));
    }

    /// A ring with any bytes in it never makes a write larger than it was.
    #[test]
    fn nobody_is_answered_more_than_asked(lengths in prop::collection::vec(0usize..9000, 1..8)) {
        let (output, device) = (Output::new(), Device::with_room(1500));
        for length in lengths {
            prop_assert!(output.write(&device, &vec![0; length], None).0 <= length);
        }
    }
}
