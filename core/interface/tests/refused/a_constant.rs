use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    const LIMIT: u64;
    #[method(1, right = READ)]
    fn method(&self) -> Result<(), Error>;
}

fn main() {}
