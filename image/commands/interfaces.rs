//! `kiln interfaces`: what can be asked of the system's objects, and by whom.

use std::fmt::Write as _;

use kiln_object::describe::{ArgumentDescription, Description, MethodDescription, Travel};
use serde_json::{Value, json};

use crate::Error;
use crate::command_line::Interfaces;

/// Prints the interfaces whose names contain what is asked for.
///
/// # Errors
/// There is no interface of such a name.
pub fn interfaces(asked: &Interfaces) -> Result<(), Error> {
    let wanted = asked.name.as_deref().unwrap_or_default();
    let chosen: Vec<&Description> = kiln_interface::ALL
        .into_iter()
        .filter(|interface| interface.name.contains(wanted))
        .collect();
    if chosen.is_empty() {
        return Err(Error::Usage {
            message: format!("no interface has `{wanted}` in its name"),
            remedy: "`kiln interfaces` lists all".to_owned(),
        });
    }
    super::inspect::print(&if asked.json {
        let all: Vec<Value> = chosen.iter().map(|interface| to_json(interface)).collect();
        format!("{:#}\n", json!({ "interfaces": all }))
    } else if asked.name.is_some() {
        chosen.iter().map(|interface| in_full(interface)).collect()
    } else {
        chosen.iter().map(|interface| in_short(interface)).collect()
    });
    Ok(())
}

/// A line for the interface and one for each method.
fn in_short(interface: &Description) -> String {
    let mut text = heading(interface);
    for method in interface.methods {
        let _ = writeln!(text, "  {}", line(method));
    }
    text.push('\n');
    text
}

/// The same with all that the source says.
fn in_full(interface: &Description) -> String {
    let mut text = heading(interface);
    indented(&mut text, interface.documentation, "  ");
    for method in interface.methods {
        let _ = writeln!(text, "\n  {}", line(method));
        indented(&mut text, method.documentation, "        ");
    }
    text.push('\n');
    text
}

fn heading(interface: &Description) -> String {
    format!("{}  (hash {:016x})\n", interface.name, interface.hash)
}

fn indented(text: &mut String, documentation: &str, indent: &str) {
    for line in documentation.lines() {
        let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
    }
}

/// `3  read(offset: u64, bytes: &mut [u8]) -> usize  READ idempotent`.
fn line(method: &MethodDescription) -> String {
    let arguments: Vec<String> = method.arguments.iter().filter_map(argument).collect();
    let mut text = format!(
        "{:>3}  {}({})",
        method.number,
        method.name,
        arguments.join(", ")
    );
    if method.result != "()" {
        let _ = write!(text, " -> {}", method.result);
    }
    let _ = write!(text, "  {}", rights(method.right));
    if let Some(argument) = method.delegate {
        let _ = write!(text, ", DELEGATE for another {argument}");
    }
    for (name, is) in [
        ("idempotent", method.idempotent),
        ("oneway", method.one_way),
    ] {
        if is {
            let _ = write!(text, ", {name}");
        }
    }
    text
}

fn argument(argument: &ArgumentDescription) -> Option<String> {
    let mut text = format!("{}: {}", argument.name, argument.kind);
    match argument.travel {
        // Whoever calls does not give it.
        Travel::Caller => return None,
        Travel::InOut => text.push_str(" in and out"),
        Travel::Handed(kept) => {
            let _ = write!(text, " with {}", rights(kept));
        }
        Travel::Words | Travel::In | Travel::Out => {}
    }
    if let Some(bound) = argument.bound {
        let _ = write!(text, " up to {bound}");
    }
    Some(text)
}

fn rights(rights: kiln_object::Rights) -> String {
    let names: Vec<&str> = rights.iter_names().map(|(name, _)| name).collect();
    names.join("|")
}

fn to_json(interface: &Description) -> Value {
    let methods: Vec<Value> = interface.methods.iter().map(method_to_json).collect();
    json!({
        "name": interface.name,
        "hash": format!("{:016x}", interface.hash),
        "documentation": interface.documentation,
        "methods": methods,
    })
}

fn method_to_json(method: &MethodDescription) -> Value {
    let arguments: Vec<Value> = method
        .arguments
        .iter()
        .map(|argument| {
            let travel = match argument.travel {
                Travel::Words => "words",
                Travel::In => "in",
                Travel::Out => "out",
                Travel::InOut => "in and out",
                Travel::Caller => "caller",
                Travel::Handed(_) => "handed",
            };
            let kept = match argument.travel {
                Travel::Handed(kept) => Some(rights(kept)),
                _ => None,
            };
            json!({
                "name": argument.name,
                "type": argument.kind,
                "travels": travel,
                "rights": kept,
                "bound": argument.bound,
            })
        })
        .collect();
    json!({
        "number": method.number,
        "name": method.name,
        "right": rights(method.right),
        "delegate": method.delegate,
        "idempotent": method.idempotent,
        "oneway": method.one_way,
        "arguments": arguments,
        "result": method.result,
        "documentation": method.documentation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str, method: &str) -> &'static MethodDescription {
        let interface = kiln_interface::ALL
            .into_iter()
            .find(|interface| interface.name == name)
            .expect("listed");
        let mut methods = interface.methods.iter();
        methods.find(|entry| entry.name == method).expect("listed")
    }

    #[test]
    fn a_method_is_told_in_a_line() {
        assert_eq!(
            line(method("kiln.file", "read")),
            "  1  read(offset: u64, bytes: &mut [u8]) -> usize  READ, idempotent"
        );
        let open = line(method("kiln.file_tree", "open"));
        assert!(
            open.ends_with("-> Opened  LOOKUP, DELEGATE for another owner, idempotent"),
            "{open}"
        );
        assert_eq!(
            line(method("kiln.file", "pages")).matches("caller").count(),
            0
        );
    }

    #[test]
    fn every_interface_is_listed_once_and_documented() {
        for (index, interface) in kiln_interface::ALL.iter().enumerate() {
            assert!(!interface.documentation.is_empty(), "{}", interface.name);
            assert!(
                interface
                    .methods
                    .iter()
                    .all(|method| !method.documentation.is_empty())
            );
            let mut earlier = kiln_interface::ALL[..index].iter();
            assert!(
                earlier.all(|other| other.name != interface.name && other.hash != interface.hash)
            );
        }
    }
}
