//! Random numbers as an object: ChaCha20 keyed from the machine's entropy.

use alloc::sync::Arc;

use kiln_interface::kernel::{Random, RandomDispatch};
use kiln_object::{Dispatch, Error};

struct Generator;

/// The object.
#[must_use]
pub fn random() -> Arc<dyn Dispatch> {
    Arc::new(RandomDispatch(Generator))
}

impl Random for Generator {
    fn fill(&self, bytes: &mut [u8]) -> Result<usize, Error> {
        crate::random::fill(bytes);
        Ok(bytes.len())
    }
}
