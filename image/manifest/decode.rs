//! Turns the text of a manifest into a [`Manifest`], or into complaints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeTable;

use super::fields::{Complaints, Fields, Value};
use super::homes;
use super::near::suggest;
use super::source::Source;
use super::{
    Console, DEFAULT_PATH, Machine, MachineModel, Manifest, ManifestError, Placement, Policy,
    Program, decode_root, placement, size,
};
use crate::components::{Driver, Home, Needed, Personality, SERVERS, Server, needed_servers};

/// The most processors an image is started with.
pub const MAXIMUM_CPUS: u32 = 8;
/// The least and the most memory a machine can be given, in bytes.
const MEMORY: std::ops::RangeInclusive<u64> = 2 << 20..=1 << 42;
/// Memory of a machine whose manifest does not say.
pub(super) const DEFAULT_MEMORY: u64 = 128 << 20;

pub(super) fn decode(source: Source, directory: PathBuf) -> Result<Manifest, ManifestError> {
    let text = source.clone();
    let document = DeTable::parse(text.text()).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
        source
            .complain(&span, message)
            .remedy(if error.message().contains("duplicate key") {
                "say it once: a field has one value, and there is one server of a name"
            } else {
                "correct the syntax; strings stand in quotes, tables begin with [name]"
            })
    })?;
    let complaints = Complaints::new(source.clone());
    // The whole text is the span of what is missing from it: shown at line 1.
    let fields = Fields::new(&complaints, document.get_ref(), 0..0, "the manifest");
    let decoded = machine_description(&fields, &source, directory);
    fields.finish();
    let found = complaints.into_vec();
    match decoded {
        Some(manifest) if found.is_empty() => Ok(manifest),
        _ => Err(ManifestError(found)),
    }
}

fn machine_description(
    fields: &Fields<'_>,
    source: &Source,
    directory: PathBuf,
) -> Option<Manifest> {
    let name = fields
        .require("name", "name = \"hello\"")
        .and_then(|value| image_name(&value));
    let personality = fields
        .get("personality")
        .map_or(Some(Personality::usual()), |value| {
            value
                .one_of("personality", &Personality::names())
                .and_then(Personality::from_name)
        });
    let drivers = fields.get("drivers").map_or_else(
        || vec![Driver::Serial, Driver::DebugConsole],
        |value| drivers(&value),
    );
    let mut placements = Vec::new();
    let program = fields
        .table("program")
        .map(|fields| program(fields, &mut placements));
    if program.is_none() && fields.get("program").is_none() {
        fields.require("program", "[program] with path = \"/bin/hello\"");
    }
    let root = fields.table("root").map(decode_root::root);
    if root.is_none() && fields.get("root").is_none() {
        fields.require("root", "[root] with from = { binary = \"hello\" }");
    }
    let console = fields
        .table("console")
        .map_or_else(Console::default, console);
    let machine = fields
        .table("machine")
        .map_or_else(Machine::default, machine);
    let writable = root.as_ref().is_none_or(|root| root.writable);
    let personality = personality?;
    let mut policies = BTreeMap::new();
    let servers = match fields.table("servers") {
        Some(table) => servers(
            &table,
            personality,
            writable,
            &mut policies,
            &mut placements,
        ),
        None => needed_servers(personality, writable)
            .into_iter()
            .map(|server| (server, Home::Own))
            .collect(),
    };
    let domains = fields
        .table("domains")
        .map(|table| placement::domains(&table))
        .unwrap_or_default();
    placement::check(fields, &placements, &domains, machine.cpus);
    Some(Manifest {
        source: source.clone(),
        directory,
        name: name?,
        personality,
        drivers,
        program: program??,
        root: root?,
        servers,
        policies,
        placements,
        domains,
        machine,
        console,
    })
}

/// Whether `name` can name an image and the files made for it.
pub(crate) fn is_image_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn image_name(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if is_image_name(&text.value) {
        return Some(text.value);
    }
    value.complain(
        format!("`{}` cannot name an image", text.value),
        "use up to 64 letters, digits, `.`, `_` and `-`, the first one a letter or digit",
    );
    None
}

fn drivers(value: &Value<'_>) -> Vec<Driver> {
    let mut found = Vec::new();
    for item in value.array().unwrap_or_default() {
        let driver = item
            .one_of("driver", &Driver::NAMES)
            .and_then(Driver::from_name);
        if let Some(driver) = driver {
            if found.contains(&driver) {
                item.complain(
                    format!("driver `{}` is named twice", driver.name()),
                    "remove one",
                );
            }
            found.push(driver);
        }
    }
    found.sort();
    found
}

fn program(fields: Fields<'_>, placements: &mut Vec<Placement>) -> Option<Program> {
    placements.extend(placement::placement(&fields, None));
    let path = fields
        .require("path", "path = \"/bin/hello\"")
        .and_then(|value| value.guest_path());
    let called = fields
        .get("called")
        .and_then(|value| value.string())
        .map(|text| text.value);
    let args = fields
        .get("args")
        .and_then(|value| value.strings())
        .unwrap_or_default();
    let mut env = fields
        .get("env")
        .map(|value| environment(&value))
        .unwrap_or_default();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", "/root")] {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    let directory = fields.get("directory").map_or_else(
        || Some("/".to_owned()),
        |value| value.guest_path().map(|path| path.value),
    );
    fields.finish();
    Some(Program {
        path: path?,
        called,
        args: args.into_iter().map(|text| text.value).collect(),
        env,
        directory: directory?,
    })
}

