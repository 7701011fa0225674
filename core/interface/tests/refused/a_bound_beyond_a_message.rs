use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self, #[bound(5000)] argument: &[u8]) -> Result<(), Error>;
}

fn main() {}
