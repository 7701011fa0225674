//! Absolute paths as byte strings: joining and taking apart.
//!
//! A joined path starts with `/` and has neither empty nor `.` components nor a slash at its end;
//! `..` stays where it is, since only a walk knows whether the component before it is a link.

use alloc::vec::Vec;

use crate::errno::Errno;

/// Longest path that a system call takes, its NUL included.
pub const PATH_BYTES: usize = 4096;

/// Longest component of a path.
pub const NAME_BYTES: usize = 255;

/// A path made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The absolute path.
    pub path: Vec<u8>,
    /// The caller wrote it so that only a directory can be meant (`x/`, `x/.`, `x/..`).
    pub directory: bool,
    /// There are `..` components in the path.
    pub climbs: bool,
}

/// Makes `path` absolute, starting from the directory `base`.
///
/// # Errors
/// `ENOENT` for an empty path, `ENAMETOOLONG` for a component or a whole that is too long.
pub fn join(base: &[u8], path: &[u8]) -> Result<Joined, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.len() >= PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut joined = Vec::with_capacity(base.len() + path.len() + 1);
    if path.first() != Some(&b'/') && base != b"/" {
        joined.extend_from_slice(base);
    }
    let (mut directory, mut climbs) = (true, false);
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => directory = true,
            b".." => {
                directory = true;
                // The root's parent is the root.
                if !joined.is_empty() {
                    joined.extend_from_slice(b"/..");
                    climbs = true;
                }
            }
            name if name.len() > NAME_BYTES => return Err(Errno::ENAMETOOLONG),
            name => {
                directory = false;
                joined.push(b'/');
                joined.extend_from_slice(name);
            }
        }
    }
    if joined.is_empty() {
        joined.push(b'/');
    }
    if joined.len() >= PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(Joined {
        path: joined,
        directory,
        climbs,
    })
}

/// The components of an absolute path.
pub fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
}

/// What follows `prefix` in `path`, without a slash before it: empty if they are the same, `None`
/// if `path` does not lie below `prefix`.
#[must_use]
pub fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix == b"/" {
        return path.strip_prefix(b"/");
    }
    match path.strip_prefix(prefix)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// The directory and the last component; `None` for the root.
#[must_use]
pub fn split_last(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    let (directory, name) = path.split_at(slash);
    let name = name.get(1..).filter(|name| !name.is_empty())?;
    Some((
        if directory.is_empty() {
            b"/"
        } else {
            directory
        },
        name,
    ))
}

/// The path before the first `..` component and what follows that component (`b"/x"` or empty).
#[must_use]
pub fn split_at_parent_step(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    while let Some(found) = path
        .get(from..)
        .and_then(|rest| rest.windows(3).position(|window| window == b"/.."))
    {
        let start = from + found;
        let rest = path.get(start + 3..).unwrap_or_default();
        if rest.is_empty() || rest.starts_with(b"/") {
            let before = path.get(..start).unwrap_or_default();
            return Some((if before.is_empty() { b"/" } else { before }, rest));
        }
        from = start + 3;
    }
    None
}

/// `target` of a link that lies in `directory`, then `rest` (empty or starting with `/`).
#[must_use]
pub fn splice(directory: &[u8], target: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut spliced = Vec::with_capacity(directory.len() + target.len() + rest.len() + 1);
    if target.first() != Some(&b'/') {
        spliced.extend_from_slice(directory);
        spliced.push(b'/');
    }
    spliced.extend_from_slice(target);
    spliced.extend_from_slice(rest);
    spliced
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::String;

    fn joined(base: &str, path: &str) -> (String, bool) {
        let joined = join(base.as_bytes(), path.as_bytes()).expect("joins");
        (
            String::from_utf8(joined.path).expect("is text"),
            joined.directory,
        )
    }

    #[test]
    fn joins_like_a_kernel_walks() {
        assert_eq!(joined("/", "a"), ("/a".into(), false));
        assert_eq!(joined("/a/b", "c/d"), ("/a/b/c/d".into(), false));
        assert_eq!(joined("/a", "/x//./y/"), ("/x/y".into(), true));
        assert_eq!(joined("/a", "."), ("/a".into(), true));
        assert_eq!(joined("/", ".."), ("/".into(), true));
        assert_eq!(joined("/", "../../etc"), ("/etc".into(), false));
        assert_eq!(joined("/a", "../b"), ("/a/../b".into(), false));
        assert_eq!(joined("/a", "///"), ("/".into(), true));
        assert_eq!(joined("/a", "..x"), ("/a/..x".into(), false));
    }

    #[test]
    fn refuses_what_is_too_long_or_empty() {
        assert_eq!(join(b"/", b""), Err(Errno::ENOENT));
        assert_eq!(join(b"/", &[b'x'; 256]), Err(Errno::ENAMETOOLONG));
        assert!(join(b"/", &[b'x'; 255]).is_ok());
        assert_eq!(join(b"/", &[b'/'; 4096]), Err(Errno::ENAMETOOLONG));
        assert!(join(b"/", &[b'/'; 4095]).is_ok());
        let long = [b'a', b'/'].repeat(1500);
        let base = [b'/', b'b'].repeat(1500);
        assert_eq!(join(&base, &long), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn takes_paths_apart() {
        assert_eq!(below(b"/proc", b"/proc"), Some(&b""[..]));
        assert_eq!(below(b"/proc/self", b"/proc"), Some(&b"self"[..]));
        assert_eq!(below(b"/process", b"/proc"), None);
        assert_eq!(below(b"/x", b"/"), Some(&b"x"[..]));
        assert_eq!(split_last(b"/a/b"), Some((&b"/a"[..], &b"b"[..])));
        assert_eq!(split_last(b"/a"), Some((&b"/"[..], &b"a"[..])));
        assert_eq!(split_last(b"/"), None);
        assert_eq!(
            split_at_parent_step(b"/a/../b"),
            Some((&b"/a"[..], &b"/b"[..]))
        );
        assert_eq!(
            split_at_parent_step(b"/a/..x/.."),
            Some((&b"/a/..x"[..], &b""[..]))
        );
        assert_eq!(split_at_parent_step(b"/a/b"), None);
        assert_eq!(splice(b"/a", b"b", b"/c"), b"/a/b/c");
        assert_eq!(splice(b"/a", b"/b", b""), b"/b");
    }

    proptest! {
        #[test]
        fn a_joined_path_is_clean(base in "(/[a-z.]{1,3}){0,3}", path in "[a-z./]{1,40}") {
            let base = join(b"/", format!("/{base}").as_bytes()).expect("joins").path;
            let joined = join(&base, path.as_bytes()).expect("joins").path;
            prop_assert!(joined.starts_with(b"/"));
            if joined != b"/" {
                prop_assert!(joined.split(|byte| *byte == b'/').skip(1)
                    .all(|component| !component.is_empty() && component != b"."));
            }
            prop_assert_eq!(join(b"/", &joined).expect("joins").path, joined);
        }
    }
}
