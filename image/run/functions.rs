//! The functions of an image's components, for the lines of a post-mortem.
//!
//! The kernel knows addresses only: a line of it ends in `ADDRESS in COMPONENT`, and the function's
//! name is written after that.

use std::sync::Arc;

use kiln_linker::{Class, Image, Symbol, SymbolKind};

/// What begins each line that the kernel itself writes of trouble.
const TROUBLE: &str = "kiln:error:  ";

/// The functions of all components.
#[derive(Debug, Clone, Default)]
pub struct Functions(Arc<[Component]>);

#[derive(Debug)]
struct Component {
    name: String,
    /// First address of the code, and the one after the last.
    code: std::ops::Range<u64>,
    /// By rising address.
    functions: Vec<Symbol>,
}

impl Functions {
    /// Those of an image just composed.
    pub fn of(image: &Image<'_>) -> Self {
        let components = image.components.iter().filter_map(|component| {
            let linked = &component.linked;
            let code = linked.segment(Class::Text)?;
            let functions = linked
                .symbols
                .iter()
                .filter(|symbol| symbol.kind == SymbolKind::Function);
            Some(Component {
                name: linked.name.clone(),
                code: code.virtual_address..code.virtual_address + code.memory_bytes,
                functions: functions.cloned().collect(),
            })
        });
        Self(components.collect())
    }

    /// What is to be written after a line of the image that ends in an address in a component.
    pub fn found(&self, line: &str) -> Option<String> {
        let words = line.strip_prefix(TROUBLE)?;
        let (before, name) = words.rsplit_once(" in ")?;
        let number = before.rsplit(' ').next()?.strip_prefix("0x")?;
        let address = u64::from_str_radix(number, 16).ok()?;
        let component = self.0.iter().find(|component| component.name == name)?;
        if !component.code.contains(&address) {
            return None;
        }
        let functions = &component.functions;
        let after = functions.partition_point(|function| function.address <= address);
        let function = functions.get(after.checked_sub(1)?)?;
        let offset = address - function.address;
        Some(format!(": {}+{offset:#x}", function.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(address: u64, name: &str) -> Symbol {
        Symbol {
            address,
            size: 0,
            class: Class::Text,
            kind: SymbolKind::Function,
            raw_name: name.to_owned(),
            global: true,
        }
    }

    #[test]
    fn an_address_in_a_component_gets_its_function() {
        let functions = Functions(Arc::new([Component {
            name: "server".to_owned(),
            code: 0x1000..0x2000,
            functions: vec![function(0x1010, "first"), function(0x1100, "second")],
        }]));
        let found = |line: &str| functions.found(line);
        assert_eq!(
            found("kiln:error:  at 0x10ff in server").as_deref(),
            Some(": first+0xef")
        );
        assert_eq!(
            found("kiln:error:  in a call of server, made at 0x1100 in server").as_deref(),
            Some(": second+0x0")
        );
        for odd in [
            "kiln:error:  at 0x1100",
            "kiln:error:  at 0x1100 in other",
            "kiln:error:  at 0x1001 in server",
            "kiln:error:  at 0x2000 in server",
            "kiln:error:  at 1100 in server",
            "kiln:error:server:   at 0x1100 in server",
            "kiln:strace:  at 0x1100 in server",
            "in server",
        ] {
            assert_eq!(found(odd), None, "{odd}");
        }
    }
}
