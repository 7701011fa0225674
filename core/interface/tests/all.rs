//! `ALL` has every interface that the sources here declare: what goes through it misses none.

use std::path::Path;

/// The names in the decorations of the files directly in `src`.
fn declared() -> Vec<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(sources).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        assert!(path.is_file(), "{path:?}: this test looks into no folders");
        let text = std::fs::read_to_string(&path).expect("text");
        // A decoration may be broken over lines.
        for rest in text.split("#[interface(").skip(1) {
            let named = rest.split_once("name = \"").expect("it has a name").1;
            names.push(named.split('"').next().expect("it ends").to_owned());
        }
    }
    names
}

#[test]
fn every_interface_is_listed() {
    let (mut declared, mut listed) = (
        declared(),
        kiln_interface::ALL.map(|one| one.name.to_owned()).to_vec(),
    );
    declared.sort();
    listed.sort();
    assert!(!declared.is_empty());
    assert_eq!(declared, listed);
}
