use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = WRITE, oneway)]
    fn method(&self, bytes: &[u8]) -> Result<(), Error>;
}

fn main() {}
