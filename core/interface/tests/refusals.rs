//! What cannot be sent does not compile, and the reason is told: see `refused/`.
//!
//! With `TRYBUILD=overwrite` the expected messages are written anew.

#[test]
fn what_cannot_be_sent_is_refused_with_a_reason() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
