//! The configuration blob: what an image is told about itself.

use kiln_object::Rights;
use kiln_object::configuration::{key, write_record};

use super::processes::{Grant, Process, records};
use crate::components::{Home, Server};
use crate::manifest::homes::homes;
use crate::manifest::{Manifest, Policy};

/// Name of a driver in the kernel: for those who look into an image; nothing in it asks.
pub const DRIVER_KEY: &str = "driver";

/// What is asked of one image beyond its manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Launch {
    /// System calls are to be reported.
    pub strace: bool,
}

/// Records of what is to happen when `server` fails.
fn failure(mut record: impl FnMut(&str, &[u8]), server: &str, policy: Policy) {
    if let Some(limit) = policy.restart {
        let restart = format!("{server}\0{}\0{}", limit.count, limit.window_ms);
        record(key::RESTART, restart.as_bytes());
    }
    for (key, limit) in [
        (key::CALL_LIMIT, policy.call_limit_ms),
        (key::ANSWER_LIMIT, policy.answer_limit_ms),
        (key::START_LIMIT, policy.start_limit_ms),
    ] {
        if let Some(limit) = limit {
            record(key, format!("{server}\0{limit}").as_bytes());
        }
    }
}

/// The blob for this manifest.
pub fn configuration(manifest: &Manifest, launch: Launch) -> Vec<u8> {
    let mut blob = Vec::new();
    let mut record = |key: &str, value: &[u8]| {
        write_record(|bytes| blob.extend_from_slice(bytes), key, value);
    };
    let personality = manifest.personality.name;
    let mut processes = Vec::new();
    let mut grants = Vec::new();
    let mut grant = |server: &str, client: &str, rights: Rights| {
        grants.push(Grant {
            server: server.to_owned(),
            client: client.to_owned(),
            rights: rights.bits(),
        });
    };
    for home in homes(&manifest.servers, manifest.root.writable) {
        record(key::SERVER, home.name.as_bytes());
        failure(&mut record, &home.name, manifest.home_policy(&home));
        let (name, on_call) = (home.name.clone(), home.is_on_call());
        let names = [home.name.as_str()].into_iter().chain(home.servers.clone());
        let names: Vec<&str> = names.collect();
        record(key::HOME, names.join("\0").as_bytes());
        processes.push(Process {
            name,
            hosted: home.servers.iter().map(ToString::to_string).collect(),
            program: false,
            on_call,
            in_kernel: home.home == Home::Kernel,
            placed: false,
            limited: manifest.home_policy(&home).has_limits(),
        });
    }
    for copy in manifest.personality.copies {
        for _ in 0..copy.count {
            record(key::SERVER, copy.name.as_bytes());
            processes.push(Process {
                name: copy.name.to_owned(),
                hosted: vec![copy.name.to_owned()],
                limited: Policy::of_copy(copy).has_limits(),
                ..Process::default()
            });
        }
        failure(&mut record, copy.name, Policy::of_copy(copy));
        if let Some(rights) = copy.granted {
            grant(copy.name, personality, rights);
        }
        for used in copy.uses {
            let rights = Server::from_name(used)
                .map_or(Rights::READ | Rights::WRITE, |server| server.granted);
            grant(used, copy.name, rights);
        }
    }
    for domain in &manifest.domains {
        let words = format!("{}\0{}\0{}", domain.class, domain.share, domain.limit);
        record(key::DOMAIN, words.as_bytes());
    }
    processes.push(Process {
        name: personality.to_owned(),
        program: true,
        ..Process::default()
    });
    let mut placed = Vec::new();
    for placement in &manifest.placements {
        let process = placement.server.map_or(personality.to_owned(), |server| {
            let homes = homes(&manifest.servers, manifest.root.writable);
            let home = homes.iter().find(|home| home.servers.contains(&server));
            home.map_or(server.to_owned(), |home| home.name.clone())
        });
        record(key::CPU, format!("{process}\0{}", placement.cpu).as_bytes());
        if placement.pinned {
            record(key::PINNED, process.as_bytes());
        }
        let number = placement.domain.as_ref().and_then(|name| {
            let mut domains = manifest.domains.iter();
            domains.position(|domain| domain.name == name.value)
        });
        if let Some(number) = number {
            // The first is that of everything else.
            record(
                key::IN_DOMAIN,
                format!("{process}\0{}", number + 1).as_bytes(),
            );
        }
        placed.push(process);
    }
    for copy in manifest.personality.copies {
        if let Some(cpu) = copy.pinned_to {
            record(key::CPU, format!("{}\0{cpu}", copy.name).as_bytes());
            record(key::PINNED, copy.name.as_bytes());
            placed.push(copy.name.to_owned());
        }
    }
    for process in &mut processes {
        process.placed = placed.contains(&process.name);
    }
    for (server, _) in &manifest.servers {
        grant(server.name, personality, server.granted);
    }
    for (server, _) in &manifest.servers {
        for used in server.uses {
            grant(used.server, server.name, used.rights);
        }
    }
    for Grant {
        server,
        client,
        rights,
    } in &grants
    {
        record(
            key::GRANT,
            format!("{server}\0{client}\0{rights}").as_bytes(),
        );
    }
    for process in records(&processes, &grants) {
        record(key::PROCESS, &process);
    }
    record(key::PERSONALITY, personality.as_bytes());
    let program = &manifest.program;
    record(key::PROGRAM_PATH, program.path.value.as_bytes());
    record(key::PROGRAM_ARGUMENT, program.name().as_bytes());
    for argument in &program.args {
        record(key::PROGRAM_ARGUMENT, argument.as_bytes());
    }
    for (name, value) in &program.env {
        record(
            key::PROGRAM_ENVIRONMENT,
            format!("{name}={value}").as_bytes(),
        );
    }
    record(key::PROGRAM_DIRECTORY, program.directory.as_bytes());
    record(key::HOST_NAME, manifest.name.as_bytes());
    for driver in &manifest.drivers {
        record(DRIVER_KEY, driver.name().as_bytes());
    }
    if launch.strace {
        record(key::TRACE_SYSTEM_CALLS, b"1");
    }
    if manifest.root.writable {
        record(key::ROOT_WRITABLE, b"1");
    }
    blob
}

