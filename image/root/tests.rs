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
