//! A call of an object that lives in the caller's own address space.

use alloc::sync::Arc;
use core::hint::black_box;

use kiln_interface::interface;
use kiln_object::{Error, Reference, Rights};
use kiln_runtime::{Object, objects, startup};

use crate::{CALLS, ROUNDS, counter};

/// Does nothing.
#[interface(name = "bench.null")]
trait Null {
    /// Nothing at all.
    #[method(1, right = READ)]
    fn null(&self) -> Result<(), Error>;
}

struct Server;

impl Null for Server {
    fn null(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The instructions of a null near call, its check of the right included.
///
/// # Errors
/// Why there is no such object.
pub fn measure() -> Result<u64, Error> {
    let object = Arc::new(NullDispatch(Server));
    let reference = objects::export(object, startup().process, Rights::READ)?;
    let null: Object<dyn Null> = Object::from(Reference::new(reference));
    if !null.is_near() {
        return Err(Error::WrongInterface);
    }
    null.null()?;
    let nothing = least(|| {
        black_box(());
        true
    });
    let calling = least(|| null.null().is_ok());
    Ok(calling.saturating_sub(nothing).div_ceil(CALLS))
}

/// The least instructions of `CALLS` calls, with the loop around them.
fn least(call: impl Fn() -> bool) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..ROUNDS {
        let start = counter();
        for _ in 0..CALLS {
            if !call() {
                return 0;
            }
        }
        least = least.min(counter() - start);
    }
    least
}
