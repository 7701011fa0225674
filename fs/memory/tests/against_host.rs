//! Random sequences of operations, on the tree and on a directory of the host: the same answers, the
//! same errors, the same tree in the end. Once on a tree that starts empty, once on one over an
//! image, with the image's content in the host's directory.

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kiln_erofs::write::{HostOptions, Tree};
use kiln_file_server::testing::{self, Near};
use kiln_interface::file::{Attributes, File, FileStub, FileTree, change, kind, open};
use kiln_object::Error;
use proptest::prelude::*;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use support::Client;
use zerocopy::IntoBytes;

#[derive(Clone, Debug)]
enum Step {
    /// Opens; writes if it may; keeps it open if said so.
    Open {
        path: String,
        flags: u32,
        keep: bool,
    },
    MakeDirectory(String),
    Remove {
        path: String,
        directory: bool,
    },
    Rename {
        from: String,
        to: String,
        flags: u32,
    },
    Link {
        from: String,
        to: String,
    },
    MakeLink {
        target: String,
        path: String,
    },
    MakePipe(String),
    Look {
        path: String,
        follow: bool,
    },
    ReadLink(String),
    List(String),
    Truncate {
        path: String,
        length: u64,
    },
    Permissions {
        path: String,
        mode: u32,
    },
    /// Writes to the newest file that was kept open, then reads all of it.
    WriteKept {
        offset: u64,
        length: usize,
    },
    CloseKept,
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => "[a-d]".prop_map(String::from),
        1 => Just(".".to_string()),
        1 => Just("..".to_string()),
    ];
    (
        proptest::collection::vec(name, 1..4),
        prop_oneof![6 => Just(""), 1 => Just("/")],
    )
        .prop_map(|(names, end)| names.join("/") + end)
}

fn flags() -> impl Strategy<Value = u32> {
    let one = |flag| prop_oneof![2 => Just(0), 1 => Just(flag)];
    let access = prop_oneof![
        Just(open::READ),
        Just(open::WRITE),
        Just(open::READ | open::WRITE),
    ];
    // What `DIRECTORY` with `CREATE` does depends on the host's version.
    let more = prop_oneof![
        1 => Just(open::DIRECTORY),
        6 => Just(open::CREATE),
        2 => Just(open::CREATE | open::EXCLUSIVE),
        3 => Just(0),
    ];
    (access, more, one(open::TRUNCATE), one(open::NO_FOLLOW)).prop_map(
        |(access, more, truncate, follow)| {
            // Emptying what is open for reading only is for each system to decide.
            let truncate = if access == open::READ { 0 } else { truncate };
            access | more | truncate | follow
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (path(), flags(), any::<bool>())
            .prop_map(|(path, flags, keep)| Step::Open { path, flags, keep }),
        4 => path().prop_map(Step::MakeDirectory),
        4 => (path(), any::<bool>()).prop_map(|(path, directory)| Step::Remove { path, directory }),
        6 => (path(), path(), prop_oneof![3 => Just(0u32), 1 => Just(1), 2 => Just(2)])
            .prop_map(|(from, to, flags)| Step::Rename { from, to, flags }),
        2 => (path(), path()).prop_map(|(from, to)| Step::Link { from, to }),
        2 => (path(), path()).prop_map(|(target, path)| Step::MakeLink { target, path }),
        1 => path().prop_map(Step::MakePipe),
        2 => (path(), any::<bool>()).prop_map(|(path, follow)| Step::Look { path, follow }),
        1 => path().prop_map(Step::ReadLink),
        2 => path().prop_map(Step::List),
        2 => (path(), 0u64..20_000).prop_map(|(path, length)| Step::Truncate { path, length }),
        1 => (path(), 0u32..0o1000).prop_map(|(path, mode)| Step::Permissions { path, mode }),
        2 => (0u64..10_000, 0usize..9_000)
            .prop_map(|(offset, length)| Step::WriteKept { offset, length }),
        1 => Just(Step::CloseKept),
    ]
}

/// What a step said; the parts that must agree.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Attributes(Seen),
    Bytes(Vec<u8>),
    Names(BTreeMap<Vec<u8>, u32>),
    Failed(Errno),
    /// The tree only: the path leads out of it.
    Elsewhere,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    /// Of a directory: zero, since not every file system of a host counts them.
    links: u32,
    /// Of a regular file or a link.
    length: u64,
}

