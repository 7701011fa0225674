use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self, #[bound(4000)] one: &[u8], #[bound(100)] other: &str) -> Result<(), Error>;
}

fn main() {}
