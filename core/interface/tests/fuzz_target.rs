//! The fuzz target, built with a stand-in for libFuzzer, and run for a while over random inputs.

use proptest::collection::vec;
use proptest::prelude::*;

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

#[allow(unused_attributes, unused_imports, dead_code)]
#[path = "../fuzz/fuzz_targets/throw_calls.rs"]
mod throw_calls;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_input_is_a_call_or_nothing(
        start in (any::<u8>(), 0..24_u16, 0..4200_u16, any::<u32>()),
        words in vec(prop_oneof![0..64_u64, any::<u64>()], 0..11),
        input in vec(any::<u8>(), 0..80),
    ) {
        let (interface, method, output, rights) = start;
        let mut bytes = vec![interface];
        bytes.extend(method.to_le_bytes());
        bytes.extend(output.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(input);
        throw_calls::run(&bytes);
    }

    #[test]
    fn any_bytes_are_taken(bytes in vec(any::<u8>(), 0..300)) {
        throw_calls::run(&bytes);
    }
}