fn errno(error: Error) -> Errno {
    match error {
        Error::NotFound => Errno::NOENT,
        Error::Exists => Errno::EXIST,
        Error::NotDirectory => Errno::NOTDIR,
        Error::IsDirectory => Errno::ISDIR,
        Error::NotEmpty => Errno::NOTEMPTY,
        Error::TooManyLinks => Errno::LOOP,
        Error::BadArgument => Errno::INVAL,
        Error::Busy => Errno::BUSY,
        Error::Denied => Errno::PERM,
        other => panic!("{other:?} has no number"),
    }
}

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + seed) as u8 | 1)
        .collect()
}

fn attributes_said(attributes: &Attributes) -> Said {
    let of_kind = attributes.mode & kind::MASK;
    let has_length = matches!(of_kind, kind::REGULAR | kind::LINK);
    Said::Attributes(Seen {
        mode: attributes.mode,
        links: if of_kind == kind::DIRECTORY {
            0
        } else {
            attributes.links
        },
        length: if has_length { attributes.length } else { 0 },
    })
}

struct Ours {
    client: Client,
    kept: Vec<FileStub<Near>>,
}

impl Ours {
    fn run(&mut self, step: &Step, seed: usize, may_keep_reading: bool) -> Said {
        match self.try_run(step, seed, may_keep_reading) {
            Ok(said) => said,
            Err(Error::Elsewhere) => Said::Elsewhere,
            Err(error) => Said::Failed(errno(error)),
        }
    }

    fn try_run(&mut self, step: &Step, seed: usize, keep_reading: bool) -> Result<Said, Error> {
        let client = &self.client;
        match step {
            Step::Open { path, flags, keep } => {
                let opened = client.try_open(path, *flags)?;
                let file = FileStub::new(opened.file, Near(support::CLIENT));
                let regular = opened.mode & kind::MASK == kind::REGULAR;
                let said = if !regular {
                    Said::Nothing
                } else if flags & open::WRITE != 0 {
                    file.write(u64::MAX, &pattern(seed, seed % 300))?;
                    Said::Nothing
                } else {
                    Said::Bytes(support::read_all(&file)?)
                };
                let both = open::READ | open::WRITE;
                let keep_it = flags & both == both || (keep_reading && flags & open::READ != 0);
                if *keep && regular && keep_it {
                    self.kept.push(file);
                } else {
                    testing::release(file.reference().raw());
                }
                Ok(said)
            }
            Step::MakeDirectory(path) => client.make_directory(path).map(|()| Said::Nothing),
            Step::Remove { path, directory } => {
                client.remove(path, *directory).map(|()| Said::Nothing)
            }
            Step::Rename { from, to, flags } => {
                client.rename(from, to, *flags).map(|()| Said::Nothing)
            }
            Step::Link { from, to } => client.link(from, to).map(|()| Said::Nothing),
            Step::MakeLink { target, path } => {
                client.make_link(target, path).map(|()| Said::Nothing)
            }
            Step::MakePipe(path) => client
                .tree
                .make_node(path.as_bytes(), kind::PIPE | 0o644, 0, &mut [0; 4096])
                .map(|()| Said::Nothing),
            Step::Look { path, follow } => Ok(attributes_said(&client.attributes(path, *follow)?)),
            Step::ReadLink(path) => client.read_link(path).map(Said::Bytes),
            Step::List(path) => {
                let entries = client.list(path)?;
                let count = entries.len();
                let names: BTreeMap<_, _> = entries
                    .into_iter()
                    .map(|entry| (entry.name, entry.kind))
                    .collect();
                assert_eq!(names.len(), count, "a name is listed twice");
                Ok(Said::Names(names))
            }
            Step::Truncate { path, length } => {
                let to = Attributes {
                    length: *length,
                    ..Attributes::default()
                };
                let (path, room) = (path.as_bytes(), &mut [0; 4096]);
                client
                    .tree
                    .set_attributes(path, to.as_bytes(), change::LENGTH, true, room)
                    .map(|()| Said::Nothing)
            }
            Step::Permissions { path, mode } => {
                let to = Attributes {
                    mode: *mode,
                    ..Attributes::default()
                };
                let (path, room) = (path.as_bytes(), &mut [0; 4096]);
                client
                    .tree
                    .set_attributes(path, to.as_bytes(), change::MODE, true, room)
                    .map(|()| Said::Nothing)
            }
            Step::WriteKept { offset, length } => {
                let Some(file) = self.kept.last() else {
                    return Ok(Said::Nothing);
                };
                let bytes = pattern(seed, *length);
                let mut done = 0;
                while done < bytes.len() {
                    let piece = &bytes[done..bytes.len().min(done + 4096)];
                    match file.write(offset + done as u64, piece) {
                        Ok((written, _)) => done += written as usize,
                        // Open for reading only.
                        Err(Error::Denied) => break,
                        Err(error) => return Err(error),
                    }
                }
                support::read_all(file).map(Said::Bytes)
            }
            Step::CloseKept => {
                if let Some(file) = self.kept.pop() {
                    testing::release(file.reference().raw());
                }
                Ok(Said::Nothing)
            }
        }
    }
}

