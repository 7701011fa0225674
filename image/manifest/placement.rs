//! Where processes run: on which processor, and in which resource domain.

use super::fields::{Fields, Value};
use super::near::suggest;
use super::source::Located;

/// Resource domains that an image can have besides the one of everything else.
const DOMAINS: usize = 15;
/// The most that a share can be.
const SHARES: u64 = 10_000;
/// The share of a domain that does not say.
const DEFAULT_SHARE: u32 = 100;

/// Names of the classes, the first ones before the others.
const CLASSES: [&str; 4] = ["realtime", "timeshare", "background", "idle"];

/// A resource domain: who gets how much of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name in the manifest.
    pub name: String,
    /// Its class: what is ready in a higher one runs first.
    pub class: &'static str,
    /// Its part of its class's time, relative to the other domains'.
    pub share: u32,
    /// Percent of a processor that it gets at most; 100 is no limit.
    pub limit: u32,
}

/// Where one process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The server that lives in it; none for the program.
    pub server: Option<&'static str>,
    /// The processor that it starts on.
    pub cpu: u32,
    /// Whether it runs nowhere else.
    pub pinned: bool,
    /// Its resource domain, if it has one.
    pub domain: Option<Located<String>>,
}

/// Reads `[domains]`.
pub(super) fn domains(fields: &Fields<'_>) -> Vec<Domain> {
    let mut found = Vec::new();
    for (name, value) in fields.entries() {
        if found.len() == DOMAINS {
            value.complain(
                format!("there are more than {DOMAINS} domains"),
                "let processes that belong together share one",
            );
            break;
        }
        let Some(fields) = value.fields(format!("[domains.{}]", name.value)) else {
            continue;
        };
        let class = fields
            .get("class")
            .map_or(Some("timeshare"), |value| value.one_of("class", &CLASSES));
        let number = |name, range| {
            let value: Option<Value<'_>> = fields.get(name);
            value.and_then(|value| u32::try_from(value.integer(range)?).ok())
        };
        let (share, limit) = (number("share", 1..=SHARES), number("limit", 1..=100));
        fields.finish();
        if let Some(class) = class {
            found.push(Domain {
                name: name.value,
                class,
                share: share.unwrap_or(DEFAULT_SHARE),
                limit: limit.unwrap_or(100),
            });
        }
    }
    found
}

/// Reads `cpu`, `pinned` and `domain` of a server's table or the program's; nothing if none is there.
pub(super) fn placement(fields: &Fields<'_>, server: Option<&'static str>) -> Option<Placement> {
    let cpu = fields.get("cpu").map(|value| {
        let last = u64::from(super::MAXIMUM_CPUS) - 1;
        value.integer(0..=last).and_then(|cpu| cpu.try_into().ok())
    });
    let pinned = fields.get("pinned").map(|value| value.boolean());
    let domain = fields.get("domain").map(|value| value.string());
    if cpu.is_none() && pinned.is_none() && domain.is_none() {
        return None;
    }
    Some(Placement {
        server,
        cpu: cpu.flatten().unwrap_or(0),
        pinned: pinned.flatten().unwrap_or(false),
        domain: domain.flatten(),
    })
}

/// Complains about placements on processors and in domains that there are not.
pub(super) fn check(fields: &Fields<'_>, placements: &[Placement], domains: &[Domain], cpus: u32) {
    for placement in placements {
        let whose = placement.server.unwrap_or("program");
        if placement.cpu >= cpus {
            fields.complain(
                format!(
                    "`{whose}` is to start on CPU {}, and the machine has {cpus} (CPU 0 is the first)",
                    placement.cpu
                ),
                "choose another cpu, or set machine.cpus",
            );
        }
        if let Some(name) = &placement.domain
            && !domains.iter().any(|domain| domain.name == name.value)
        {
            let known: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
            let remedy = if known.is_empty() {
                format!("add a table [domains.{}]", name.value)
            } else {
                suggest(&name.value, "known domains", &known)
            };
            fields.complain_at(
                &name.span,
                format!("unknown domain `{}`", name.value),
                remedy,
            );
        }
    }
}

impl Placement {
    /// It as the keys of an inline table, without the braces.
    pub(super) fn to_toml(&self) -> String {
        let mut out = format!("cpu = {}\npinned = {}", self.cpu, self.pinned);
        if let Some(domain) = &self.domain {
            out.push_str(&format!("\ndomain = {}", super::quoted(&domain.value)));
        }
        out
    }
}
