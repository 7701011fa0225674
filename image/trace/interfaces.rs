//! The names of Kiln's own interfaces and of their methods.

use std::collections::HashMap;

use kiln_interface::{file, kernel, name_space};
use kiln_object::Interface;
use kiln_object::call::universal;

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Described {
    name: String,
    methods: HashMap<u16, String>,
}

/// Interfaces by the hashes that tell them apart.
#[derive(Debug, Clone, Default)]
pub struct Interfaces(HashMap<u64, Described>);

impl Interfaces {
    /// Those that this tool was built with.
    pub fn known() -> Self {
        let sources = [
            include_str!("../../core/interface/src/file.rs"),
            include_str!("../../core/interface/src/kernel.rs"),
            include_str!("../../core/interface/src/name_space.rs"),
        ];
        let described: Vec<Described> = sources.iter().flat_map(|text| describe(text)).collect();
        let mut all = HashMap::new();
        for (name, hash) in hashes() {
            if let Some(found) = described.iter().find(|found| found.name == name) {
                all.insert(hash, found.clone());
            }
        }
        Self(all)
    }

    /// The name of a method of the interface with that hash, if it is known.
    pub fn method(&self, hash: Option<u64>, method: u16) -> String {
        let general = match method {
            universal::BIND => Some("bind"),
            universal::GRANT => Some("grant"),
            universal::RELEASE => Some("release"),
            _ => None,
        };
        if let Some(general) = general {
            return general.to_owned();
        }
        let Some(found) = hash.and_then(|hash| self.0.get(&hash)) else {
            return format!("method {method}");
        };
        let interface = found.name.strip_prefix("kiln.").unwrap_or(&found.name);
        match found.methods.get(&method) {
            Some(name) => format!("{interface}.{name}"),
            None => format!("{interface}.{method}"),
        }
    }
}

/// Name and hash of each interface.
fn hashes() -> Vec<(&'static str, u64)> {
    fn of<I: Interface + ?Sized>() -> (&'static str, u64) {
        (I::NAME, I::HASH)
    }
    vec![
        of::<dyn file::FileTree>(),
        of::<dyn file::File>(),
        of::<dyn name_space::NameSpace>(),
        of::<dyn kernel::AddressSpace>(),
        of::<dyn kernel::FileCache>(),
        of::<dyn kernel::Process>(),
        of::<dyn kernel::Console>(),
        of::<dyn kernel::Log>(),
        of::<dyn kernel::Clock>(),
        of::<dyn kernel::Random>(),
        of::<dyn kernel::Machine>(),
    ]
}

/// The interfaces that a source file declares: `#[interface(name = "...")]`, and then
/// `#[method(NUMBER, ...)]` before each `fn NAME(`.
fn describe(source: &str) -> Vec<Described> {
    let mut all: Vec<Described> = Vec::new();
    let mut number = None;
    for line in source.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[interface(name = \"") {
            all.push(Described {
                name: rest.split('"').next().unwrap_or_default().to_owned(),
                methods: HashMap::new(),
            });
        } else if let Some(rest) = line.strip_prefix("#[method(") {
            let digits = rest.split([',', ')']).next().unwrap_or_default();
            number = digits.trim().parse::<u16>().ok();
        } else if let Some(rest) = line.strip_prefix("fn ")
            && let Some(number) = number.take()
            && let Some(interface) = all.last_mut()
        {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            interface.methods.insert(number, name.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilns_own_methods_have_names() {
        let known = Interfaces::known();
        assert_eq!(known.0.len(), hashes().len());
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
