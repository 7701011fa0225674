use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ, cached)]
    fn method(&self) -> Result<(), Error>;
}

fn main() {}
