//! From events in rings to spans of time on tracks.
//!
//! Each processor's events are put in the order of their stamps and followed one by one: which
//! activation runs, and which calls it is in. Spans on a track are always nested whatever the events
//! say: what is not ended when something around it ends, ends with it.

use std::collections::HashMap;

use kiln_object::trace::{Event, Kind, holder};
use kiln_object::{Error, ProcessId};

use super::names::Names;
use super::recorder::{Noted, Recording};

/// Where something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// What runs on a processor.
    Processor(u32),
    /// The interrupts of a processor.
    Interrupts(u32),
    /// What an activation does, by the process in which it started and its processor.
    Activation(u64, u32),
    /// What a process serves for such an activation.
    Served(u64, (u64, u32)),
    /// What a thread of a process notes itself.
    Thread(u64, u32),
}

/// Something to be shown. Times are nanoseconds since the kernel's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where.
    pub track: Track,
    /// What.
    pub name: String,
    /// Which kind of thing.
    pub category: &'static str,
    /// When it began.
    pub start: u64,
    /// When it ended; none for a point in time.
    pub end: Option<u64>,
    /// How many spans it is in.
    pub depth: usize,
    /// What is known of it.
    pub arguments: Vec<(&'static str, String)>,
}

/// A span that has not ended.
#[derive(Debug)]
struct Open {
    kind: Kind,
    item: Item,
    /// The same on the track of the process that serves it.
    served: Option<Track>,
}

/// A span of a process's own that has not ended, and the address and length of its name.
type OpenByUser = (Item, [u64; 2]);

/// What is known of one processor.
#[derive(Debug, Default)]
struct Processor {
    /// The running activation: its home process.
    activation: Option<u64>,
    /// The process that runs, and since when.
    running: Option<(u64, u64)>,
    /// An interrupt being handled.
    interrupt: Option<Item>,
}

/// Follows events and collects items.
struct Follower<'a> {
    names: &'a Names,
    recording: &'a Recording,
    /// Interfaces by the process that serves an object, and its name.
    objects: HashMap<(u64, u64), u64>,
    /// Interfaces of the kernel's objects by who holds one, and its name.
    held: HashMap<(u64, u64), u64>,
    stacks: HashMap<(u64, u32), Vec<Open>>,
    threads: HashMap<(u64, u32), Vec<OpenByUser>>,
    items: Vec<Item>,
}

/// All items of a recording, in an order in which what is around comes first.
pub fn items(recording: &Recording, names: &Names) -> Vec<Item> {
    let [objects, held] = objects(recording);
    let mut follower = Follower {
        names,
        recording,
        objects,
        held,
        stacks: HashMap::new(),
        threads: HashMap::new(),
        items: Vec::new(),
    };
    let trusted = recording.events.iter().filter(|noted| !noted.is_user);
    let last = trusted.map(|noted| noted.event.stamp).max().unwrap_or(0);
    let mut events: Vec<&Noted> = recording
        .events
        .iter()
        .filter(|noted| noted.event.stamp <= last)
        .collect();
    events.sort_by_key(|noted| (noted.cpu, noted.event.stamp));
    let tail = u64::try_from(recording.tail.as_nanos()).unwrap_or(u64::MAX);
    let end = recording.clock.ns(last).saturating_add(tail);
    for of_cpu in events.chunk_by(|one, other| one.cpu == other.cpu) {
        let mut processor = Processor::default();
        let cpu = of_cpu.first().map_or(0, |noted| noted.cpu);
        for noted in of_cpu {
            if let Some(kind) = Kind::from_number(noted.event.kind) {
                follower.follow(&mut processor, noted, kind);
            }
        }
        follower.run(&mut processor, cpu, None, end);
        follower.end_interrupt(&mut processor, end);
    }
    follower.end_all(end);
    let mut items = follower.items;
    items.sort_by(|one, other| {
        let key = |item: &Item| (item.start, std::cmp::Reverse(item.end), item.depth);
        key(one).cmp(&key(other))
    });
    items
}

