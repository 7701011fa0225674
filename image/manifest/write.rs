//! Writes a manifest as TOML that reads back as the same machine.

use std::fmt::Write;
use std::path::Path;

use super::{Manifest, Owner, RootSource, policy, size};

/// A TOML string with everything escaped that needs it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                out.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn source(source: &RootSource) -> String {
    match source {
        RootSource::Directory {
            path: from,
            to,
            owner,
        } => {
            let owner = match owner {
                Owner::Keep => "",
                Owner::Root => ", owner = \"root\"",
            };
            format!(
                "{{ directory = {}, to = {}{owner} }}",
                path(&from.value),
                quoted(to)
            )
        }
        RootSource::Binary { path: from, to } => {
            format!("{{ binary = {}, to = {} }}", path(&from.value), quoted(to))
        }
        RootSource::Packages {
            names,
            essential,
            documentation,
        } => {
            let names = list(names.iter().map(|name| name.value.as_str()));
            let essential = if *essential { ", essential = true" } else { "" };
            let documentation = if *documentation {
                ", documentation = true"
            } else {
                ""
            };
            format!("{{ packages = {names}{essential}{documentation} }}")
        }
        RootSource::Files(files) => {
            let files: Vec<String> = files
                .iter()
                .map(|file| {
                    let mode = file.mode.map(|mode| format!(", mode = \"{mode:04o}\""));
                    let (from, to) = (path(&file.from.value), quoted(&file.to));
                    format!("{{ from = {from}, to = {to}{} }}", mode.unwrap_or_default())
                })
                .collect();
            format!("{{ files = [{}] }}", files.join(", "))
        }
    }
}

/// The manifest as text.
pub fn to_toml(manifest: &Manifest) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(manifest, &mut out);
    out
}

fn write(manifest: &Manifest, out: &mut String) -> std::fmt::Result {
    let program = &manifest.program;
    writeln!(out, "name = {}", quoted(&manifest.name))?;
    writeln!(out, "personality = {}", quoted(manifest.personality.name))?;
    writeln!(
        out,
        "drivers = {}",
        list(manifest.drivers.iter().map(|driver| driver.name()))
    )?;
    writeln!(out, "\n[program]")?;
    writeln!(out, "path = {}", quoted(&program.path.value))?;
    if let Some(called) = &program.called {
        writeln!(out, "called = {}", quoted(called))?;
    }
    writeln!(
        out,
        "args = {}",
        list(program.args.iter().map(String::as_str))
    )?;
    writeln!(out, "directory = {}", quoted(&program.directory))?;
    let placed = |server| {
        let placement = manifest.placements.iter().find(|one| one.server == server);
        placement.map(|placement| format!("{}\n", placement.to_toml()))
    };
    write!(out, "{}", placed(None).unwrap_or_default())?;
    writeln!(out, "\n[program.env]")?;
    for (name, value) in &program.env {
        writeln!(out, "{} = {}", quoted(name), quoted(value))?;
    }
    writeln!(out, "\n[root]\nfrom = [")?;
    for from in &manifest.root.from {
        writeln!(out, "    {},", source(&from.value))?;
    }
    writeln!(out, "]\nwritable = {}", manifest.root.writable)?;
    for (server, home) in &manifest.servers {
        writeln!(
            out,
            "\n[servers.{}]\nhome = {}",
            server.name,
            quoted(&home.name())
        )?;
        let wanted = manifest.policy(server.name);
        let restart = wanted.restart.map_or("never", |_| "always");
        writeln!(out, "restart = {}", quoted(restart))?;
        if let Some(limit) = wanted.restart {
            let limit = format!("{}/{}", limit.count, policy::exact(limit.window_ms));
            writeln!(out, "restart-limit = {}", quoted(&limit))?;
        }
        for (name, limit) in [
            ("call-limit", wanted.call_limit_ms),
            ("answer-limit", wanted.answer_limit_ms),
            ("start-limit", wanted.start_limit_ms),
        ] {
            writeln!(out, "{name} = {}", quoted(&policy::exact_limit(limit)))?;
        }
        write!(out, "{}", placed(Some(server.name)).unwrap_or_default())?;
    }
    for domain in &manifest.domains {
        writeln!(
            out,
            "\n[domains.{}]\nclass = {}\nshare = {}\nlimit = {}",
            quoted(&domain.name),
            quoted(domain.class),
            domain.share,
            domain.limit
        )?;
    }
    writeln!(out, "\n[machine]")?;
    writeln!(
        out,
        "memory = {}",
        quoted(&size::exact(manifest.machine.memory))
    )?;
    writeln!(out, "cpus = {}", manifest.machine.cpus)?;
    writeln!(out, "model = {}", quoted(manifest.machine.model.name()))?;
    let (columns, rows) = manifest.console.size;
    writeln!(out, "\n[console]\nsize = \"{columns}x{rows}\"")
}
