//! The figures: what is measured, in what unit, and what it may be at most or has to be at least.
//!
//! Less is better for all of them but [`Unit::Times`], which tell how much faster something is.

use std::collections::BTreeMap;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Guest instructions, by QEMU's instruction counter.
    Instructions,
    /// Bytes of a file or of memory.
    Bytes,
    /// Wall time divided by that of QEMU alone.
    Ratio,
    /// How many times as much work is done in the same time: more is better.
    Times,
}

impl Unit {
    /// Its name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Times => "times",
        }
    }

    /// Whether the same sources give the same number on each run.
    pub fn is_steady(self) -> bool {
        !matches!(self, Self::Ratio | Self::Times)
    }

    /// Whether a limit is the least that is good, not the most.
    pub fn is_better_with_more(self) -> bool {
        self == Self::Times
    }
}

/// How a figure is come by: one measurement gives several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The file sizes of images.
    Sizes,
    /// The least memory, by trying.
    Memory,
    /// Wall times of whole machines.
    Wall,
    /// The counter at the program's first instruction.
    Boot,
    /// `programs/calls.c`.
    Calls,
    /// The component that stands in a personality's place.
    Native,
    /// The component that uses all processors.
    Processors,
}

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// Its name on the command line, in the output and in the baseline.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// What it may be at most, if anything was promised.
    pub limit: Option<f64>,
    /// How it is come by.
    pub source: Source,
    /// The name of what Linux's number is taken from, if it is another.
    pub linux: Option<&'static str>,
    /// What is measured.
    pub meaning: &'static str,
}

const fn figure(
    name: &'static str,
    unit: Unit,
    limit: Option<f64>,
    source: Source,
    meaning: &'static str,
) -> Figure {
    Figure {
        name,
        unit,
        limit,
        source,
        linux: None,
        meaning,
    }
}

const fn call(name: &'static str, limit: Option<f64>, meaning: &'static str) -> Figure {
    figure(name, Unit::Instructions, limit, Source::Calls, meaning)
}

const fn native(
    name: &'static str,
    limit: Option<f64>,
    linux: &'static str,
    meaning: &'static str,
) -> Figure {
    let mut made = figure(name, Unit::Instructions, limit, Source::Native, meaning);
    made.linux = Some(linux);
    made
}

/// [`Figure::linux`] where Linux has nothing to compare with.
pub const NOTHING: &str = "";

/// A figure of the native component that Linux has none for.
const fn alone(name: &'static str, limit: Option<f64>, meaning: &'static str) -> Figure {
    native(name, limit, NOTHING, meaning)
}

const MIB: f64 = 1_048_576.0;

