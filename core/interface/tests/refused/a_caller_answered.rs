use kiln_interface::interface;
use kiln_object::{Caller, Error};

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self) -> Result<Caller, Error>;
}

fn main() {}
