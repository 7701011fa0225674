//! Calls between processors, and what threads note themselves.

use kiln_object::trace::{Event, Kind, Reason};

use super::{Activation, Flow, Track, items};
use crate::trace::directory::Clock;
use crate::trace::names::Names;
use crate::trace::reader::arrows;
use crate::trace::recorder::{Noted, Recording};
use crate::trace::tests::{Guest, check_nesting, own, process, record, written};

#[test]
fn a_call_to_another_processor_leads_to_where_it_is_served() {
    let (client, server) = (process(1), process(2));
    let noted = |cpu, owner, stamp, kind: Kind, small, a, b| Noted {
        cpu,
        owner,
        is_user: false,
        event: Event {
            stamp,
            sequence: 0,
            kind: kind as u8,
            small,
            a,
            b,
        },
    };
    let place = 3 << 16;
    let serving = kiln_object::trace::serving(0, 3);
    let recording = Recording {
        clock: Clock {
            base: 0,
            multiplier: 1 << 32,
        },
        events: vec![
            noted(0, client, 100, Kind::Switch, 0, client, client),
            noted(0, client, 200, Kind::Post, place | 7, server, 5),
            noted(0, client, 210, Kind::Wait, Reason::Answer as u32, server, 0),
            noted(0, client, 420, Kind::Switch, 0, client, client),
            noted(0, client, 430, Kind::Collect, place, 0, 0),
            // The same place again, whose answer nobody takes.
            noted(0, client, 600, Kind::Post, place | 8, server, 5),
            noted(1, server, 250, Kind::Serve, place | 7, client, 0),
            noted(
                1,
                server,
                255,
                Kind::Switch,
                1 << 16 | serving,
                server,
                server,
            ),
            noted(1, server, 260, Kind::Fault, 14, 0x5000, 0x400),
            noted(1, server, 270, Kind::FaultDone, 0, 0, 0),
            noted(1, server, 400, Kind::Answer, place, server, 0),
            noted(1, server, 405, Kind::Idle, 0, 0, 0),
            noted(1, server, 650, Kind::Serve, place | 8, client, 0),
        ],
        ..Recording::default()
    };
    let items = items(&recording, &Names::default());
    check_nesting(&items);
    let on = |track: Track| -> Vec<(&str, u64, u64, Option<Flow>)> {
        let on = items.iter().filter(|item| item.track == track);
        on.map(|item| (item.name.as_str(), item.start, item.end.unwrap(), item.flow))
            .collect()
    };
    assert_eq!(
        on(Track::Posted(client, 0, 3)),
        [
            ("method 7", 200, 430, Some(Flow::From(1))),
            ("method 8", 600, 650, Some(Flow::From(3))),
        ]
    );
    let serves = Activation {
        home: server,
        cpu: 1,
        serves: serving,
    };
    assert_eq!(
        on(Track::Activation(serves)),
        [
            ("method 7", 250, 400, Some(Flow::To(1))),
            ("page fault", 260, 270, None),
            ("method 8", 650, 650, Some(Flow::To(3))),
        ]
    );
    assert_eq!(
        on(Track::Activation(own(client))),
        [("waits for the answer of process 2.1", 210, 420, None)]
    );
    let json = written(&recording, &items);
    let ends: Vec<_> = arrows(&json)
        .into_iter()
        .map(|(end, id, at, _)| (end, id, at))
        .collect();
    assert_eq!(
        ends,
        [("s", 1, 0.2), ("f", 1, 0.25), ("s", 3, 0.6), ("f", 3, 0.65)]
    );
}

#[test]
fn the_first_thread_is_the_same_with_and_without_a_number() {
    let mut guest = Guest::new(&["client"]);
    let client = process(1);
    guest.note(1, 100, Kind::Switch, 0, client, client);
    let mut recording = record(&guest);
    let user = |stamp, kind: Kind, thread: u32, name| Noted {
        cpu: 0,
        owner: client,
        is_user: true,
        event: Event {
            stamp,
            sequence: 0,
            kind: kind as u8,
            small: thread << 8 | 4,
            a: name,
            b: 0,
        },
    };
    recording.events.extend([
        user(200, Kind::Begin, 0, 0x1000),
        user(300, Kind::End, 54, 0x1000),
        user(400, Kind::Begin, 54, 0x2000),
        user(450, Kind::Begin, 55, 0x3000),
        user(500, Kind::End, 54, 0x2000),
        user(600, Kind::End, 55, 0x3000),
    ]);
    let last = Noted {
        is_user: false,
        ..user(700, Kind::Idle, 0, 0)
    };
    recording.events.push(last);
    let items = items(&recording, &Names::default());
    check_nesting(&items);
    let spans: Vec<_> = items
        .iter()
        .filter(|item| item.category == "user")
        .map(|item| (item.track, item.start, item.end.unwrap()))
        .collect();
    let first = Track::Activation(own(client));
    assert_eq!(
        spans,
        [
            (first, 200, 300),
            (first, 400, 500),
            (Track::Thread(client, 55), 450, 600)
        ]
    );
}
