//! What programs expect of any root file system, added where the sources have none.

use kiln_erofs::Device;
use kiln_erofs::write::{Attributes, Content, Item, Tree, TreeError};

/// Directories and their modes.
const DIRECTORIES: [(&str, u16); 8] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
];

/// Character devices: name, number, mode; numbers as Linux's `devices.txt` has them.
const DEVICES: [(&str, u32, u32, u16); 7] = [
    ("dev/null", 1, 3, 0o666),
    ("dev/zero", 1, 5, 0o666),
    ("dev/full", 1, 7, 0o666),
    ("dev/random", 1, 8, 0o666),
    ("dev/urandom", 1, 9, 0o666),
    ("dev/tty", 5, 0, 0o666),
    ("dev/console", 5, 1, 0o600),
];

const LINKS: [(&str, &str); 4] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
];

/// Adds what is missing; `name` becomes the host name.
pub fn add(tree: &mut Tree, name: &str) -> Result<(), TreeError> {
    for (path, mode) in DIRECTORIES {
        if tree.get(path).is_none() {
            tree.insert(path, Attributes::new(mode), Item::Directory)?;
        }
    }
    for (path, major, minor, mode) in DEVICES {
        let item = Item::CharacterDevice(Device { major, minor });
        add_missing(tree, path, mode, item)?;
    }
    for (path, target) in LINKS {
        add_missing(tree, path, 0o777, Item::Symlink(target.into()))?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    let hosts = format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost\n");
    for (path, text) in [
        ("etc/passwd", users.to_owned()),
        (
            "etc/group",
            "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n".to_owned(),
        ),
        ("etc/hostname", format!("{name}\n")),
        ("etc/hosts", hosts),
    ] {
        add_missing(tree, path, 0o644, Item::File(Content::Bytes(text.into())))?;
    }
    Ok(())
}

fn add_missing(tree: &mut Tree, path: &str, mode: u16, item: Item) -> Result<(), TreeError> {
    if tree.get(path).is_none() {
        tree.insert(path, Attributes::new(mode), item)?;
    }
    Ok(())
}
