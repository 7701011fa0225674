//! Images composed of the parts that this tool carries.

use std::path::Path;
use std::time::Instant;

use kiln_erofs::write::{Attributes, Content, Item, Tree};
use kiln_linker::inspect;

use super::*;
use crate::manifest::Source;

fn compose(head: &str, tail: &str) -> (Vec<u8>, kiln_linker::ImageReport) {
    let text = format!(
        "name = \"t\"\n{head}\n[program]\npath = \"/hello\"\n[root]\nfrom = []\nwritable = false\n{tail}"
    );
    let manifest = Manifest::parse(Source::new("t.toml", text), Path::new("").to_owned()).unwrap();
    let mut tree = Tree::default();
    let content = Item::File(Content::Bytes(vec![7; 20_000]));
    tree.insert("hello", Attributes::new(0o755), content)
        .unwrap();
    let quiet = Progress::silent();
    let ingredients = Ingredients::gather(&manifest, &tree, Launch::default(), quiet).unwrap();
    let image = ingredients.compose(&manifest, quiet).unwrap();
    (image.to_bytes(), image.report.clone())
}

/// Whether this tool carries parts; one built for work on the tool alone does not.
fn have_parts() -> bool {
    let found = parts::part("kernel").is_ok();
    if !found {
        eprintln!("skipped: built with KILN_WITHOUT_PARTS");
    }
    found
}

#[test]
fn the_same_manifest_gives_the_same_image_in_time() {
    if !have_parts() {
        return;
    }
    let began = Instant::now();
    let (first, report) = compose("", "");
    // Two seconds is the promise for a release build; a debug build may take longer.
    let limit = if cfg!(debug_assertions) { 20.0 } else { 2.0 };
    assert!(
        began.elapsed().as_secs_f64() < limit,
        "{:?}",
        began.elapsed()
    );
    assert!(first == compose("", "").0, "the bytes differ");
    assert!(report.file_bytes <= 1 << 20, "{} bytes", report.file_bytes);
}

#[test]
fn what_the_manifest_leaves_out_is_not_in_the_image() {
    if !have_parts() {
        return;
    }
    let names = |image: &[u8]| -> Vec<String> {
        let components = inspect(image).unwrap().components;
        components
            .into_iter()
            .map(|component| component.name)
            .collect()
    };
    let small = names(&compose("drivers = []", "").0);
    assert!(small.contains(&"image_root".to_owned()), "{small:?}");
    assert!(!small.contains(&"memory_fs".to_owned()), "{small:?}");
    let servers = "[servers]\nname_space = {}\nimage_root = {}\nmemory_fs = {}";
    let large = names(&compose("drivers = []", servers).0);
    assert!(large.contains(&"memory_fs".to_owned()), "{large:?}");

    let kernel = |drivers: &str| {
        let (_, report) = compose(drivers, "");
        report.components[0].total.file_bytes()
    };
    let (none, serial) = (kernel("drivers = []"), kernel("drivers = [\"serial\"]"));
    assert!(none < serial, "{none} against {serial} bytes");
}
