//! Reads whatever it is given as an image: `cargo +nightly fuzz run read_image`.
//!
//! The superblock's checksum is made right first; else nearly no input would get past it.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/explore/mod.rs"]
mod explore;
#[path = "../../tests/seal/mod.rs"]
mod seal;

fuzz_target!(|bytes: &[u8]| {
    explore::explore(&seal::resealed(bytes.to_vec()));
});
