//! Follows the events of a processor: which activation runs, which calls it is in, why it waits.

use std::collections::HashMap;

use kiln_object::trace::{Event, Kind};

use super::labels::{self, Labels, object, status};
use super::remote::{self, Posts};
use super::spans::{Open, Spans};
use super::user::OpenByUser;
use super::{Activation, Flow, Item, Track};
use crate::trace::names::{self, Names};
use crate::trace::objects::Called;
use crate::trace::recorder::{Noted, Recording};

/// What is known of one processor.
#[derive(Debug, Default)]
pub(super) struct Processor {
    /// The running activation.
    activation: Option<Activation>,
    /// The process that runs, and since when.
    running: Option<(u64, u64)>,
    /// An interrupt being handled.
    interrupt: Option<Item>,
}

/// Follows events and collects items.
pub(super) struct Follower<'a> {
    pub(super) labels: Labels<'a>,
    posts: Posts,
    pub(super) spans: Spans,
    pub(super) threads: HashMap<(u64, u32), Vec<OpenByUser>>,
    /// The number that the first thread of a process has, once that is known.
    pub(super) first_threads: HashMap<u64, u32>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        recording: &'a Recording,
        names: &'a Names,
        events: &[&Noted],
        end: u64,
    ) -> Self {
        let labels = Labels::new(recording, names);
        let (posts, items) = remote::posts(&labels, events, end);
        let mut spans = Spans::default();
        spans.items = items;
        Self {
            labels,
            posts,
            spans,
            threads: HashMap::new(),
            first_threads: HashMap::new(),
        }
    }

    /// Ends what is open, and gives all items back.
    pub(super) fn finish(mut self, end: u64) -> Vec<Item> {
        self.spans.close_all(end);
        self.end_threads(end);
        self.spans.items
    }

    pub(super) fn follow(&mut self, processor: &mut Processor, noted: &Noted, kind: Kind) {
        let (cpu, owner, event) = (noted.cpu, noted.owner, &noted.event);
        let now = self.labels.time(event);
        if noted.is_user {
            let runs = processor
                .running
                .is_some_and(|(process, _)| process == owner);
            let activation = processor.activation.filter(|_| runs);
            return self.follow_user(owner, activation, event, kind, now);
        }
        match kind {
            Kind::Switch => {
                let (depth, serves) = (event.small >> 16, event.small & 0xffff);
                let home = event.a;
                let activation = Activation { home, cpu, serves };
                self.end_interrupt(processor, now);
                processor.activation = Some(activation);
                self.run(processor, cpu, Some(event.b), now);
                self.spans
                    .close_calls(activation, depth as usize, now, None);
                self.spans.close(activation, Kind::Wait, now, Vec::new());
            }
            Kind::Idle => {
                self.end_interrupt(processor, now);
                processor.activation = None;
                self.run(processor, cpu, None, now);
            }
            Kind::Interrupt => {
                self.end_interrupt(processor, now);
                let name = names::interrupt(event.small & 0xff);
                let at = self.labels.address(owner, event.a);
                let arguments = vec![
                    ("vector", format!("{:#x}", event.small & 0xff)),
                    ("process", self.labels.process(owner)),
                    ("at", at),
                ];
                let item = Item::new(Track::Interrupts(cpu), name, "interrupt", now);
                processor.interrupt = Some(item.with(arguments));
            }
            Kind::InterruptDone => self.end_interrupt(processor, now),
            Kind::Serve => self.begin_to_serve(processor, noted, now),
            Kind::Answer => {
                let activation = Activation {
                    home: event.a,
                    cpu,
                    serves: remote::served(event),
                };
                let answer = Some(status(event.small));
                self.spans.close_calls(activation, 0, now, answer);
            }
            Kind::ProcessStart | Kind::ProcessEnd | Kind::Raise | Kind::SoftInterrupt => {
                self.note_process(cpu, event, kind, now);
            }
            _ => {
                let activation = *processor
                    .activation
                    .get_or_insert(Activation::own(owner, cpu));
                self.follow_activation(processor, noted, kind, activation, now);
            }
        }
    }

    /// Notes a point in the life of the process that the event names.
    fn note_process(&mut self, cpu: u32, event: &Event, kind: Kind, now: u64) {
        let process = || self.labels.process(event.a);
        let bits = vec![("bits", labels::soft_interrupts(event.b))];
        let (name, category, arguments) = match kind {
            Kind::ProcessStart => (format!("{} starts", process()), "process", Vec::new()),
            Kind::ProcessEnd => {
                let status = vec![("status", event.small.to_string())];
                (format!("{} ends", process()), "process", status)
            }
            Kind::Raise => ("soft interrupt raised".to_owned(), "message", bits),
            _ => ("soft interrupt".to_owned(), "message", bits),
        };
        let track = Track::Activation(Activation::own(event.a, cpu));
        let item = Item::new(track, name, category, now).with(arguments);
        self.spans.items.push(item);
    }

    /// An activation of this processor enters its process with a call of another.
    fn begin_to_serve(&mut self, processor: &mut Processor, noted: &Noted, now: u64) {
        let (cpu, owner, event) = (noted.cpu, noted.owner, &noted.event);
        let activation = Activation {
            home: owner,
            cpu,
            serves: remote::served(event),
        };
        let posted = self.posts.find(activation.serves, event);
        let called = posted.map_or(0, |posted| posted.object);
        let name = self
            .labels
            .method(Called::Served(owner, called), event.small as u16);
        let track = Track::Activation(activation);
        let mut item = Item::new(track, name, "call", now).with(vec![
            ("from", self.labels.process(event.a)),
            ("to", self.labels.process(owner)),
            ("object", object(called)),
        ]);
        item.flow = posted.map(|posted| Flow::To(posted.flow));
        self.spans.close_calls(activation, 0, now, None);
        let (kind, served) = (Kind::Call, None);
        self.spans.open(activation, Open { kind, item, served });
        processor.activation = Some(activation);
        self.run(processor, cpu, Some(owner), now);
    }

    /// What an activation does.
    fn follow_activation(
        &mut self,
        processor: &mut Processor,
        noted: &Noted,
        kind: Kind,
        activation: Activation,
        now: u64,
    ) {
        let (owner, event) = (noted.owner, &noted.event);
        let method = event.small as u16;
        let depth = (event.small >> 16) as usize;
        let track = Track::Activation(activation);
        let open = |name, category, arguments| Open {
            kind,
            item: Item::new(track, name, category, now).with(arguments),
            served: None,
        };
        match kind {
            Kind::Call => {
                self.spans.close_calls(activation, depth, now, None);
                let name = self.labels.method(Called::Served(event.a, event.b), method);
                let arguments = vec![
                    ("from", self.labels.process(owner)),
                    ("to", self.labels.process(event.a)),
                    ("object", object(event.b)),
                ];
                let call = Open {
                    served: Some(Track::Served(event.a, activation)),
                    ..open(name, "call", arguments)
                };
                self.spans.open(activation, call);
                self.run(processor, activation.cpu, Some(event.a), now);
            }
            Kind::Return => {
                let answer = Some(status(event.small));
                self.spans.close_calls(activation, depth, now, answer);
                self.run(processor, activation.cpu, Some(owner), now);
            }
            Kind::KernelCall => {
                let name = self.labels.method(Called::Kernel(owner, event.b), method);
                let arguments = vec![
                    ("from", self.labels.process(owner)),
                    ("object", object(event.b)),
                ];
                self.spans.close(activation, kind, now, Vec::new());
                self.spans.open(activation, open(name, "kernel", arguments));
            }
            Kind::KernelReturn => {
                let answer = vec![("status", status(event.small))];
                self.spans.close(activation, Kind::KernelCall, now, answer);
            }
            Kind::Fault => {
                let vector = event.small & 0xff;
                let name = names::exception(vector);
                let arguments = vec![
                    ("process", self.labels.process(owner)),
                    ("address", format!("{:#x}", event.a)),
                    ("at", self.labels.address(owner, event.b)),
                    ("error", format!("{:#x}", event.small >> 16)),
                ];
                self.spans.close(activation, kind, now, Vec::new());
                self.spans.open(activation, open(name, "fault", arguments));
            }
            Kind::FaultDone => {
                let how = match event.small {
                    0 => "resolved",
                    1 => "told to the process",
                    _ => "the process ends",
                };
                let outcome = vec![("outcome", how.to_owned())];
                self.spans.close(activation, Kind::Fault, now, outcome);
            }
            Kind::Wait => {
                let (name, arguments) = self.labels.wait(event);
                self.spans.open(activation, open(name, "wait", arguments));
            }
            Kind::Park => {
                let (name, arguments) = self.labels.wait(event);
                let name = format!("a thread {name}");
                let item = Item::new(track, name, "wait", now).with(arguments);
                self.spans.items.push(item);
            }
            Kind::Send => {
                let name = format!(
                    "send {}",
                    self.labels.method(Called::Served(event.a, event.b), method)
                );
                let item = Item::new(track, name, "message", now).with(vec![
                    ("to", self.labels.process(event.a)),
                    ("object", object(event.b)),
                ]);
                self.spans.items.push(item);
            }
            _ => {}
        }
    }

    pub(super) fn end_interrupt(&mut self, processor: &mut Processor, now: u64) {
        if let Some(item) = processor.interrupt.take() {
            self.spans.items.push(item.until(now));
        }
    }

    /// Shows what ran on the processor until now, if something else does from now on.
    pub(super) fn run(&mut self, processor: &mut Processor, cpu: u32, next: Option<u64>, now: u64) {
        if processor.running.map(|(process, _)| process) == next {
            return;
        }
        if let Some((process, since)) = processor.running.take() {
            let name = self.labels.process(process);
            let item = Item::new(Track::Processor(cpu), name, "running", since);
            self.spans.items.push(item.until(now));
        }
        processor.running = next.map(|process| (process, now));
    }
}