struct Host<'a> {
    base: &'a OwnedFd,
    kept: Vec<OwnedFd>,
}

impl Host<'_> {
    fn run(&mut self, step: &Step, seed: usize, keep_reading: bool) -> Said {
        self.try_run(step, seed, keep_reading)
            .unwrap_or_else(Said::Failed)
    }

    fn try_run(&mut self, step: &Step, seed: usize, keep_reading: bool) -> Result<Said, Errno> {
        let at = self.base;
        match step {
            Step::Open { path, flags, keep } => {
                let both = open::READ | open::WRITE;
                let mut host_flags = match flags & both {
                    open::READ => OFlags::RDONLY,
                    open::WRITE => OFlags::WRONLY,
                    _ => OFlags::RDWR,
                };
                // A pipe's open must not wait for its other end.
                host_flags |= OFlags::NONBLOCK;
                for (flag, host) in [
                    (open::CREATE, OFlags::CREATE),
                    (open::EXCLUSIVE, OFlags::EXCL),
                    (open::TRUNCATE, OFlags::TRUNC),
                    (open::NO_FOLLOW, OFlags::NOFOLLOW),
                    (open::DIRECTORY, OFlags::DIRECTORY),
                ] {
                    if flags & flag != 0 {
                        host_flags |= host;
                    }
                }
                let file = match fs::openat(at, path, host_flags, Mode::from(0o644)) {
                    // A pipe without a reader.
                    Err(Errno::NXIO) => return Ok(Said::Nothing),
                    other => other?,
                };
                let status = fs::fstat(&file)?;
                let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
                let said = if !regular {
                    Said::Nothing
                } else if flags & open::WRITE != 0 {
                    let end = status.st_size as u64;
                    rustix::io::pwrite(&file, &pattern(seed, seed % 300), end)?;
                    Said::Nothing
                } else {
                    Said::Bytes(host_contents(&file)?)
                };
                let keep_it = flags & both == both || (keep_reading && flags & open::READ != 0);
                if *keep && regular && keep_it {
                    self.kept.push(file);
                }
                Ok(said)
            }
            Step::MakeDirectory(path) => {
                fs::mkdirat(at, path, Mode::from(0o755)).map(|()| Said::Nothing)
            }
            Step::Remove { path, directory } => {
                let flags = if *directory {
                    AtFlags::REMOVEDIR
                } else {
                    AtFlags::empty()
                };
                fs::unlinkat(at, path, flags).map(|()| Said::Nothing)
            }
            Step::Rename { from, to, flags } => {
                let flags = match flags {
                    0 => RenameFlags::empty(),
                    1 => RenameFlags::NOREPLACE,
                    _ => RenameFlags::EXCHANGE,
                };
                fs::renameat_with(at, from, at, to, flags).map(|()| Said::Nothing)
            }
            Step::Link { from, to } => {
                fs::linkat(at, from, at, to, AtFlags::empty()).map(|()| Said::Nothing)
            }
            Step::MakeLink { target, path } => {
                fs::symlinkat(target, at, path).map(|()| Said::Nothing)
            }
            Step::MakePipe(path) => {
                fs::mknodat(at, path, FileType::Fifo, Mode::from(0o644), 0).map(|()| Said::Nothing)
            }
            Step::Look { path, follow } => {
                let flags = if *follow {
                    AtFlags::empty()
                } else {
                    AtFlags::SYMLINK_NOFOLLOW
                };
                let status = fs::statat(at, path, flags)?;
                Ok(attributes_said(&Attributes {
                    mode: status.st_mode,
                    links: status.st_nlink as u32,
                    length: status.st_size as u64,
                    ..Attributes::default()
                }))
            }
            Step::ReadLink(path) => {
                fs::readlinkat(at, path, Vec::new()).map(|target| Said::Bytes(target.into_bytes()))
            }
            Step::List(path) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let directory = fs::openat(at, path, flags, Mode::empty())?;
                let mut names = BTreeMap::new();
                for entry in fs::Dir::new(directory)? {
                    let entry = entry?;
                    let name = entry.file_name().to_bytes().to_vec();
                    if name != b"." && name != b".." {
                        names.insert(name, entry.file_type().as_raw_mode());
                    }
                }
                Ok(Said::Names(names))
            }
            Step::Truncate { path, length } => {
                // `truncate` is `open` for writing and `ftruncate`, but for what is no file.
                let status = fs::statat(at, path, AtFlags::empty())?;
                match FileType::from_raw_mode(status.st_mode) {
                    FileType::Directory => return Err(Errno::ISDIR),
                    FileType::RegularFile => {}
                    _ => return Err(Errno::INVAL),
                }
                let file = fs::openat(at, path, OFlags::WRONLY, Mode::empty())?;
                fs::ftruncate(&file, *length).map(|()| Said::Nothing)
            }
            Step::Permissions { path, mode } => {
                fs::chmodat(at, path, Mode::from(*mode), AtFlags::empty()).map(|()| Said::Nothing)
            }
            Step::WriteKept { offset, length } => {
                let Some(file) = self.kept.last() else {
                    return Ok(Said::Nothing);
                };
                let bytes = pattern(seed, *length);
                match rustix::io::pwrite(file, &bytes, *offset) {
                    Ok(_) | Err(Errno::BADF) => {}
                    Err(error) => return Err(error),
                }
                host_contents(file).map(Said::Bytes)
            }
            Step::CloseKept => {
                self.kept.pop();
                Ok(Said::Nothing)
            }
        }
    }
}

