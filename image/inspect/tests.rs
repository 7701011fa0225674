//! Pictures of an image that needs no compiler to make.

use kiln_erofs::write::{Attributes, Content, Item, Tree};
use proptest::prelude::*;

use super::*;
use crate::damage::damaged;

fn configuration() -> Vec<u8> {
    let mut blob = Vec::new();
    for (key, value) in [
        (key::SERVER, "name_space"),
        (key::HOME, "name_space\0name_space"),
        (key::HOME, "files\0image_root\0memory_fs"),
        (key::HOME, "kernel_home\0counter"),
        (key::GRANT, "name_space\0linux\08"),
        (key::GRANT, "elsewhere\0linux\08"),
        (key::PERSONALITY, "linux"),
        (key::PROGRAM_PATH, "/bin/\"x\""),
        (key::PROGRAM_ARGUMENT, "x"),
        (key::HOST_NAME, "t"),
        (DRIVER_KEY, "serial"),
    ] {
        kiln_object::configuration::write_record(
            |bytes| blob.extend_from_slice(bytes),
            key,
            value.as_bytes(),
        );
    }
    blob
}

fn contents() -> Contents {
    let mut contents = Contents::of_configuration(&Configuration::new(&configuration()));
    for (name, kind) in [
        ("kernel", "kernel"),
        ("name_space", "server"),
        ("linux", "personality"),
    ] {
        contents.parts.push(Part {
            name: name.to_owned(),
            kind,
            home: None,
            file_bytes: 2048,
            memory_bytes: 4096,
            crates: Vec::new(),
        });
    }
    contents.settle()
}

#[test]
fn the_tree_shows_who_uses_whom() {
    let text = to_text(&contents());
    let tree = "/bin/\"x\"\n└─ linux\n   ├─ name_space\n   │  └─ kernel\n   │     └─ serial\n   └─ kernel ...\n";
    assert!(text.ends_with(tree), "{text}");
    let homes =
        "name_space (own), image_root (shared:files), memory_fs (shared:files), counter (kernel)";
    assert!(text.contains(homes), "{text}");
}

#[test]
fn the_other_forms_are_well_formed() {
    let value: serde_json::Value = serde_json::from_str(&to_json(&contents())).unwrap();
    assert_eq!(value["parts"][1]["home"], "own");
    assert_eq!(value["parts"][0]["file_bytes"], 2048);
    let dot = to_dot(&contents());
    assert!(dot.contains("\"/bin/\\\"x\\\"\" -> \"linux\";"), "{dot}");
}

#[test]
fn what_is_no_image_is_refused() {
    assert!(Contents::of_image(b"\x7fELF\x02\x01 but no image").is_err());
    let root = RootContents::of(b"no file system");
    assert!(root.damage.is_some());
}

fn root() -> Vec<u8> {
    let mut tree = Tree::default();
    for (path, item) in [
        ("a/b/c", Item::File(Content::Bytes(vec![1; 5000]))),
        ("a/d", Item::Directory),
        ("e", Item::Symlink(b"a".to_vec())),
    ] {
        tree.insert(path, Attributes::new(0o755), item).unwrap();
    }
    // So many names that the root has blocks of its own, which no checksum covers.
    for number in 0..400 {
        let path = format!("name-{number}");
        tree.insert(path, Attributes::new(0o644), Item::Fifo)
            .unwrap();
    }
    crate::root::write(&tree, "x").unwrap().0
}

#[test]
fn a_directory_that_is_in_itself_is_damage() {
    let bytes = root();
    let good = RootContents::of(&bytes);
    assert_eq!((good.directories, good.files, good.damage), (4, 1, None));
    // Every number that could be the directory's leads to the root, one after the other.
    let image = kiln_erofs::Image::new(&bytes).unwrap();
    let root = image.inode(image.root()).unwrap();
    let inner = image.lookup(&root, b"a").unwrap();
    let (from, to) = (inner.0.to_le_bytes(), image.root().0.to_le_bytes());
    let places = (4096..bytes.len() - 8).filter(|at| bytes[*at..at + 8] == from);
    let damages = places.filter_map(|at| {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].copy_from_slice(&to);
        RootContents::of(&bytes).damage
    });
    assert!(damages.count() > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_root_is_counted_in_bounded_time(bytes in damaged(&root(), &["\0", "a"])) {
        let found = RootContents::of(&bytes);
        prop_assert!(found.largest.len() <= 8);
        // Past the checksum of the first block.
        let mut whole = root();
        let length = bytes.len().min(whole.len());
        if length > 4096 {
            whole[4096..length].copy_from_slice(&bytes[4096..length]);
        }
        RootContents::of(&whole);
    }

    #[test]
    fn a_damaged_configuration_is_shown(
        blob in damaged(&configuration(), &["\0", "server", "home", "grant"]),
    ) {
        let contents = Contents::of_configuration(&Configuration::new(&blob)).settle();
        prop_assert!(!to_text(&contents).is_empty());
        serde_json::from_str::<serde_json::Value>(&to_json(&contents)).unwrap();
        to_dot(&contents);
        let _ = Contents::of_image(&blob);
    }
}
