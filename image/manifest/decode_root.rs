//! Reads `[root]`: the sources of the root file system, in their order.

use std::path::{Path, PathBuf};

use super::fields::{Fields, Value, plain_guest_path};
use super::near::suggest;
use super::source::Located;
use super::{FileSource, Owner, Root, RootSource};

pub(super) fn root(fields: Fields<'_>) -> Root {
    let example = "from = { packages = [\"busybox-static\"] }";
    let from = match fields.require("from", example) {
        Some(value) if value.is_table() => root_source(&value).into_iter().collect(),
        Some(value) => value
            .array()
            .unwrap_or_default()
            .iter()
            .filter_map(root_source)
            .collect(),
        None => Vec::new(),
    };
    let writable = fields
        .get("writable")
        .and_then(|value| value.boolean())
        .unwrap_or(true);
    fields.finish();
    Root { from, writable }
}

const SOURCES: [&str; 4] = ["directory", "binary", "packages", "files"];

fn root_source(value: &Value<'_>) -> Option<Located<RootSource>> {
    let fields = value.fields("a source of the root file system")?;
    let named: Vec<_> = fields
        .entries()
        .into_iter()
        .filter(|(name, _)| SOURCES.contains(&name.value.as_str()))
        .collect();
    if named.len() > 1 {
        let second = &named[1].0.value;
        let message = format!(
            "one source names both `{}` and `{second}`",
            named[0].0.value
        );
        value.complain(
            message,
            "make two sources of them: from = [ { .. }, { .. } ]",
        );
        return None;
    }
    let source = match named.first().map(|(name, _)| name.value.as_str()) {
        Some("directory") => directory_source(&fields),
        Some("binary") => binary_source(&fields),
        Some("packages") => package_source(&fields),
        Some("files") => fields
            .get("files")
            .map(|value| file_sources(&value))
            .map(RootSource::Files),
        _ => {
            let entries = fields.entries();
            match entries.first() {
                Some((wrong, _)) => value.complain(
                    format!("unknown kind of source: `{}`", wrong.value),
                    suggest(&wrong.value, "known kinds", &SOURCES),
                ),
                None => value.complain(
                    "a source names nothing",
                    suggest("", "known kinds", &SOURCES),
                ),
            }
            return None;
        }
    };
    fields.finish();
    Some(Located {
        value: source?,
        span: value.span(),
    })
}

fn directory_source(fields: &Fields<'_>) -> Option<RootSource> {
    let path = fields.get("directory").and_then(|value| host_path(&value));
    let to = destination(fields, || Some("/".to_owned()));
    let owner = fields.get("owner").map_or(Some(Owner::Keep), |value| {
        match value.one_of("owner", &["keep", "root"])? {
            "root" => Some(Owner::Root),
            _ => Some(Owner::Keep),
        }
    });
    Some(RootSource::Directory {
        path: path?,
        to: to?,
        owner: owner?,
    })
}

fn binary_source(fields: &Fields<'_>) -> Option<RootSource> {
    let path = fields.get("binary").and_then(|value| host_path(&value));
    let to = destination(fields, || default_binary_place(&path.as_ref()?.value));
    Some(RootSource::Binary {
        to: to?,
        path: path?,
    })
}

/// Where a program of the host goes when the manifest does not say.
///
/// Programs installed on the host keep their path, since they may look for their
/// parts beside it; a program from a work directory goes to `/bin`.
pub(crate) fn default_binary_place(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let whole = path.to_str()?;
    let installed = ["/bin/", "/sbin/", "/usr/", "/opt/", "/lib/", "/lib64/"];
    if installed.iter().any(|place| whole.starts_with(place)) {
        plain_guest_path(whole).ok()
    } else {
        Some(format!("/bin/{name}"))
    }
}

fn destination(fields: &Fields<'_>, default: impl FnOnce() -> Option<String>) -> Option<String> {
    match fields.get("to") {
        Some(value) => value.guest_path().map(|path| path.value),
        None => default(),
    }
}

fn package_source(fields: &Fields<'_>) -> Option<RootSource> {
    let value = fields.get("packages")?;
    let names = value.strings()?;
    for (name, item) in names.iter().zip(value.array()?) {
        if !crate::debian::is_package_name(&name.value) {
            item.complain(
                format!("`{}` is no package name", name.value),
                "write names as apt takes them, such as \"python3\" or \"hello=2.10-3\"",
            );
        }
    }
    let flag = |name| {
        fields
            .get(name)
            .and_then(|value| value.boolean())
            .unwrap_or(false)
    };
    Some(RootSource::Packages {
        names,
        essential: flag("essential"),
        documentation: flag("documentation"),
    })
}

fn file_sources(value: &Value<'_>) -> Vec<FileSource> {
    let file = |item: &Value<'_>| {
        let fields = item.fields("a file of the root file system")?;
        let from = fields
            .require("from", "{ from = \"hello.py\", to = \"/app/hello.py\" }")
            .and_then(|value| host_path(&value));
        let to = fields
            .require("to", "{ from = \"hello.py\", to = \"/app/hello.py\" }")
            .and_then(|value| value.guest_path());
        let mode = fields.get("mode").map(|value| mode(&value));
        fields.finish();
        let mode = match mode {
            Some(mode) => Some(mode?),
            None => None,
        };
        Some(FileSource {
            from: from?,
            to: to?.value,
            mode,
        })
    };
    value
        .array()
        .unwrap_or_default()
        .iter()
        .filter_map(file)
        .collect()
}

fn mode(value: &Value<'_>) -> Option<u16> {
    let text = value.string()?;
    let mode = u16::from_str_radix(&text.value, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        value.complain(
            format!("`{}` is no file mode", text.value),
            "write permission bits in octal, such as \"0644\" or \"0755\"",
        );
    }
    mode
}

fn host_path(value: &Value<'_>) -> Option<Located<PathBuf>> {
    let text = value.string()?;
    if text.value.is_empty() {
        value.complain(
            format!("`{}` is empty", value.name),
            "write a path on this host",
        );
        return None;
    }
    Some(Located {
        value: PathBuf::from(text.value),
        span: text.span,
    })
}