/// All figures, in the order in which they are shown.
pub static FIGURES: &[Figure] = &[
    figure(
        "image.hello.bytes",
        Unit::Bytes,
        Some(MIB),
        Source::Sizes,
        "image of a hello, static with musl, everything included",
    ),
    figure(
        "image.hello.glibc.bytes",
        Unit::Bytes,
        None,
        Source::Sizes,
        "the same with glibc, whose hello alone takes two thirds of a MiB",
    ),
    figure(
        "image.system.bytes",
        Unit::Bytes,
        None,
        Source::Sizes,
        "image of the hello without its root file system",
    ),
    figure(
        "memory.hello.bytes",
        Unit::Bytes,
        Some(6.0 * MIB),
        Source::Memory,
        "least -m with which the hello runs (Linux: to 4 MiB)",
    ),
    figure(
        "wall.hello",
        Unit::Ratio,
        Some(1.5),
        Source::Wall,
        "QEMU's spawn to its exit, running the hello, by that of an image that ends at once",
    ),
    figure(
        "wall.hello.glibc",
        Unit::Ratio,
        None,
        Source::Wall,
        "the same with glibc, which executes more code before its main",
    ),
    figure(
        "boot.hello",
        Unit::Instructions,
        Some(10e6),
        Source::Boot,
        "entry of the kernel to the program's first instruction",
    ),
    call("loop.empty", None, "the loop around each call below"),
    call(
        "syscall.getppid",
        Some(60.0),
        "getppid() of the C library, its call site rewritten",
    ),
    call(
        "syscall.getppid.reflected",
        Some(300.0),
        "getppid from a call site that cannot be rewritten",
    ),
    call(
        "syscall.function",
        None,
        "getppid by the function syscall()",
    ),
    native(
        "call.null",
        Some(350.0),
        "process.round_trip",
        "null method in another address space and back (Linux: a byte there and back, two pipes)",
    ),
    alone(
        "call.near",
        Some(12.0),
        "null method of an object in the caller's own address space",
    ),
    alone(
        "call.home.shared",
        None,
        "null method of a server that shares an address space with others",
    ),
    alone(
        "call.home.kernel",
        None,
        "null method of a server that lives in the kernel",
    ),
    alone(
        "call.64",
        Some(450.0),
        "the same with 64 bytes in and 64 out",
    ),
    alone(
        "call.4k",
        Some(1100.0),
        "the same with 4,096 bytes in, a word of which counts as an instruction",
    ),
    native(
        "call.kernel",
        Some(150.0),
        "syscall.getppid.reflected",
        "null method of a kernel object (Linux: getppid)",
    ),
    alone(
        "call.oneway",
        Some(150.0),
        "one-way message, until the sender goes on: of 16 to a process that runs",
    ),
    alone(
        "call.oneway.idle",
        None,
        "one-way message to a process that waits for one, until the sender goes on",
    ),
    native(
        "thread.yield",
        Some(50.0),
        "sched_yield",
        "a thread of a native process gives way to another",
    ),
    alone(
        "thread.pingpong",
        Some(200.0),
        "two such threads wake each other and wait, both once (Linux, two futexes: 8,967)",
    ),
    alone(
        "thread.create",
        Some(1500.0),
        "such a thread is started and joined",
    ),
    alone(
        "trace.off",
        Some(4.0),
        "event of a process's own that nobody asked for",
    ),
    alone(
        "trace.on",
        Some(40.0),
        "event of a process's own that is noted",
    ),
    alone(
        "trace.on.call",
        Some(40.0),
        "each of the two events of call.null",
    ),
    alone(
        "trace.on.kernel",
        Some(40.0),
        "each of the two events of call.kernel",
    ),
    Figure {
        source: Source::Processors,
        ..alone(
            "call.remote",
            Some(2500.0),
            "call to a server that is pinned to another processor, and back: the instructions of both",
        )
    },
    Figure {
        unit: Unit::Times,
        source: Source::Processors,
        ..alone(
            "scale.calls.2",
            Some(1.8),
            "null calls to one server in a second, by 2 processors at once, over those by one",
        )
    },
    Figure {
        unit: Unit::Times,
        source: Source::Processors,
        ..alone("scale.calls.4", None, "the same by 4 processors")
    },
    call(
        "file.read4k",
        Some(2500.0),
        "read of 4 KiB from a file of the image root, the next page each time",
    ),
    call(
        "file.pread4k",
        None,
        "pread of 4 KiB, the same page each time",
    ),
    call("file.read1", None, "pread of a byte"),
    call("file.lseek", None, "lseek to the start"),
    call("file.fstat", None, "fstat of an open file"),
    call("file.stat", None, "stat of a path"),
    call("file.open_close", None, "open for reading and close"),
    call("dev.null.write1", None, "write of a byte to /dev/null"),
    call("dev.zero.read1", None, "read of a byte from /dev/zero"),
    call(
        "fault.anon",
        Some(1500.0),
        "first touch of an anonymous page, 64 KiB from the last one touched",
    ),
    call("fault.anon.next", None, "the same, the next page each time"),
    alone(
        "fault.pager",
        None,
        "first touch of a page that the memory file server has to bring: the thread is parked until it is there",
    ),
    alone(
        "fault.file",
        None,
        "first touch of a page of a file that is kept there, and that others have touched",
    ),
    call(
        "memory.mmap_munmap",
        None,
        "mmap and munmap of 64 KiB, untouched",
    ),
    call("memory.brk", None, "brk(0)"),
    call("time.clock_gettime", None, "clock_gettime of the C library"),
    call(
        "time.clock_gettime.call",
        None,
        "clock_gettime as a system call",
    ),
    call("sched_yield", None, "sched_yield with nobody else to run"),
];

/// A number, or why there is none.
pub type Value = Result<f64, String>;

/// Numbers by name.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<String, Value>);

impl Values {
    /// Notes a number; a later one replaces it.
    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The number called `name`.
    pub fn get(&self, name: &str) -> Value {
        self.0
            .get(name)
            .cloned()
            .unwrap_or_else(|| Err("not measured".to_owned()))
    }

    /// Adds the lines `name number` or `name ? reason` of a program's output.
    pub fn read(&mut self, output: &str) {
        for line in output.lines() {
            let Some((name, rest)) = line.trim().split_once(' ') else {
                continue;
            };
            if let Some(reason) = rest.strip_prefix("? ") {
                self.insert(name, Err(reason.to_owned()));
            } else if let Ok(number) = rest.parse() {
                self.insert(name, Ok(number));
            }
        }
    }

    /// Takes over what is less in `other`, and what is missing there.
    pub fn take_least(&mut self, other: Self) {
        for (name, value) in other.0 {
            let old = self.0.get(&name).unwrap_or(&value);
            let least = match (old, &value) {
                (Ok(old), Ok(value)) => Ok(old.min(*value)),
                (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
            };
            self.0.insert(name, least);
        }
    }

    /// Gives all of these names the same reason.
    pub fn fail<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, reason: &str) {
        for name in names {
            self.insert(name, Err(reason.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_takes_back_a_number() {
        let mut values = Values::default();
        values.read("kernel: hello there\r\na 5\nb 7\r\na ? rewritten\n");
        assert_eq!(values.get("b"), Ok(7.0));
        assert_eq!(values.get("a"), Err("rewritten".to_owned()));
        assert!(values.get("c").is_err());
    }

    #[test]
    fn the_least_of_runs_counts_if_all_have_it() {
        let mut least = Values::default();
        for output in ["a 5\nb 1", "a 4\nb ? no file", "a 6\nb 2"] {
            let mut values = Values::default();
            values.read(output);
            least.take_least(values);
        }
        assert_eq!(least.get("a"), Ok(4.0));
        assert_eq!(least.get("b"), Err("no file".to_owned()));
    }

    #[test]
    fn names_are_different() {
        let names: std::collections::BTreeSet<_> = FIGURES.iter().map(|f| f.name).collect();
        assert_eq!(names.len(), FIGURES.len());
    }
}
