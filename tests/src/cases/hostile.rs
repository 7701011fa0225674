//! A component that attacks the kernel and the servers, in place of a program.

use kiln_tests::compile::{self, Linkage};
use kiln_tests::expect::ensure;
use kiln_tests::image::{Written, kiln, least_manifest};
use kiln_tests::places;

use crate::Tests;

/// What is attacked: processors, a word for the name, and where the servers are.
const ATTACKED: [(u32, &str, &str); 5] = [
    (1, "1", OWN),
    (2, "2", OWN),
    (4, "4", OWN),
    (
        2,
        "pinned",
        "name_space = { home = \"shared:files\", restart = \"never\" }\n\
         image_root = { home = \"shared:files\", restart = \"never\" }\n\
         memory_fs = { home = \"own\", cpu = 1, pinned = true, restart = \"never\" }",
    ),
    (
        2,
        "kernel",
        "name_space = { home = \"kernel\" }\nimage_root = { home = \"kernel\" }\n\
         memory_fs = { home = \"own\", restart = \"never\" }",
    ),
];

/// Whoever attacks binds by name, and would take a server's successor for it: there is to be none.
const OWN: &str = "name_space = { home = \"own\", restart = \"never\" }\n\
                   image_root = { home = \"own\", restart = \"never\" }\n\
                   memory_fs = { home = \"own\", restart = \"never\" }";

/// Whether nobody ended but the servers called `mortal`, by the lines of the log.
fn nobody_ended_but(mortal: &str, log: &str) -> Result<(), String> {
    const ENDS: [&str; 5] = [
        " was started again",
        " is not started again",
        " could not be started again",
        " was started ",
        " ended with status ",
    ];
    let of_others = |line: &&str| {
        ENDS.iter().any(|end| {
            line.split_once(end)
                .is_some_and(|(before, _)| before.rsplit([' ', ':']).next() != Some(mortal))
        })
    };
    match log.lines().find(of_others) {
        None => Ok(()),
        Some(line) => Err(format!("a server ended that must not: {line:?} in\n{log}")),
    }
}

/// Several processes that attack `servers` on `cpus` processors with so many calls in all, by a seed.
///
/// KILN_ATTACK_CALLS and KILN_ATTACK_SEED change what is asked, KILN_ATTACK_FROM where it begins.
fn attack(cpus: u32, word: &str, servers: &str) -> Result<(), String> {
    let asked = |name: &str, otherwise: u64| match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name} is {text:?}")),
        Err(_) => Ok(otherwise),
    };
    let (calls, seed) = (
        asked("KILN_ATTACK_CALLS", 150_000)?,
        asked("KILN_ATTACK_SEED", 1)?,
    );
    let from = asked("KILN_ATTACK_FROM", 1)?;
    // A fifth of what a slow host makes; a run of any length stops by itself.
    let limit = 240 + calls / 2_000;
    let name = format!("attack-{word}");
    let known = places::made().join(format!("{name}-known"));
    std::fs::write(&known, "known bytes\n".repeat(1000)).map_err(|error| error.to_string())?;
    let text = format!(
        "name = \"attack\"\npersonality = \"attack\"\n\
         drivers = [\"serial\", \"debug_console\"]\n\
         [program]\npath = \"/\"\nargs = [\"seed={seed}\", \"calls={calls}\", \"from={from}\"]\n\
         [root]\nfrom = [{{ files = [{{ from = {known:?}, to = \"/known\" }}] }}]\nwritable = true\n\
         [servers]\n{servers}\n\
         [machine]\nmemory = \"128M\"\ncpus = {cpus}\n"
    );
    let manifest = Written::new(&name, &text)?;
    let output = kiln([
        "run".as_ref(),
        "--timeout".as_ref(),
        limit.to_string().as_ref(),
        manifest.path.as_os_str(),
    ])?;
    let said = output.text();
    ensure(
        output.status == 0 && said.trim_end().ends_with(": ok"),
        || format!("status {}: {said}\n{}", output.status, output.err),
    )?;
    nobody_ended_but("attack_victim", &output.err)?;
    if std::env::var_os("KILN_ATTACK_CALLS").is_some() {
        println!(
            "{}",
            said.trim_end().lines().next_back().unwrap_or_default()
        );
    }
    Ok(())
}

/// Adds the tests.
pub fn add(tests: &mut Tests) {
    tests.add("hostile::attacks_and_random_calls", || {
        let binary = compile::c("hello", Linkage::Static)?;
        let text = least_manifest("hostile", &binary)
            .replacen("\"linux\"", "\"hostile\"", 1)
            .replace("writable = false", "writable = true")
            .replace("[machine]", "memory_fs = { home = \"own\" }\n[machine]")
            .replace(
                "{ home = \"own\" }",
                "{ home = \"own\", restart = \"never\" }",
            )
            .replace("memory = \"32M\"", "memory = \"64M\"");
        let manifest = Written::new("hostile", &text)?;
        let output = kiln([
            "run".as_ref(),
            "--timeout".as_ref(),
            "240".as_ref(),
            manifest.path.as_os_str(),
        ])?
        .expect_status(0)?;
        nobody_ended_but("hostile_server", &output.err)?;
        // It ends with another status, and says why, if an attack got an answer that it must not.
        ensure(output.text().trim_end().ends_with(": ok"), || output.text())
    });
    for (cpus, word, servers) in ATTACKED {
        tests.add(
            format!("hostile::several_processes_at_once_{word}"),
            move || attack(cpus, word, servers),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::nobody_ended_but;

    #[test]
    fn an_end_of_a_server_is_seen() {
        let fine =
            "kernel: attack_victim was started again\nkernel: attack_victim ended with status 7\n";
        assert_eq!(nobody_ended_but("attack_victim", fine), Ok(()));
        for line in [
            "kernel: image_root was started again",
            "kernel: memory_fs is not started again",
            "kernel: name_space was started 4 times in a row without getting ready: it stays ended",
            "kernel: image_root ended with status 139",
        ] {
            assert!(nobody_ended_but("attack_victim", &format!("{fine}{line}\n")).is_err());
        }
    }
}