#[cfg(test)]
mod tests {
    use kiln_object::configuration::Configuration;
    use kiln_object::process_record::{ON_CALL, ProcessRecord};

    use super::*;
    use crate::manifest::Source;

    #[test]
    fn an_image_is_told_what_to_start() {
        let text = "name = \"t\"\n[program]\npath = \"/bin/busybox\"\ncalled = \"ls\"\nargs = [\"-l\", \"\"]\n[root]\nfrom = []\nwritable = false";
        let manifest = Manifest::parse(Source::new("t.toml", text), "".into()).unwrap();
        let blob = configuration(&manifest, Launch { strace: true });
        let read = Configuration::new(&blob);
        let values = |key| {
            read.values(key)
                .map(|v| String::from_utf8_lossy(v).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(key::PROGRAM_ARGUMENT), ["ls", "-l", ""]);
        assert_eq!(values(key::SERVER), ["name_space", "image_root"]);
        assert_eq!(read.value(key::PROGRAM_PATH), Some(&b"/bin/busybox"[..]));
        assert!(
            values(key::PROGRAM_ENVIRONMENT)
                .iter()
                .any(|v| v.starts_with("PATH=/"))
        );
        let processes: Vec<_> = read
            .values(key::PROCESS)
            .map(|value| ProcessRecord::parse(value).unwrap())
            .map(|process| (process.name(), process.is(ON_CALL)))
            .collect();
        let expected = [("name_space", true), ("image_root", true), ("linux", false)];
        assert_eq!(processes, expected);
        assert!(read.is_set(key::TRACE_SYSTEM_CALLS));
        assert!(!read.is_set(key::ROOT_WRITABLE));
    }
}