fn environment(value: &Value<'_>) -> Vec<(String, String)> {
    let Some(fields) = value.fields("program.env") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, value) in fields.entries() {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            value.complain(
                format!("`{}` cannot name an environment variable", name.value),
                "a name is not empty and has no `=`",
            );
        } else if let Some(text) = value.string() {
            found.push((name.value, text.value));
        }
    }
    found
}

/// What the manifest can say of a server that has a process.
const OF_A_PROCESS: [&str; 8] = [
    "cpu",
    "pinned",
    "domain",
    "restart",
    "restart-limit",
    "call-limit",
    "answer-limit",
    "start-limit",
];

fn servers(
    fields: &Fields<'_>,
    personality: &Personality,
    writable: bool,
    policies: &mut BTreeMap<&'static str, Policy>,
    placements: &mut Vec<Placement>,
) -> Vec<(&'static Server, Home)> {
    let mut found = Vec::new();
    let entries = fields.entries();
    for (name, value) in &entries {
        let Some(server) = Server::from_name(&name.value) else {
            value.complain(
                format!("unknown server `{}`", name.value),
                suggest(&name.value, "known servers", &Server::names()),
            );
            continue;
        };
        let Some(fields) = value.fields(format!("[servers.{}]", name.value)) else {
            continue;
        };
        policies.insert(server.name, Policy::read(&fields));
        placements.extend(placement::placement(&fields, Some(server.name)));
        let of_a_process = OF_A_PROCESS.map(|name| (name, fields.get(name)));
        let home = home(fields);
        if home == Some(Home::Kernel) {
            for (name, value) in of_a_process {
                let Some(value) = value else { continue };
                value.complain(
                    format!("`{name}` means nothing for a server in the kernel"),
                    "leave it out: it runs where it is called, and ends with the machine",
                );
            }
        }
        found.extend(home.map(|home| (server, home)));
    }
    for server in needed_servers(personality, writable) {
        if !entries.iter().any(|(name, _)| name.value == server.name) {
            let remedy = match server.needed {
                Needed::ForWritableRoot => "add it, or set root.writable = false".to_owned(),
                _ => format!("add: {} = {{ home = \"own\" }}", server.name),
            };
            fields.complain(
                format!(
                    "[servers] leaves out `{}`, which {}",
                    server.name, server.purpose
                ),
                remedy,
            );
        }
    }
    found.sort_by_key(|(server, _)| SERVERS.iter().position(|other| other.name == server.name));
    for misplaced in homes::misplaced(&found, writable) {
        let place = entries
            .iter()
            .find(|(name, _)| name.value == misplaced.server);
        if let Some((_, value)) = place {
            value.complain(misplaced.message, misplaced.remedy);
        }
    }
    found
}

fn home(fields: Fields<'_>) -> Option<Home> {
    let home = fields.get("home");
    fields.finish();
    let Some(value) = home else {
        return Some(Home::Own);
    };
    let text = value.string()?.value;
    if let Some(name) = text.strip_prefix(Home::SHARED) {
        return match homes::shared_name(name) {
            Ok(()) => Some(Home::Shared(name.to_owned())),
            Err(remedy) => {
                value.complain(format!("`{name}` cannot name a shared home"), remedy);
                None
            }
        };
    }
    match text.as_str() {
        "own" => Some(Home::Own),
        "kernel" => Some(Home::Kernel),
        other => {
            value.complain(
                format!("unknown home `{other}`"),
                suggest(other, "known homes", &["own", "kernel", "shared:NAME"]),
            );
            None
        }
    }
}

fn machine(fields: Fields<'_>) -> Machine {
    let default = Machine::default();
    let memory = fields.get("memory").and_then(|value| {
        let words = value.words()?;
        match memory_size(&words) {
            Ok(bytes) => Some(bytes),
            Err(remedy) => {
                value.complain(format!("`memory` cannot be {words}"), remedy);
                None
            }
        }
    });
    let cpus = fields
        .get("cpus")
        .and_then(|value| value.integer(1..=u64::from(MAXIMUM_CPUS)))
        .and_then(|cpus| u32::try_from(cpus).ok());
    let model = fields.get("model").and_then(|value| {
        value
            .one_of("machine model", &MachineModel::NAMES)
            .and_then(MachineModel::from_name)
    });
    fields.finish();
    Machine {
        memory: memory.unwrap_or(default.memory),
        cpus: cpus.unwrap_or(default.cpus),
        model: model.unwrap_or(default.model),
    }
}

/// Reads a memory size in bytes.
///
/// # Errors
/// A remedy, if it is no size or not one that a machine can have.
pub(crate) fn memory_size(words: &str) -> Result<u64, String> {
    let bytes = size::parse(words)?;
    if !MEMORY.contains(&bytes) || !bytes.is_multiple_of(4096) {
        let (least, most) = (size::exact(*MEMORY.start()), size::exact(*MEMORY.end()));
        return Err(format!(
            "a machine has from {least} to {most}, in whole pages of 4K"
        ));
    }
    Ok(bytes)
}

fn console(fields: Fields<'_>) -> Console {
    let size = fields.get("size").and_then(|value| {
        let text = value.string()?;
        let parts = text.value.split_once('x');
        let size = parts.and_then(|(columns, rows)| {
            Some((columns.parse::<u16>().ok()?, rows.parse::<u16>().ok()?))
        });
        if size.is_none() {
            value.complain(
                format!("`{}` is no terminal size", text.value),
                "write columns and rows, such as \"80x24\"",
            );
        }
        size
    });
    fields.finish();
    size.map_or_else(Console::default, |size| Console { size })
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory: DEFAULT_MEMORY,
            cpus: 1,
            model: MachineModel::Microvm,
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self { size: (80, 24) }
    }
}
