//! The configuration blob: what the build tool tells the parts of an image.
//!
//! A list of records, each a key and a value with lengths before them (`u32`, little endian). Keys
//! may repeat; order is kept. Parsing copies nothing and ends at the first record that does not
//! fit. Keys are listed in [`key`].

/// The keys in use.
pub mod key {
    /// Component name of a process with servers to start; in starting order.
    pub const SERVER: &str = "server";
    /// `component\0server\0server...`: the servers that live in such a process, in starting order. A
    /// component without this record is one server of its name.
    pub const HOME: &str = "home";
    /// `server\0client\0rights`: the client may bind to the server, and its references get those
    /// rights (decimal bits of [`Rights`](crate::Rights)).
    pub const GRANT: &str = "grant";
    /// `component\0cpu`: the component's process starts on that CPU (decimal) instead of CPU 0.
    pub const CPU: &str = "cpu";
    /// `server\0limit\0window`: the server is started again when it ends, at most `limit` times
    /// (decimal, [`MOST_RESTARTS`](super::MOST_RESTARTS) at most) within `window` milliseconds; a
    /// server without such a record stays ended.
    pub const RESTART: &str = "restart";
    /// `server\0milliseconds`: how much processor time a call to the server may take.
    pub const CALL_LIMIT: &str = "call_limit";
    /// `server\0milliseconds`: how much real time the server may wait in a call.
    pub const ANSWER_LIMIT: &str = "answer_limit";
    /// `server\0milliseconds`: within how much real time the server is ready when it is started.
    pub const START_LIMIT: &str = "start_limit";
    /// Component name of a process that runs on the CPU where it starts and nowhere else.
    pub const PINNED: &str = "pinned";
    /// `class\0share\0limit`: a resource domain. They are numbered from 1 in this order.
    pub const DOMAIN: &str = "domain";
    /// `component\0number`: the component's process is in that resource domain.
    pub const IN_DOMAIN: &str = "domain.of";
    /// A process, in starting order: a [`ProcessRecord`](crate::process_record::ProcessRecord).
    pub const PROCESS: &str = "process";
    /// Component name of the personality that runs the program.
    pub const PERSONALITY: &str = "personality";
    /// Path of the program in the root file system.
    pub const PROGRAM_PATH: &str = "program.path";
    /// An argument, the program's own name (`argv[0]`) first.
    pub const PROGRAM_ARGUMENT: &str = "program.argument";
    /// `NAME=VALUE`.
    pub const PROGRAM_ENVIRONMENT: &str = "program.environment";
    /// The program is in its process already: what the personality that runs it needs to know.
    pub const PROGRAM_LAID_OUT: &str = "program.laid_out";
    /// The working directory.
    pub const PROGRAM_DIRECTORY: &str = "program.directory";
    /// Host name that the program sees.
    pub const HOST_NAME: &str = "host.name";
    /// `1`: every system call is written to the log.
    pub const TRACE_SYSTEM_CALLS: &str = "trace.system_calls";
    /// `1`: the memory file system lies over the root, so that it can be written.
    pub const ROOT_WRITABLE: &str = "root.writable";
    /// `path\0server\0flags`: the tree of `server` lies at the absolute `path`; decimal `flags` as in
    /// the name space's mount entries.
    pub const MOUNT: &str = "mount";
    /// Bytes that the memory file system may hold, decimal; half of the machine's if not said.
    pub const MEMORY_FS_LIMIT: &str = "memory_fs.limit";
}

/// The most restarts within a window that a policy can allow.
pub const MOST_RESTARTS: u32 = 16;

/// One key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is about: the bytes of a [`key`].
    pub key: &'a [u8],
    /// What is said.
    pub value: &'a [u8],
}

impl Record<'_> {
    /// Whether it is about `key`.
    #[must_use]
    pub fn is(&self, key: &str) -> bool {
        self.key == key.as_bytes()
    }
}

/// Reads a blob.
#[derive(Clone, Copy, Debug)]
pub struct Configuration<'a> {
    bytes: &'a [u8],
}

impl<'a> Configuration<'a> {
    /// A reader of `bytes`; anything that does not parse ends the list.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (key, after) = take(rest)?;
            let (value, after) = take(after)?;
            rest = after;
            Some(Record { key, value })
        })
    }

    /// The values of `key` in order.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &'a [u8]> {
        self.records()
            .filter(move |record| record.is(key))
            .map(|record| record.value)
    }

    /// The first value of `key`.
    #[must_use]
    pub fn first(&self, key: &str) -> Option<&'a [u8]> {
        self.values(key).next()
    }

    /// The last value of `key`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a [u8]> {
        self.values(key).last()
    }

    /// Whether `key` was last set to `1`.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.value(key) == Some(b"1")
    }
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Appends one record through `push`, which receives the bytes in order.
pub fn write_record(mut push: impl FnMut(&[u8]), key: &str, value: &[u8]) {
    for part in [key.as_bytes(), value] {
        push(&(part.len() as u32).to_le_bytes());
        push(part);
    }
}
