//! Finds programs of the host the way a shell does.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn is_program(path: &Path) -> bool {
    let status = path.metadata();
    status.is_ok_and(|status| status.is_file() && status.permissions().mode() & 0o111 != 0)
}

/// The program `name`: itself if it has a slash, else the first one in `PATH`.
pub fn find_program(name: &Path) -> Option<PathBuf> {
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return is_program(name).then(|| name.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| is_program(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert!(find_program(Path::new("sh")).is_some());
        assert_eq!(find_program(Path::new("/bin/sh")), Some("/bin/sh".into()));
        assert_eq!(find_program(Path::new("/etc/passwd")), None);
        assert_eq!(find_program(Path::new("no-such-program-anywhere")), None);
    }
}
