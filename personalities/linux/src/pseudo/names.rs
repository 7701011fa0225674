//! The names below `/dev`, `/proc` and `/sys`, and finding one.

use alloc::vec::Vec;

use super::{
    Device, Entry, Files, Found, Link, Node, Text, machine, process, process_number, target,
};
use crate::errno::Errno;
use crate::files::path;

const fn entry(name: &'static str, node: Node) -> Entry {
    Entry { name, node }
}

macro_rules! text {
    ($make:path) => {
        text!(0o444, $make, None)
    };
    ($mode:literal, $make:path, $write:expr) => {{
        static TEXT: Text = Text {
            mode: $mode,
            make: $make,
            write: $write,
        };
        Node::Text(&TEXT)
    }};
}

const DEVICES: &[Entry] = &[
    entry("console", Node::Device(Device::Console)),
    entry("fd", Node::Link(Link::To("/proc/self/fd"))),
    entry("full", Node::Device(Device::Full)),
    entry("null", Node::Device(Device::Null)),
    entry("random", Node::Device(Device::Random)),
    // Shared memory lies among the temporary files, if those can be written.
    entry("shm", Node::Link(Link::To("/tmp"))),
    entry("stderr", Node::Link(Link::To("/proc/self/fd/2"))),
    entry("stdin", Node::Link(Link::To("/proc/self/fd/0"))),
    entry("stdout", Node::Link(Link::To("/proc/self/fd/1"))),
    entry("tty", Node::Device(Device::Terminal)),
    entry("urandom", Node::Device(Device::Urandom)),
    entry("zero", Node::Device(Device::Zero)),
];

/// What lies in `/proc` besides the process.
pub const PROCESSES: &[Entry] = &[
    entry("cmdline", text!(machine::command_line)),
    entry("cpuinfo", text!(machine::processors)),
    entry("filesystems", text!(machine::file_systems)),
    entry("loadavg", text!(machine::load)),
    entry("meminfo", text!(machine::memory)),
    entry("mounts", Node::Link(Link::To("self/mounts"))),
    entry("self", Node::Link(Link::Process)),
    entry("stat", text!(machine::statistics)),
    entry("sys", Node::Directory(SETTINGS)),
    entry("thread-self", Node::Link(Link::To("self/task/1"))),
    entry("uptime", text!(machine::uptime)),
    entry("version", text!(machine::version)),
];

/// `/proc/self`.
pub const PROCESS_DIRECTORY: Node = Node::Directory(PROCESS);

const PROCESS: &[Entry] = &[
    entry("auxv", text!(0o400, process::auxiliary_vector, None)),
    entry("cgroup", text!(process::control_groups)),
    entry("cmdline", text!(process::command_line)),
    entry("comm", text!(0o644, process::name, Some(process::set_name))),
    entry("cwd", Node::Link(Link::WorkingDirectory)),
    entry("environ", text!(0o400, process::environment, None)),
    entry("exe", Node::Link(Link::Program)),
    entry("fd", Node::Descriptors),
    entry("limits", text!(process::limits)),
    entry("maps", text!(process::maps)),
    entry("mountinfo", text!(process::mount_information)),
    entry("mounts", text!(process::mounts)),
    entry(
        "oom_score_adj",
        text!(0o644, machine::zero, Some(machine::ignore)),
    ),
    entry("root", Node::Link(Link::To("/"))),
    entry("stat", text!(process::statistics)),
    entry("statm", text!(process::memory_statistics)),
    entry("status", text!(process::status)),
    entry("task", Node::Directory(THREADS)),
];

const THREADS: &[Entry] = &[entry("1", Node::Directory(THREAD))];

const THREAD: &[Entry] = &[
    entry("comm", text!(0o644, process::name, Some(process::set_name))),
    entry("maps", text!(process::maps)),
    entry("stat", text!(process::statistics)),
    entry("status", text!(process::status)),
];

const SETTINGS: &[Entry] = &[
    entry("fs", Node::Directory(FILE_SETTINGS)),
    entry("kernel", Node::Directory(KERNEL_SETTINGS)),
    entry("vm", Node::Directory(MEMORY_SETTINGS)),
];

const FILE_SETTINGS: &[Entry] = &[
    entry("file-max", text!(machine::most_files)),
    entry("nr_open", text!(machine::most_descriptors)),
    entry("pipe-max-size", text!(machine::most_pipe_bytes)),
];

