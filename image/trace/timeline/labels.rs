//! What processes, objects, interrupts and waits are called.

use kiln_object::Error;
use kiln_object::dispatcher::soft_interrupt;
use kiln_object::trace::{Event, Reason};

use crate::trace::names::Names;
use crate::trace::objects::{Called, Objects};
use crate::trace::recorder::Recording;

/// Names of everything in one recording.
pub(super) struct Labels<'a> {
    names: &'a Names,
    recording: &'a Recording,
    objects: Objects,
}

impl<'a> Labels<'a> {
    pub(super) fn new(recording: &'a Recording, names: &'a Names) -> Self {
        let mut objects = Objects::default();
        for noted in &recording.events {
            objects.note(noted);
        }
        Self {
            names,
            recording,
            objects,
        }
    }

    /// The time of an event: nanoseconds since the kernel's entry.
    pub(super) fn time(&self, event: &Event) -> u64 {
        self.recording.clock.ns(event.stamp)
    }

    pub(super) fn process(&self, process: u64) -> String {
        match self.recording.processes.get(&process) {
            Some(name) => self.names.process(name),
            None => format!("process {}.{}", process as u32, process >> 32),
        }
    }

    /// An address in a process or the kernel, with the function that it is in if that is known.
    pub(super) fn address(&self, process: u64, address: u64) -> String {
        let component = self.recording.processes.get(&process);
        self.names
            .address(component.map_or("", |name| name), address)
    }

    /// A method of an object.
    pub(super) fn method(&self, called: Called, method: u16) -> String {
        self.names.method(self.objects.interface(called), method)
    }

    /// A name that a process gave by its address and its bytes.
    pub(super) fn text(&self, process: u64, [address, bytes]: [u64; 2]) -> String {
        let component = self.recording.processes.get(&process);
        let component = component.map_or("", |name| name);
        let text = self.names.text(component, address, bytes);
        text.map_or_else(|| format!("{address:#x}"), str::to_owned)
    }

    /// What a wait is called, and what is known of it.
    pub(super) fn wait(&self, event: &Event) -> (String, Vec<(&'static str, String)>) {
        let whom = || self.process(event.a);
        match Reason::from_number(event.small) {
            Some(Reason::SoftInterrupt) => {
                let until = match event.a {
                    u64::MAX => "a soft interrupt".to_owned(),
                    ns => format!("{} us", ns / 1000),
                };
                ("waits".to_owned(), vec![("until", until)])
            }
            Some(Reason::Start) => (format!("waits for the start of {}", whom()), Vec::new()),
            Some(Reason::Room) => (format!("waits for room in {}", whom()), Vec::new()),
            Some(Reason::Answer) => (format!("waits for the answer of {}", whom()), Vec::new()),
            Some(Reason::Page) => {
                let address = vec![("address", format!("{:#x}", event.a))];
                ("waits for a page".to_owned(), address)
            }
            None => (format!("waits ({})", event.small), Vec::new()),
        }
    }
}

/// The names of soft interrupts.
pub(super) fn soft_interrupts(bits: u64) -> String {
    const NAMES: [(u64, &str); 10] = [
        (soft_interrupt::CONSOLE, "console input"),
        (soft_interrupt::TIMER, "timer"),
        (soft_interrupt::PREEMPT, "give way"),
        (soft_interrupt::CONSOLE_OUTPUT, "console output"),
        (soft_interrupt::MESSAGE, "message"),
        (soft_interrupt::RETRY, "room"),
        (soft_interrupt::CALL_DONE, "answer"),
        (soft_interrupt::FAULT_DONE, "page"),
        (soft_interrupt::WAKE, "wake"),
        (soft_interrupt::DEATH, "death"),
    ];
    let known = NAMES.iter().filter(|(bit, _)| bits & bit != 0);
    let mut names: Vec<String> = known.map(|(_, name)| (*name).to_owned()).collect();
    let rest = NAMES.iter().fold(bits, |rest, (bit, _)| rest & !bit);
    if rest != 0 || names.is_empty() {
        names.push(format!("{rest:#x}"));
    }
    names.join(", ")
}

/// How a call ended.
pub(super) fn status(small: u32) -> String {
    match small & 0xffff {
        0 => "ok".to_owned(),
        code => match Error::from_code(code as u16) {
            Some(error) => format!("{error:?}"),
            None => format!("status {code}"),
        },
    }
}

/// An object's name as its server has it.
pub(super) fn object(name: u64) -> String {
    format!("{}.{}", name as u32, name >> 32)
}
