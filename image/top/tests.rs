//! Pictures of a machine's memory made by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Picture, Sampler, to_json, to_text};
use crate::run::Watch;
use crate::trace::names::Names;
use crate::trace::tests::Guest;

/// Where the running dispatcher's token is told.
const CURRENT: u64 = 0x2800;

#[test]
fn counters_become_rates_and_looks_become_shares() {
    let mut guest = Guest::new(&["client", "server"]);
    let names = Names::with_kernel_data(0x1000..0x2000);
    let pictures = Arc::new(Mutex::new(Vec::<Picture>::new()));
    let shown = Arc::clone(&pictures);
    let mut sampler = Sampler::new(names, Duration::from_secs(3600), true, move |picture| {
        shown.lock().unwrap().push(picture.clone());
        true
    });
    for running in [0xffff_0000 + (1 << 32 | 1), 0, 0xffff_0000 + (1 << 32 | 1)] {
        guest.put(CURRENT, running);
        assert!(sampler.look(&guest));
    }
    // The counters are beside the ring of the second process, its pages behind them.
    guest.put(Guest::ring(2) + 8 + 8, 1000);
    guest.put(Guest::ring(2) + 0x80, 5);
    guest.put(CURRENT, 77);
    sampler.look_back(&guest);
    let pictures = pictures.lock().unwrap();
    let [picture] = pictures.as_slice() else {
        panic!("{} pictures", pictures.len());
    };
    assert_eq!(picture.idle[&0], 0.25);
    let names: Vec<_> = picture
        .processes
        .iter()
        .map(|process| &process.name)
        .collect();
    assert_eq!(names, ["client", "server"]);
    assert_eq!(picture.processes[0].processors[&0], 0.5);
    assert_eq!(picture.processes[1].memory, 5 * 4096);
    assert!(picture.processes[1].calls_in > 0.0);
    assert_eq!(picture.processes[0].calls_in, 0.0);

    let text = to_text(picture);
    assert!(
        text.lines()
            .any(|line| line.starts_with("client") && line.contains("50.0%")),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&to_json(picture)).unwrap();
    assert_eq!(json["processes"][1]["id"], "2.1");
    assert_eq!(json["processes"][0]["processors"]["0"], 0.5);
    assert_eq!(json["idle"]["0"], 0.25);
}

#[test]
fn a_machine_that_said_nothing_has_no_picture() {
    let guest = Guest(vec![0; 0x3000]);
    let names = Names::with_kernel_data(0x1000..0x2000);
    let mut sampler = Sampler::new(names, Duration::from_millis(10), false, |_| panic!("shown"));
    assert!(sampler.look(&guest));
    sampler.look_back(&guest);
}
