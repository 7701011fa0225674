//! The records of the image's processes: who is whose client, by places instead of names.

use kiln_object::process_record::{
    Client, Head, KERNEL, LIMITED, Name, ON_CALL, PLACED, PROGRAM, ROOT, Server, padded,
};
use zerocopy::IntoBytes;

/// The server that is given the root file system.
const ROOT_SERVER: &str = "image_root";

/// A process of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// The servers that live in it, in starting order.
    pub hosted: Vec<String>,
    /// It runs the program.
    pub program: bool,
    /// It is started by the first call to it.
    pub on_call: bool,
    /// It lives in the kernel.
    pub in_kernel: bool,
    /// Other records say where it runs.
    pub placed: bool,
    /// Other records say how long it may take.
    pub limited: bool,
}

/// That a client, a process or a server, may bind to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The server.
    pub server: String,
    /// Who may bind to it.
    pub client: String,
    /// The bits of the rights that the client gets.
    pub rights: u32,
}

/// The place and the number of the server `name`; a process without servers goes by its own name.
fn find(processes: &[Process], name: &str) -> Option<(usize, usize)> {
    let number = |process: &Process| {
        let hosted = process.hosted.iter().position(|server| server == name);
        hosted.or_else(|| (process.name == name).then_some(0))
    };
    let mut all = processes.iter().enumerate();
    all.find_map(|(place, process)| Some((place, number(process)?)))
}

/// The records of `processes`, in their order.
pub fn records(processes: &[Process], grants: &[Grant]) -> Vec<Vec<u8>> {
    let record = |(place, process): (usize, &Process)| {
        let mut servers: Vec<Server> = Vec::new();
        let mut clients: Vec<Client> = Vec::new();
        for grant in grants {
            let server = find(processes, &grant.server);
            let client = find(processes, &grant.client);
            let (Some((server, number)), Some((client, _))) = (server, client) else {
                continue;
            };
            let name = padded(grant.server.as_bytes());
            if client == place && servers.iter().all(|other| other.name != name) {
                servers.push(Server {
                    name,
                    process: (server as u32).into(),
                    number: (number as u32).into(),
                });
            }
            if server == place {
                let same = |other: &&mut Client| {
                    other.process == client as u32 && other.server == number as u32
                };
                // Servers that share an address space have what any of them was granted.
                match clients.iter_mut().find(same) {
                    Some(other) => other.rights = (other.rights.get() | grant.rights).into(),
                    None => clients.push(Client {
                        process: (client as u32).into(),
                        server: (number as u32).into(),
                        rights: grant.rights.into(),
                    }),
                }
            }
        }
        let hosted: Vec<Name> = process
            .hosted
            .iter()
            .map(|name| padded(name.as_bytes()))
            .collect();
        let flags = [
            (process.program, PROGRAM),
            (process.on_call, ON_CALL),
            (process.hosted.iter().any(|name| name == ROOT_SERVER), ROOT),
            (process.in_kernel, KERNEL),
            (process.placed, PLACED),
            (process.limited, LIMITED),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag);
        let head = Head {
            name: padded(process.name.as_bytes()),
            flags: flags.sum::<u32>().into(),
            hosted: (hosted.len() as u32).into(),
            servers: (servers.len() as u32).into(),
            clients: (clients.len() as u32).into(),
        };
        [
            head.as_bytes(),
            hosted.as_bytes(),
            servers.as_bytes(),
            clients.as_bytes(),
        ]
        .concat()
    };
    processes.iter().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use kiln_object::process_record::ProcessRecord;

    use super::*;

    fn process(name: &str, hosted: &[&str]) -> Process {
        Process {
            name: name.to_owned(),
            hosted: hosted.iter().map(|name| (*name).to_owned()).collect(),
            ..Process::default()
        }
    }

    fn grant(server: &str, client: &str, rights: u32) -> Grant {
        Grant {
            server: server.to_owned(),
            client: client.to_owned(),
            rights,
        }
    }

    #[test]
    fn names_become_places() {
        let mut program = process("linux", &[]);
        program.program = true;
        let processes = [
            process("name_space", &["name_space"]),
            process("files", &["image_root", "memory_fs"]),
            program,
        ];
        let grants = [
            grant("memory_fs", "linux", 3),
            grant("image_root", "memory_fs", 1),
            grant("image_root", "linux", 4),
            grant("image_root", "linux", 2),
            grant("nobody", "linux", 2),
        ];
        let records = records(&processes, &grants);
        let parsed: Vec<_> = records
            .iter()
            .map(|record| ProcessRecord::parse(record).unwrap())
            .collect();
        let [name_space, files, linux] = parsed.as_slice() else {
            panic!("{} records", parsed.len())
        };
        assert_eq!(
            (name_space.name(), name_space.clients.len()),
            ("name_space", 0)
        );
        assert!(files.is(ROOT) && !files.is(PROGRAM) && linux.is(PROGRAM));
        assert_eq!(files.hosted, [padded(b"image_root"), padded(b"memory_fs")]);
        let bound = |record: &ProcessRecord<'_>| -> Vec<_> {
            let servers = record.servers.iter();
            servers
                .map(|one| (one.name, one.process.get(), one.number.get()))
                .collect()
        };
        assert_eq!(
            bound(linux),
            [(padded(b"memory_fs"), 1, 1), (padded(b"image_root"), 1, 0)]
        );
        assert_eq!(bound(files), [(padded(b"image_root"), 1, 0)]);
        let clients: Vec<_> = files
            .clients
            .iter()
            .map(|one| (one.process.get(), one.server.get(), one.rights.get()))
            .collect();
        assert_eq!(clients, [(2, 1, 3), (1, 0, 1), (2, 0, 6)]);
        let cut = &records[1][..records[1].len() - 1];
        assert!(ProcessRecord::parse(cut).is_none());
    }
}