fn host_contents(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut contents = vec![0; 40_000];
    let length = rustix::io::pread(file, &mut contents, 0)?;
    contents.truncate(length);
    Ok(contents)
}

/// Compares the whole trees below `path`.
fn compare(ours: &mut Ours, host: &mut Host<'_>, path: &str) {
    let list = Step::List(path.into());
    let said = ours.run(&list, 0, false);
    assert_eq!(said, host.run(&list, 0, false), "names in {path}");
    let Said::Names(names) = said else {
        panic!("{path} is not listed")
    };
    for (name, of_kind) in names {
        let name = std::str::from_utf8(&name).unwrap();
        let path = format!("{path}/{name}");
        let step = Step::Look {
            path: path.clone(),
            follow: false,
        };
        assert_eq!(
            ours.run(&step, 0, false),
            host.run(&step, 0, false),
            "{path}"
        );
        let step = match of_kind {
            kind::DIRECTORY => {
                compare(ours, host, &path);
                continue;
            }
            kind::LINK => Step::ReadLink(path.clone()),
            _ => Step::Open {
                path: path.clone(),
                flags: open::READ,
                keep: false,
            },
        };
        assert_eq!(
            ours.run(&step, 0, false),
            host.run(&step, 0, false),
            "{path}"
        );
    }
}

/// A directory on the host, deep enough that `..` stays in what is removed in the end. In memory, if
/// the host has such: what other file systems answer differs in details.
struct Place {
    _outer: tempfile::TempDir,
    base: std::path::PathBuf,
}

impl Place {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let outer = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let outer = outer.unwrap();
        let base = outer.path().join(["z"; 12].join("/"));
        std::fs::create_dir_all(&base).unwrap();
        Self {
            _outer: outer,
            base,
        }
    }
}

/// Runs `before` on the host only and starts ours over what it made; then `steps` on both.
fn run(before: Option<&[Step]>, steps: &[Step]) {
    testing::clear();
    let place = Place::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let base = fs::open(&place.base, flags, Mode::empty()).unwrap();
    let mut host = Host {
        base: &base,
        kept: Vec::new(),
    };
    let client = match before {
        None => Client::empty(),
        Some(before) => {
            for (seed, step) in before.iter().enumerate() {
                // Nothing may leave the tree: ours is not there to say.
                if !format!("{step:?}").contains("..") {
                    host.run(step, seed, false);
                }
            }
            host.kept.clear();
            let mut tree = Tree::default();
            tree.add_host_directory(
                &place.base,
                OsStr::from_bytes(b"").as_bytes(),
                &HostOptions::default(),
            )
            .unwrap();
            Client::over(&tree)
        }
    };
    let mut ours = Ours {
        client,
        kept: Vec::new(),
    };
    // An unchanged file that is open for reading does not see what its copy becomes.
    let keep_reading = before.is_none();
    for (seed, step) in steps.iter().enumerate() {
        let said = ours.run(step, seed, keep_reading);
        if said == Said::Elsewhere {
            continue;
        }
        assert_eq!(said, host.run(step, seed, keep_reading), "{step:?}");
    }
    compare(&mut ours, &mut host, ".");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, max_shrink_iters: 4000, ..ProptestConfig::default()
    })]

    #[test]
    fn a_tree_of_its_own_behaves_as_the_hosts(steps in proptest::collection::vec(step(), 1..60)) {
        run(None, &steps);
    }

    #[test]
    fn a_tree_over_an_image_behaves_as_the_hosts(
        before in proptest::collection::vec(step(), 1..60),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        run(Some(&before), &steps);
    }
}
