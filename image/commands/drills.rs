//! What is done to servers on purpose, as `kiln run --end` and `--deaf` say it.
//!
//! The kernel would go on without what it does not understand, and the run prove nothing: so what an
//! image cannot do is refused before its machine starts.

use kiln_object::configuration::{Configuration, key};
use kiln_object::process_record::{KERNEL, PROGRAM, ProcessRecord, trim};

use crate::Error;
use crate::command_line::Run;
use crate::manifest::near::suggest;

/// In place of the name of whose calls are counted: those to the one that ends.
const ITSELF: &str = "call";

/// The parts of `SERVER@MS`, `SERVER@call:N` and `SERVER@OTHER:N`: the server and whose calls are
/// counted.
fn parts(end: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    let (server, when) = end.rsplit_once('@')?;
    let (whose, number) = when.rsplit_once(':').unwrap_or((ITSELF, when));
    (is_name(server) && is_name(whose) && number.parse::<u32>().is_ok()).then_some((server, whose))
}

/// Refuses what cannot be meant, whatever the image.
///
/// # Errors
/// A word that is none of the forms.
pub(super) fn check_form(asked: &Run) -> Result<(), Error> {
    if let Some(end) = asked.end.iter().find(|end| parts(end).is_none()) {
        return Err(Error::usage(
            format!("--end cannot be {end}"),
            "give a server and when it ends: after so many milliseconds, such as image_root@500, \
             or calls to it, such as image_root@call:200, or to another, such as \
             image_root@memory_fs:200",
        ));
    }
    let is_name = |name: &&String| !name.is_empty() && !name.contains(char::is_whitespace);
    match asked.deaf.iter().find(|name| !is_name(name)) {
        None => Ok(()),
        Some(name) => Err(Error::usage(
            format!("--deaf cannot be {name:?}"),
            "give the name of a server, such as memory_fs",
        )),
    }
}

/// Refuses what the image with this configuration cannot do.
///
/// # Errors
/// A server that it does not have, or has in the kernel.
pub(super) fn check(asked: &Run, configuration: &[u8]) -> Result<(), Error> {
    let (mut own, mut in_kernel) = (Vec::new(), Vec::new());
    for value in Configuration::new(configuration).values(key::PROCESS) {
        let Some(record) = ProcessRecord::parse(value).filter(|record| !record.is(PROGRAM)) else {
            continue;
        };
        let hosted = record.hosted.iter();
        let names = hosted.filter_map(|name| std::str::from_utf8(trim(name)).ok());
        match record.is(KERNEL) {
            true => in_kernel.extend(names),
            false => own.extend(names),
        }
    }
    own.dedup();
    let one = |option: &str, name: &str| {
        if own.contains(&name) {
            return Ok(());
        }
        if in_kernel.contains(&name) {
            return Err(Error::usage(
                format!("{option} cannot be said of {name}: in this image it lives in the kernel"),
                format!("give it a process: {name} = {{ home = \"own\" }} under [servers]"),
            ));
        }
        Err(Error::usage(
            format!("{option}: there is no server `{name}` in the image"),
            match own.is_empty() {
                true => "no server of the image has a process of its own".to_owned(),
                false => suggest(name, "servers with a process of their own", &own),
            },
        ))
    };
    for (server, whose) in asked.end.iter().filter_map(|end| parts(end)) {
        one("--end", server)?;
        if whose != ITSELF {
            one("--end", whose)?;
        }
    }
    asked.deaf.iter().try_for_each(|name| one("--deaf", name))
}

/// The words of the kernel's command line.
pub(super) fn words(asked: &Run) -> Vec<String> {
    let ends = asked.end.iter().map(|end| format!("end={end}"));
    let deaf = asked.deaf.iter().map(|name| format!("deaf={name}"));
    ends.chain(deaf).collect()
}
