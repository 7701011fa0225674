//! Root file systems made from sources on this host.

use super::*;
use crate::manifest::{Manifest, Source};

fn manifest(directory: &Path, root: &str, program: &str) -> Manifest {
    let text = format!("name = \"t\"\n[program]\npath = \"{program}\"\n[root]\nfrom = {root}\n");
    Manifest::parse(Source::new("t.toml", text), directory.to_owned()).unwrap()
}

fn build(directory: &Path, root: &str, program: &str) -> Result<Tree, Error> {
    let manifest = manifest(directory, root, program);
    let tree = assemble(&manifest, None, Progress::silent())?;
    check_program(&tree, &manifest, Progress::silent())?;
    Ok(tree)
}

fn scratch(name: &str) -> std::path::PathBuf {
    let place = std::env::temp_dir().join(format!("kiln-root-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    place
}

#[test]
fn a_dynamic_program_of_the_host_comes_with_its_libraries() {
    let tree = build(Path::new(""), "{ binary = \"/bin/ls\" }", "/bin/ls").unwrap();
    assert!(tree.get("/lib64/ld-linux-x86-64.so.2").is_some());
    assert!(tree.get("/etc/passwd").is_some());
    assert_eq!(tree.get("/tmp").unwrap().attributes().mode, 0o1777);
}

#[test]
fn the_same_sources_give_the_same_bytes_and_later_ones_win() {
    let place = scratch("same");
    std::fs::create_dir(place.join("tree")).unwrap();
    std::fs::write(place.join("tree/a"), "first text").unwrap();
    std::fs::write(place.join("b"), "later text").unwrap();
    let root =
        "[{ directory = \"tree\" }, { files = [{ from = \"b\", to = \"/a\", mode = \"0755\" }] }]";
    let first = write(&build(&place, root, "/a").unwrap(), "t").unwrap().0;
    let second = write(&build(&place, root, "/a").unwrap(), "t").unwrap().0;
    assert_eq!(first, second);
    let image = kiln_erofs::Image::new(&first).unwrap();
    let root = image.inode(image.root()).unwrap();
    let found = image.inode(image.lookup(&root, b"a").unwrap()).unwrap();
    assert_eq!(found.size, 10);
    assert!(first.windows(10).any(|bytes| bytes == b"later text"));
    assert!(!first.windows(10).any(|bytes| bytes == b"first text"));
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn what_is_missing_is_shown_where_it_is_written() {
    let place = scratch("missing");
    let error = build(&place, "{ directory = \"nowhere\" }", "/a")
        .unwrap_err()
        .to_string();
    assert!(error.contains("t.toml:5:22"), "{error}");
    assert!(
        error.contains("relative to the manifest's directory"),
        "{error}"
    );
    let error = build(&place, "{ binary = \"nothing\" }", "/bin/nothing")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("t.toml:5:19") && error.contains("No such file"),
        "{error}"
    );
    let error = build(Path::new(""), "{ binary = \"/bin/ls\" }", "/bin/sl")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("t.toml:3:8") && error.contains("did you mean `ls` in `/bin`?"),
        "{error}"
    );
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_program_without_an_x_bit_is_refused() {
    let place = scratch("mode");
    std::fs::write(place.join("a"), "x").unwrap();
    let root = "{ files = [{ from = \"a\", to = \"/a\", mode = \"0644\" }] }";
    let error = build(&place, root, "/a").unwrap_err().to_string();
    assert!(error.contains("may not be executed"), "{error}");
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn packages_are_pinned_and_give_the_same_bytes_again() {
    let place = scratch("packages");
    let lock = place.join("t.lock");
    let described = manifest(&place, "{ packages = [\"lua5.4\"] }", "/usr/bin/lua");
    let build = || assemble(&described, Some(&lock), Progress::silent());
    // Where packages cannot be had this fails and says why: a test that passed then would prove nothing.
    let tree = build().unwrap_or_else(|error| panic!("{error}"));
    check_program(&tree, &described, Progress::silent()).unwrap();
    // Made by update-alternatives when the package is installed.
    assert!(matches!(
        tree.get("/usr/bin/lua").unwrap().item(),
        Item::Symlink(_)
    ));
    // What is shipped under /lib lands where the link leads.
    assert!(matches!(tree.get("/lib").unwrap().item(), Item::Symlink(_)));
    assert!(tree.get("/usr/lib/x86_64-linux-gnu/libc.so.6").is_some());
    assert!(tree.get("/usr/share/doc/lua5.4/copyright").is_some());
    assert!(tree.get("/usr/share/man/man1").is_none());
    let pinned = std::fs::read(&lock).unwrap();
    let again = build().unwrap();
    assert_eq!(write(&tree, "t").unwrap().0, write(&again, "t").unwrap().0);
    assert_eq!(std::fs::read(&lock).unwrap(), pinned);

    // Another file under the same name is told.
    let text = String::from_utf8(pinned).unwrap();
    let (before, after) = text.split_once("sha256 = \"").unwrap();
    let changed = format!("{before}sha256 = \"{}{}", "0".repeat(64), &after[64..]);
    std::fs::write(&lock, changed).unwrap();
    let error = build().unwrap_err().to_string();
    assert!(
        error.contains("is pinned by") && error.contains("delete the lock file"),
        "{error}"
    );

    std::fs::remove_file(&lock).unwrap();
    let wrong = manifest(&place, "{ packages = [\"luua5.4\"] }", "/usr/bin/lua");
    let error = assemble(&wrong, Some(&lock), Progress::silent())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("t.toml:5:22") && error.contains("did you mean `lua5.4`"),
        "{error}"
    );
    std::fs::remove_dir_all(place).unwrap();
}
