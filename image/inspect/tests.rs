//! Pictures of an image that needs no compiler to make.

use super::*;

fn contents() -> Contents {
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
    let mut contents = Contents::of_configuration(&Configuration::new(&blob));
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