const KERNEL_SETTINGS: &[Entry] = &[
    entry("cap_last_cap", text!(machine::last_capability)),
    entry("hostname", text!(machine::host_name)),
    entry("ngroups_max", text!(machine::most_groups)),
    entry("osrelease", text!(machine::release)),
    entry("ostype", text!(machine::system)),
    entry("pid_max", text!(machine::most_processes)),
    entry("random", Node::Directory(RANDOM)),
    entry("randomize_va_space", text!(machine::two)),
];

const RANDOM: &[Entry] = &[
    entry("boot_id", text!(machine::boot_identity)),
    entry("entropy_avail", text!(machine::entropy)),
    entry("uuid", text!(machine::new_identity)),
];

const MEMORY_SETTINGS: &[Entry] = &[
    entry("max_map_count", text!(machine::most_mappings)),
    entry("mmap_min_addr", text!(machine::lowest_mapping)),
    entry("overcommit_memory", text!(machine::zero)),
];

const SYSTEM: &[Entry] = &[
    entry(
        "devices",
        Node::Directory(&[entry("system", Node::Directory(SYSTEM_DEVICES))]),
    ),
    entry(
        "kernel",
        Node::Directory(&[entry("mm", Node::Directory(LARGE_PAGES))]),
    ),
];

const SYSTEM_DEVICES: &[Entry] = &[
    entry("cpu", Node::Directory(PROCESSORS)),
    entry("node", Node::Directory(MEMORY_NODES)),
];

const MEMORY_NODES: &[Entry] = &[entry("online", text!(machine::zero))];

const LARGE_PAGES: &[Entry] = &[entry(
    "transparent_hugepage",
    Node::Directory(LARGE_PAGE_SETTINGS),
)];

const LARGE_PAGE_SETTINGS: &[Entry] = &[entry("enabled", text!(machine::no_large_pages))];

const PROCESSORS: &[Entry] = &[
    entry("online", text!(machine::processor_range)),
    entry("possible", text!(machine::processor_range)),
    entry("present", text!(machine::processor_range)),
];

/// Finds what an absolute path without `..` leads to. `follow` says whether a link as the last
/// component is followed.
pub fn find(files: &Files, path: &[u8], follow: bool) -> Found {
    let mut components = path::components(path).peekable();
    let (mut node, mut directory) = match components.next() {
        Some(b"dev") => (Node::Directory(DEVICES), "/dev"),
        Some(b"proc") => (Node::Processes, "/proc"),
        Some(b"sys") => (Node::Directory(SYSTEM), "/sys"),
        _ => return Found::Elsewhere,
    };
    while let Some(name) = components.next() {
        let next = match step(&node, name) {
            Ok(Some(next)) => next,
            Ok(None) if directory == "/dev" => return Found::Elsewhere,
            Ok(None) => return Found::Failed(Errno::ENOENT),
            Err(errno) => return Found::Failed(errno),
        };
        if components.peek().is_none() && !follow {
            return Found::Node(next);
        }
        let target = match &next {
            Node::Link(link) => target(files, link),
            Node::Descriptor(descriptor) => {
                let Ok(description) = files.description(*descriptor) else {
                    return Found::Failed(Errno::ENOENT);
                };
                if components.peek().is_none() {
                    // What is open need not have a path any more: the descriptor stands for it.
                    return Found::Node(next);
                }
                description.path().to_vec()
            }
            _ => {
                node = next;
                directory = "";
                continue;
            }
        };
        if target.is_empty() {
            return Found::Failed(Errno::ENOENT);
        }
        let rest: Vec<u8> = components.flat_map(|name| [b"/", name].concat()).collect();
        // Relative targets are all in `/proc` itself.
        return Found::Link(path::splice(b"/proc", &target, &rest));
    }
    Found::Node(node)
}

fn step(node: &Node, name: &[u8]) -> Result<Option<Node>, Errno> {
    let look_up = |entries: &'static [Entry]| {
        entries
            .iter()
            .find(|entry| entry.name.as_bytes() == name)
            .map(|entry| entry.node)
    };
    let number = || {
        let digits = core::str::from_utf8(name).ok()?;
        let number = digits.parse::<i32>().ok()?;
        // One way to write each number: neither `+1` nor `01`.
        let canonical = digits.starts_with(|first: char| first.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        canonical.then_some(number)
    };
    match node {
        Node::Directory(entries) => Ok(look_up(entries)),
        Node::Processes if number() == Some(process_number()) => Ok(Some(PROCESS_DIRECTORY)),
        Node::Processes => Ok(look_up(PROCESSES)),
        Node::Descriptors => Ok(number().map(Node::Descriptor)),
        _ => Err(Errno::ENOTDIR),
    }
}
