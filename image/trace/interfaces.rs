//! The names of Kiln's own interfaces and of their methods.

use std::collections::HashMap;

use kiln_object::call::universal;
use kiln_object::describe::Description;

/// Interfaces by the hashes that tell them apart.
#[derive(Debug, Clone, Default)]
pub struct Interfaces(HashMap<u64, &'static Description>);

impl Interfaces {
    /// Those that this tool was built with.
    pub fn known() -> Self {
        let all = kiln_interface::ALL.iter();
        Self(all.map(|interface| (interface.hash, *interface)).collect())
    }

    /// The name of a method of the interface with that hash, if it is known.
    pub fn method(&self, hash: Option<u64>, method: u16) -> String {
        if let Some(general) = universal::name(method) {
            return general.to_owned();
        }
        let Some(found) = hash.and_then(|hash| self.0.get(&hash)) else {
            return format!("method {method}");
        };
        let interface = found.name.strip_prefix("kiln.").unwrap_or(found.name);
        match found.methods.iter().find(|entry| entry.number == method) {
            Some(entry) => format!("{interface}.{}", entry.name),
            None => format!("{interface}.{method}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_interface::{kernel, name_space};
    use kiln_object::Interface;

    use super::*;

    #[test]
    fn kilns_own_methods_have_names() {
        let known = Interfaces::known();
        assert_eq!(known.0.len(), kiln_interface::ALL.len());
        assert!(known.0.values().all(|found| !found.methods.is_empty()));
        let process = <dyn kernel::Process as Interface>::HASH;
        let wait = kernel::process_methods::WAIT;
        assert_eq!(known.method(Some(process), wait), "process.wait");
        let names = <dyn name_space::NameSpace as Interface>::HASH;
        let version = name_space::name_space_methods::VERSION;
        assert_eq!(known.method(Some(names), version), "name_space.version");
    }

    #[test]
    fn what_is_unknown_keeps_its_number() {
        let known = Interfaces::known();
        assert_eq!(known.method(None, 7), "method 7");
        assert_eq!(known.method(Some(1), 7), "method 7");
        assert_eq!(known.method(None, universal::BIND), "bind");
        let process = <dyn kernel::Process as Interface>::HASH;
        assert_eq!(known.method(Some(process), 0x7f00), "process.32512");
    }
}
