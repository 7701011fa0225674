//! All interleavings of who replaces the packed table with who reads it.
//!
//! The source is compiled here against the model checker's atomics.

/// The model checker's, in place of the processor's.
mod primitives {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
#[allow(dead_code, unreachable_pub)]
#[path = "../src/snapshot.rs"]
mod snapshot;

use loom::sync::Arc;
use loom::thread;
use snapshot::Snapshot;

/// Reads once, and checks that all bytes are of the version that is told.
fn check(snapshot: &Snapshot<2>) -> Option<u64> {
    let mut room = [0xee; 16];
    let (length, version) = snapshot.try_read(&mut room)??;
    assert_eq!(length, contents(version).len());
    assert_eq!(room[..length], contents(version));
    Some(version)
}

/// What is put in as a version.
fn contents(version: u64) -> Vec<u8> {
    match version {
        4 => Vec::new(),
        odd if odd % 2 == 1 => vec![odd as u8; 16],
        even => vec![even as u8; 9],
    }
}

#[test]
fn whoever_reads_gets_all_of_one_version() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let snapshot = Arc::new(Snapshot::<2>::new(4));
        let writer = {
            let snapshot = snapshot.clone();
            thread::spawn(move || {
                for version in 5..=7 {
                    snapshot.replace(&contents(version));
                }
            })
        };
        let (first, second) = (check(&snapshot), check(&snapshot));
        assert!(first.is_none_or(|first| second.is_none_or(|second| first <= second)));
        writer.join().expect("it holds");
        assert_eq!((check(&snapshot), snapshot.version()), (Some(7), 7));
    });
}

#[test]
fn what_has_no_room_is_not_answered_in_part() {
    loom::model(|| {
        let snapshot = Snapshot::<2>::new(4);
        snapshot.replace(&[1; 16]);
        assert_eq!(snapshot.read(&mut [0; 15]), None);
        assert_eq!(snapshot.read(&mut [0; 16]), Some((16, 5)));
    });
}
