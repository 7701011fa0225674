//! The fuzz target, built with a stand-in for libFuzzer, and run for a while over damaged images.

mod support;

use kiln_erofs::write::{Item, Tree};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::{attributes, file, image_of};

extern crate self as libfuzzer_sys;

/// The stand-in: the target is a function.
#[macro_export]
macro_rules! fuzz_target {
    (|$bytes:ident: &[u8]| $body:block) => {
        pub fn run($bytes: &[u8]) {
            $body
        }
    };
}

#[allow(unused_attributes, unused_imports)]
#[path = "../fuzz/fuzz_targets/read_image.rs"]
mod read_image;

fn seed() -> Vec<u8> {
    let mut tree = Tree::default();
    for (path, item) in [
        ("a", file(vec![1; 5000])),
        ("lib/x", file([2; 10])),
        ("link", Item::Symlink(b"lib/x".to_vec())),
        ("pipe", Item::Fifo),
    ] {
        tree.insert(path, attributes(0o755), item).unwrap();
    }
    image_of(&tree)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_image_is_read_or_refused(
        changes in vec((any::<Index>(), any::<u8>()), 0..20),
        cut in prop_oneof![4 => Just(None), 1 => any::<Index>().prop_map(Some)],
    ) {
        let mut bytes = seed();
        for (index, byte) in changes {
            // What matters is behind the first sectors, which are empty.
            let at = 1024 + index.index(bytes.len() - 1024);
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_image::run(&bytes);
    }
}
