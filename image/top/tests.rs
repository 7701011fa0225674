//! Pictures of a machine's memory made by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_object::ProcessId;
use kiln_object::trace::{Kind, holder};

use super::{Asked, Picture, Sampler, to_json, to_text};
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
    let asked = Asked {
        interval: Duration::from_secs(3600),
        once: true,
        methods: true,
    };
    let mut sampler = Sampler::new(names, asked, move |picture| {
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
    let (server, hash) = (1 << 32 | 2, 1);
    guest.note(1, 100, Kind::Call, 7, server, 5);
    guest.note(1, 110, Kind::Call, 1 << 16 | 8, server, 5);
    guest.note(1, 130, Kind::Return, 1 << 16 | 3, server, 0);
    guest.note(1, 1100, Kind::Return, 0, server, 0);
    guest.note(
        1,
        1200,
        Kind::Object,
        holder(ProcessId::from_raw(1 << 32 | 1)),
        9,
        hash,
    );
    guest.note(1, 1200, Kind::KernelCall, 4, 0, 9);
    guest.note(1, 1300, Kind::KernelReturn, 0, 0, 0);
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

    let methods = picture.methods.as_ref().unwrap();
    let seen: Vec<_> = methods
        .iter()
        .map(|method| (&*method.server, &*method.name, method.mean_ns))
        .collect();
    assert_eq!(
        seen,
        [
            ("server", "method 7", 1000.0),
            ("kernel", "method 4", 100.0),
            ("server", "method 8", 20.0)
        ]
    );
    assert!(methods[2].errors > 0.0 && methods[0].errors == 0.0);

    let text = to_text(picture);
    assert!(text.contains("method 7"), "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("client") && line.contains("50.0%")),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&to_json(picture)).unwrap();
    assert_eq!(json["processes"][1]["id"], "2.1");
    assert_eq!(json["processes"][0]["processors"]["0"], 0.5);
    assert_eq!(json["idle"]["0"], 0.25);
    assert_eq!(json["methods"][0]["mean_ns"], 1000.0);
    assert_eq!(json["events_lost"], 0);
}

#[test]
fn a_machine_that_said_nothing_has_no_picture() {
    let guest = Guest(vec![0; 0x3000]);
    let names = Names::with_kernel_data(0x1000..0x2000);
    let asked = Asked {
        interval: Duration::from_millis(10),
        once: false,
        methods: false,
    };
    let mut sampler = Sampler::new(names, asked, |_| panic!("shown"));
    assert!(sampler.look(&guest));
    sampler.look_back(&guest);
}
