//! Which interface an object has, as those who hand objects out have noted it.

use std::collections::HashMap;

use kiln_object::ProcessId;
use kiln_object::trace::{Kind, holder};

use super::rings::Noted;

/// Hashes of interfaces.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// By the process that serves an object, and its name.
    served: HashMap<(u64, u64), u64>,
    /// Of the servers in the kernel, by their process, and the object's name.
    at_home: HashMap<(u32, u64), u64>,
    /// Of the kernel's objects, by who holds one, and its name.
    held: HashMap<(u32, u64), u64>,
}

/// An object that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Called {
    /// One that a process serves, by that process and its name there.
    Served(u64, u64),
    /// One of the kernel's, by the process that holds it and its name there.
    Kernel(u64, u64),
}

impl Objects {
    /// Takes notice of an event if it is about an object.
    pub fn note(&mut self, noted: &Noted) {
        let event = &noted.event;
        let (name, interface) = (event.a, event.b);
        if event.kind == Kind::Object as u8 && noted.is_user {
            self.served.insert((noted.owner, name), interface);
        } else if event.kind == Kind::Object as u8 {
            self.held.insert((event.small, name), interface);
        } else if event.kind == Kind::HomeObject as u8 && !noted.is_user {
            self.at_home.insert((event.small, name), interface);
        }
    }

    /// The hash of an object's interface.
    pub fn interface(&self, called: Called) -> Option<u64> {
        let holder = |process| holder(ProcessId::from_raw(process));
        let found = match called {
            Called::Served(process, name) => self
                .served
                .get(&(process, name))
                .or_else(|| self.at_home.get(&(holder(process), name))),
            Called::Kernel(process, name) => self.held.get(&(holder(process), name)),
        };
        found.copied()
    }
}