/// The interfaces of objects, as the processes that serve them noted, and of the kernel's objects by
/// the processes that hold them.
fn objects(recording: &Recording) -> [HashMap<(u64, u64), u64>; 2] {
    let mut of_processes = HashMap::new();
    let mut of_kernel = HashMap::new();
    let noted = recording.events.iter();
    for noted in noted.filter(|noted| noted.event.kind == Kind::Object as u8) {
        let event = &noted.event;
        if noted.is_user {
            of_processes.insert((noted.owner, event.a), event.b);
        } else {
            of_kernel.insert((u64::from(event.small), event.a), event.b);
        }
    }
    [of_processes, of_kernel]
}

fn status(small: u32) -> String {
    match small & 0xffff {
        0 => "ok".to_owned(),
        code => match Error::from_code(code as u16) {
            Some(error) => format!("{error:?}"),
            None => format!("status {code}"),
        },
    }
}

impl Follower<'_> {
    fn process(&self, process: u64) -> String {
        match self.recording.processes.get(&process) {
            Some(name) => self.names.process(name),
            None => format!("process {}.{}", process as u32, process >> 32),
        }
    }

    fn address(&self, process: u64, address: u64) -> String {
        let component = self.recording.processes.get(&process);
        self.names
            .address(component.map_or("", |name| name), address)
    }

    fn follow(&mut self, processor: &mut Processor, noted: &Noted, kind: Kind) {
        let (cpu, owner, event) = (noted.cpu, noted.owner, &noted.event);
        let now = self.recording.clock.ns(event.stamp);
        if noted.is_user {
            let runs = processor
                .running
                .is_some_and(|(process, _)| process == owner);
            let activation = processor.activation.filter(|_| runs);
            return self.follow_user(owner, activation.map(|home| (home, cpu)), event, kind, now);
        }
        let depth = (event.small >> 16) as usize;
        match kind {
            Kind::Switch => {
                self.end_interrupt(processor, now);
                processor.activation = Some(event.a);
                self.run(processor, cpu, Some(event.b), now);
                self.close_calls((event.a, cpu), depth, now, None);
                self.close((event.a, cpu), Kind::Wait, now, Vec::new());
            }
            Kind::Idle => {
                self.end_interrupt(processor, now);
                processor.activation = None;
                self.run(processor, cpu, None, now);
            }
            Kind::Interrupt => {
                self.end_interrupt(processor, now);
                let vector = event.small & 0xff;
                let at = self.address(owner, event.a);
                let name = format!("interrupt {vector:#x}");
                let mut item = self.item(Track::Interrupts(cpu), name, "interrupt", now);
                item.arguments = vec![("process", self.process(owner)), ("at", at)];
                processor.interrupt = Some(item);
            }
            Kind::InterruptDone => self.end_interrupt(processor, now),
            Kind::ProcessStart | Kind::ProcessEnd => {
                let verb = if kind == Kind::ProcessStart {
                    "starts"
                } else {
                    "ends"
                };
                let name = format!("{} {verb}", self.process(event.a));
                let mut item = self.item(Track::Activation(event.a, cpu), name, "process", now);
                if kind == Kind::ProcessEnd {
                    item.arguments = vec![("status", event.small.to_string())];
                }
                self.items.push(item);
            }
            Kind::Raise | Kind::SoftInterrupt => {
                let name = if kind == Kind::Raise {
                    "soft interrupt raised"
                } else {
                    "soft interrupt"
                };
                let track = Track::Activation(event.a, cpu);
                let mut item = self.item(track, name.to_owned(), "message", now);
                item.arguments = vec![("bits", format!("{:#x}", event.b))];
                self.items.push(item);
            }
            _ => {
                let home = *processor.activation.get_or_insert(owner);
                self.follow_activation(processor, noted, kind, (home, cpu), now);
            }
        }
    }

    /// What an activation does.
    fn follow_activation(
        &mut self,
        processor: &mut Processor,
        noted: &Noted,
        kind: Kind,
        activation: (u64, u32),
        now: u64,
    ) {
        let (owner, event) = (noted.owner, &noted.event);
        let method = event.small as u16;
        let depth = (event.small >> 16) as usize;
        match kind {
            Kind::Call => {
                self.close_calls(activation, depth, now, None);
                let hash = self.objects.get(&(event.a, event.b)).copied();
                let name = self.names.method(hash, method);
                let arguments = vec![
                    ("from", self.process(owner)),
                    ("to", self.process(event.a)),
                    ("object", object(event.b)),
                ];
                let served = Some(Track::Served(event.a, activation));
                self.open(activation, Kind::Call, name, "call", now, arguments, served);
                self.run(processor, activation.1, Some(event.a), now);
            }
            Kind::Return => {
                self.close_calls(activation, depth, now, Some(status(event.small)));
                self.run(processor, activation.1, Some(owner), now);
            }
            Kind::KernelCall => {
                let holder = holder(ProcessId::from_raw(owner));
                let hash = self.held.get(&(u64::from(holder), event.b)).copied();
                let name = self.names.method(hash, method);
                let arguments = vec![("from", self.process(owner)), ("object", object(event.b))];
                self.close(activation, Kind::KernelCall, now, Vec::new());
                self.open(activation, kind, name, "kernel", now, arguments, None);
            }
            Kind::KernelReturn => {
                let answer = vec![("status", status(event.small))];
                self.close(activation, Kind::KernelCall, now, answer);
            }
            Kind::Fault => {
                let vector = event.small & 0xff;
                let name = match vector {
                    14 => "page fault".to_owned(),
                    vector => format!("exception {vector}"),
                };
                let arguments = vec![
                    ("process", self.process(owner)),
                    ("address", format!("{:#x}", event.a)),
                    ("at", self.address(owner, event.b)),
                    ("error", format!("{:#x}", event.small >> 16)),
                ];
                self.close(activation, Kind::Fault, now, Vec::new());
                self.open(activation, kind, name, "fault", now, arguments, None);
            }
            Kind::FaultDone => {
                let how = match event.small {
                    0 => "resolved",
                    1 => "told to the process",
                    _ => "the process ends",
                };
                self.close(
                    activation,
                    Kind::Fault,
                    now,
                    vec![("outcome", how.to_owned())],
                );
            }
            Kind::Wait => {
                let until = match event.a {
                    u64::MAX => "a soft interrupt".to_owned(),
                    ns => format!("{} us", ns / 1000),
                };
                let (name, arguments) = ("waits".to_owned(), vec![("until", until)]);
                self.open(activation, kind, name, "wait", now, arguments, None);
            }
            Kind::Send => {
                let hash = self.objects.get(&(event.a, event.b)).copied();
                let name = format!("send {}", self.names.method(hash, method));
                let track = Track::Activation(activation.0, activation.1);
                let mut item = self.item(track, name, "message", now);
                item.arguments = vec![("to", self.process(event.a)), ("object", object(event.b))];
                self.items.push(item);
            }
            _ => {}
        }
    }

    /// What a process notes itself, of which nothing is believed but that it wrote it. `activation` is
    /// what runs in the process then: spans of its first thread are shown there.
    fn follow_user(
        &mut self,
        owner: u64,
        activation: Option<(u64, u32)>,
        event: &Event,
        kind: Kind,
        now: u64,
    ) {
        let (bytes, thread) = (u64::from(event.small & 0xff), event.small >> 8);
        let activation = activation.filter(|_| thread == 0);
        let track = match activation {
            Some((home, cpu)) => Track::Activation(home, cpu),
            None => Track::Thread(owner, thread),
        };
        let name = [event.a, bytes];
        match kind {
            Kind::Mark => {
                let mut item = self.item(track, self.text(owner, name), "user", now);
                item.arguments = vec![("value", format!("{:#x}", event.b))];
                self.items.push(item);
            }
            Kind::Begin => {
                let text = self.text(owner, name);
                let arguments = vec![("value", format!("{:#x}", event.b))];
                if let Some(activation) = activation {
                    return self.open(activation, kind, text, "user", now, arguments, None);
                }
                let mut item = self.item(track, text, "user", now);
                item.arguments = arguments;
                let stack = self.threads.entry((owner, thread)).or_default();
                item.depth = stack.len();
                stack.push((item, name));
            }
            Kind::End => {
                if let Some(activation) = activation {
                    let text = self.text(owner, name);
                    let stack = self.stacks.entry(activation).or_default();
                    // Only what is innermost: a call in it is not ended by what a process says.
                    if stack.last().is_some_and(|open| open.item.name == text) {
                        self.close(activation, Kind::Begin, now, Vec::new());
                    }
                    return;
                }
                let stack = self.threads.entry((owner, thread)).or_default();
                let begun = stack.iter().rposition(|(_, begun)| *begun == name);
                for (mut item, _) in stack.drain(begun.unwrap_or(stack.len())..).rev() {
                    item.end = Some(now.max(item.start));
                    self.items.push(item);
                }
            }
            _ => {}
        }
    }

    /// A name that a process gave by its address and its bytes.
    fn text(&self, owner: u64, [address, bytes]: [u64; 2]) -> String {
        let component = self.recording.processes.get(&owner);
        let component = component.map_or("", |name| name);
        let text = self.names.text(component, address, bytes);
        text.map_or_else(|| format!("{address:#x}"), str::to_owned)
    }

    fn item(&self, track: Track, name: String, category: &'static str, start: u64) -> Item {
        Item {
            track,
            name,
            category,
            start,
            end: None,
            depth: 0,
            arguments: Vec::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are a span's parts")]
    fn open(
        &mut self,
        activation: (u64, u32),
        kind: Kind,
        name: String,
        category: &'static str,
        now: u64,
        arguments: Vec<(&'static str, String)>,
        served: Option<Track>,
    ) {
        let track = Track::Activation(activation.0, activation.1);
        let mut item = self.item(track, name, category, now);
        item.arguments = arguments;
        let stack = self.stacks.entry(activation).or_default();
        item.depth = stack.len();
        stack.push(Open { kind, item, served });
    }

    /// Ends the innermost span if it is of that kind.
    fn close(
        &mut self,
        activation: (u64, u32),
        kind: Kind,
        now: u64,
        more: Vec<(&'static str, String)>,
    ) {
        let stack = self.stacks.entry(activation).or_default();
        if let Some(mut open) = stack.pop_if(|open| open.kind == kind) {
            open.item.arguments.extend(more);
            self.end(open, now);
        }
    }

    /// Ends spans until the activation is in `depth` calls; the last one that ends is answered.
    fn close_calls(
        &mut self,
        activation: (u64, u32),
        depth: usize,
        now: u64,
        answer: Option<String>,
    ) {
        let stack = self.stacks.entry(activation).or_default();
        let mut calls = stack
            .iter()
            .enumerate()
            .filter(|(_, open)| open.kind == Kind::Call);
        let keep = match calls.nth(depth) {
            Some((place, _)) => place,
            // In so many calls, and in nothing more, unless it waits.
            None => stack
                .iter()
                .rposition(|open| matches!(open.kind, Kind::Call | Kind::Wait | Kind::Begin))
                .map_or(0, |place| place + 1),
        };
        let mut ended: Vec<Open> = stack.drain(keep..).collect();
        if let (Some(answer), Some(open)) = (answer, ended.first_mut())
            && open.kind == Kind::Call
        {
            open.item.arguments.push(("status", answer));
        }
        for open in ended.into_iter().rev() {
            self.end(open, now);
        }
    }

    fn end(&mut self, open: Open, now: u64) {
        let mut item = open.item;
        item.end = Some(now.max(item.start));
        if let Some(track) = open.served {
            self.items.push(Item {
                track,
                ..item.clone()
            });
        }
        self.items.push(item);
    }

    fn end_interrupt(&mut self, processor: &mut Processor, now: u64) {
        if let Some(mut item) = processor.interrupt.take() {
            item.end = Some(now.max(item.start));
            self.items.push(item);
        }
    }

    /// Shows what ran on the processor until now, if something else does from now on.
    fn run(&mut self, processor: &mut Processor, cpu: u32, next: Option<u64>, now: u64) {
        if processor.running.map(|(process, _)| process) == next {
            return;
        }
        if let Some((process, since)) = processor.running.take() {
            let name = self.process(process);
            let mut item = self.item(Track::Processor(cpu), name, "running", since);
            item.end = Some(now.max(since));
            self.items.push(item);
        }
        processor.running = next.map(|process| (process, now));
    }

    fn end_all(&mut self, now: u64) {
        for activation in self.stacks.keys().copied().collect::<Vec<_>>() {
            for open in self
                .stacks
                .remove(&activation)
                .unwrap_or_default()
                .into_iter()
                .rev()
            {
                self.end(open, now);
            }
        }
        for stack in std::mem::take(&mut self.threads).into_values() {
            for (mut item, _) in stack.into_iter().rev() {
                item.end = Some(now.max(item.start));
                self.items.push(item);
            }
        }
    }
}

fn object(name: u64) -> String {
    format!("{}.{}", name as u32, name >> 32)
}
