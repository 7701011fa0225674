//! Images in which several processes attack the kernel and the servers, and what came of it.

pub mod report;

use std::time::{Duration, Instant};

use crate::child::Child;
use crate::expect::ensure;
use crate::image::Written;
use crate::places;
use report::Report;

/// The only server that may end.
const MORTAL: &str = "attack_victim";

/// What is attacked.
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// What it is called.
    pub name: &'static str,
    /// How many processors it has.
    pub cpus: u32,
    /// Where the servers are, as in a manifest.
    servers: &'static str,
    /// Its part of the calls: an image of more processors takes longer for a call.
    pub part: u64,
}

/// The images; those that take longest come first.
pub const IMAGES: [Image; 5] = [
    Image {
        name: "4",
        cpus: 4,
        servers: OWN,
        part: 1,
    },
    Image {
        name: "1",
        cpus: 1,
        servers: OWN,
        part: 3,
    },
    Image {
        name: "2",
        cpus: 2,
        servers: OWN,
        part: 2,
    },
    Image {
        name: "pinned",
        cpus: 2,
        servers: "name_space = { home = \"shared:files\", restart = \"never\" }\n\
                  image_root = { home = \"shared:files\", restart = \"never\" }\n\
                  memory_fs = { home = \"own\", cpu = 1, pinned = true, restart = \"never\" }",
        part: 2,
    },
    Image {
        name: "kernel",
        cpus: 2,
        servers: "name_space = { home = \"kernel\" }\nimage_root = { home = \"kernel\" }\n\
                  memory_fs = { home = \"own\", restart = \"never\" }",
        part: 2,
    },
];

/// Whoever attacks binds by name, and would take a server's successor for it: there is to be none.
const OWN: &str = "name_space = { home = \"own\", restart = \"never\" }\n\
                   image_root = { home = \"own\", restart = \"never\" }\n\
                   memory_fs = { home = \"own\", restart = \"never\" }";

/// Whether nobody ended but those that may, by the lines of the log.
///
/// # Errors
/// The first line that says so.
pub fn nobody_ended(log: &str) -> Result<(), String> {
    nobody_ended_but(MORTAL, log)
}

/// As [`nobody_ended`] where the servers called `mortal` may end.
///
/// # Errors
/// As there.
pub fn nobody_ended_but(mortal: &str, log: &str) -> Result<(), String> {
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
        Some(line) => Err(format!("a server ended that must not: {line:?}")),
    }
}

/// What calls follow from, and how many are made.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The seed.
    pub seed: u64,
    /// Calls of all processes together.
    pub calls: u64,
    /// The first batch.
    pub from: u64,
}

impl Image {
    /// Boots it and has it attacked.
    ///
    /// # Errors
    /// What was found wrong; all that was said is in a file that the text names.
    pub fn attack(&self, asked: Asked) -> Result<Report, String> {
        let Asked { seed, calls, from } = asked;
        // A twentieth of what a quiet host makes; a run of any length stops by itself.
        let limit = 240 + calls / 1_000;
        let name = format!("attack-{}", self.name);
        let known = places::made().join(format!("{name}-known"));
        std::fs::write(&known, "known bytes\n".repeat(1000)).map_err(|error| error.to_string())?;
        let text = format!(
            "name = \"attack\"\npersonality = \"attack\"\n\
             drivers = [\"serial\", \"debug_console\"]\n\
             [program]\npath = \"/\"\n\
             args = [\"seed={seed}\", \"calls={calls}\", \"from={from}\"]\n\
             [root]\nfrom = [{{ files = [{{ from = {known:?}, to = \"/known\" }}] }}]\nwritable = true\n\
             [servers]\n{}\n\
             [machine]\nmemory = \"128M\"\ncpus = {}\n",
            self.servers, self.cpus
        );
        let manifest = Written::new(&name, &text)?;
        let began = Instant::now();
        let output = Child::new(places::kiln())
            .args(["run", "--timeout", &limit.to_string()])
            .args([manifest.path.as_os_str()])
            .limit(Duration::from_secs(limit + 60))
            .run()?;
        let took = began.elapsed();
        let said = output.text();
        let log = places::made().join(format!("{name}-{seed}.log"));
        std::fs::write(&log, format!("{said}\n{}", output.err))
            .map_err(|error| error.to_string())?;
        let kept = || format!("all that was said is in {}", log.display());
        let last = said.trim_end().lines().next_back().unwrap_or_default();
        ensure(output.status == 0 && last.ends_with(": ok"), || {
            format!("status {}: {last}\n{}", output.status, kept())
        })?;
        nobody_ended(&output.err).map_err(|wrong| format!("{wrong}\n{}", kept()))?;
        Report::of(self.name, &said, &output.err, MORTAL, took)
            .map_err(|wrong| format!("{wrong}\n{}", kept()))
    }
}

#[cfg(test)]
mod tests {
    use super::nobody_ended;

    #[test]
    fn an_end_of_a_server_is_seen() {
        let fine =
            "kernel: attack_victim was started again\nkernel: attack_victim ended with status 7\n";
        assert_eq!(nobody_ended(fine), Ok(()));
        for line in [
            "kernel: image_root was started again",
            "kernel: memory_fs is not started again",
            "kernel: name_space was started 4 times in a row without getting ready: it stays ended",
            "kernel: image_root ended with status 139",
        ] {
            assert!(nobody_ended(&format!("{fine}{line}\n")).is_err());
        }
    }
}
