use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused", version = 2)]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self) -> Result<(), Error>;
}

fn main() {}
