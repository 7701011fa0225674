//! The picture of an image as text, as JSON, and as a graph for Graphviz.

use std::fmt::Write;

use serde_json::json;

use super::{Contents, Part};
use crate::manifest::size::rounded;

/// Crates shown for each part.
const CRATES: usize = 6;

/// For people.
pub fn to_text(contents: &Contents) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(contents, &mut out);
    out
}

fn write_text(contents: &Contents, out: &mut String) -> std::fmt::Result {
    let named = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    let servers = contents.servers.iter();
    let servers: Vec<String> = servers
        .map(|server| format!("{} ({})", server.name, server.home))
        .collect();
    writeln!(out, "{}: {}", contents.name, rounded(contents.file_bytes))?;
    writeln!(out, "  program      {}", contents.program)?;
    writeln!(out, "  command      {}", contents.words.join(" "))?;
    writeln!(out, "  personality  {}", contents.personality)?;
    writeln!(out, "  servers      {}", named(&servers))?;
    writeln!(out, "  drivers      {}", named(&contents.drivers))?;
    writeln!(out, "\n{:<28}{:>12}{:>12}", "part", "in file", "in memory")?;
    for part in &contents.parts {
        let (file, memory) = (rounded(part.file_bytes), rounded(part.memory_bytes));
        writeln!(out, "{:<28}{file:>12}{memory:>12}", part.name)?;
        for share in part.crates.iter().take(CRATES) {
            writeln!(out, "  {:<26}{:>12}", share.name, rounded(share.bytes))?;
        }
        if part.crates.len() > CRATES {
            let rest: u64 = part
                .crates
                .iter()
                .skip(CRATES)
                .map(|share| share.bytes)
                .sum();
            let label = format!("{} more", part.crates.len() - CRATES);
            writeln!(out, "  {label:<26}{:>12}", rounded(rest))?;
        }
    }
    let root = &contents.root;
    writeln!(
        out,
        "\nroot file system: {} files ({}), {} directories, {} links, {} others",
        root.files,
        rounded(root.content_bytes),
        root.directories,
        root.links,
        root.others
    )?;
    for (path, size) in &root.largest {
        writeln!(out, "  {:>10}  {path}", rounded(*size))?;
    }
    if let Some(damage) = &root.damage {
        writeln!(out, "  damaged: {damage}")?;
    }
    writeln!(out, "\nwho uses whom")?;
    writeln!(out, "{}", contents.program)?;
    write_tree(
        contents,
        &contents.program,
        "",
        &mut vec![contents.program.clone()],
        out,
    )
}

/// Draws what `name` uses below it; what a part uses is drawn the first time only.
fn write_tree(
    contents: &Contents,
    name: &str,
    indent: &str,
    drawn: &mut Vec<String>,
    out: &mut String,
) -> std::fmt::Result {
    let of = |name: &str| -> Vec<String> {
        let uses = contents.uses.iter().filter(|(user, _)| user == name);
        uses.map(|(_, used)| used.clone()).collect()
    };
    let used = of(name);
    for (index, used_name) in used.iter().enumerate() {
        let last = index + 1 == used.len();
        let (branch, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let again = drawn.contains(used_name);
        let mark = if again && !of(used_name).is_empty() {
            " ..."
        } else {
            ""
        };
        writeln!(out, "{indent}{branch}{used_name}{mark}")?;
        if !again {
            drawn.push(used_name.clone());
            write_tree(contents, used_name, &format!("{indent}{below}"), drawn, out)?;
        }
    }
    Ok(())
}

/// For programs.
pub fn to_json(contents: &Contents) -> String {
    let part = |part: &Part| {
        let crates: Vec<_> = part
            .crates
            .iter()
            .map(|share| json!({ "name": share.name, "bytes": share.bytes }))
            .collect();
        json!({
            "name": part.name,
            "kind": part.kind,
            "home": part.home,
            "file_bytes": part.file_bytes,
            "memory_bytes": part.memory_bytes,
            "crates": crates,
        })
    };
    let root = &contents.root;
    let value = json!({
        "name": contents.name,
        "file_bytes": contents.file_bytes,
        "program": contents.program,
        "arguments": contents.words,
        "personality": contents.personality,
        "drivers": contents.drivers,
        "servers": contents.servers.iter()
            .map(|server| json!({ "name": server.name, "home": server.home, "part": server.part }))
            .collect::<Vec<_>>(),
        "parts": contents.parts.iter().map(part).collect::<Vec<_>>(),
        "root": {
            "bytes": root.bytes,
            "files": root.files,
            "directories": root.directories,
            "links": root.links,
            "others": root.others,
            "content_bytes": root.content_bytes,
            "largest": root.largest.iter()
                .map(|(path, size)| json!({ "path": path, "bytes": size }))
                .collect::<Vec<_>>(),
            "damage": root.damage,
        },
        "uses": contents.uses.iter()
            .map(|(user, used)| json!({ "from": user, "to": used }))
            .collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

/// For Graphviz.
pub fn to_dot(contents: &Contents) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("digraph {} {{\n", quoted(&contents.name));
    for part in contents.parts.iter().filter(|part| part.kind != "data") {
        let label = format!("{}\\n{}", part.name, rounded(part.file_bytes));
        out.push_str(&format!(
            "    {} [label=\"{label}\"];\n",
            quoted(&part.name)
        ));
    }
    for (user, used) in &contents.uses {
        out.push_str(&format!("    {} -> {};\n", quoted(user), quoted(used)));
    }
    out.push_str("}\n");
    out
}
