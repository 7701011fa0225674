//! Random calls at every generated dispatch: nothing panics, and no right is stepped over.

use proptest::prelude::*;

mod throw;

use throw::{INTERFACES, Thrown, throw};

/// Numbers that are near an edge more often than not.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..20u64,
        1 => Just(0x1_0000_0003), // the caller itself
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
        1 => (0..64u32).prop_map(|bit| 1 << bit),
        1 => (0..64u32).prop_map(|bit| u64::MAX >> bit),
    ]
}

fn thrown() -> impl Strategy<Value = Thrown> {
    let method = prop_oneof![8 => 0..16u16, 1 => any::<u16>()];
    let input = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..40),
        (0..=4096usize).prop_map(|length| vec![b'/'; length]),
    ];
    let output = prop_oneof![Just(0), 0..40usize, Just(4096)];
    // Most rights, so that calls get further than the first check.
    let rights = prop_oneof![
        Just(u32::MAX),
        any::<u32>(),
        (0..32u32).prop_map(|bit| !(1 << bit))
    ];
    (
        method,
        proptest::array::uniform6(word()),
        input,
        output,
        rights,
        proptest::array::uniform4(word()),
    )
        .prop_map(|(method, words, input, output, rights, answer)| Thrown {
            method,
            words,
            input,
            output,
            rights,
            answer,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_call_gets_through_that_must_not(interface in 0..INTERFACES, thrown in thrown()) {
        throw(interface, &thrown);
    }
}

#[test]
fn what_is_thrown_does_get_through_where_it_may() {
    // Else the test above would show nothing.
    let asked = |method| {
        let thrown = Thrown {
            method,
            words: [0; 6],
            input: Vec::new(),
            output: 64,
            rights: u32::MAX,
            answer: [0; 4],
        };
        (0..INTERFACES)
            .filter(|interface| throw(*interface, &thrown))
            .count()
    };
    // And two that are no part of the crate.
    assert_eq!(INTERFACES, kiln_interface::ALL.len() + 2);
    assert_eq!(asked(1), INTERFACES, "a first method takes words of nought");
    assert_eq!(asked(0), 0, "and none has the number nought");
}
