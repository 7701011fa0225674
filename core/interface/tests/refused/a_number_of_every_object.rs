use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(0xff00, right = READ)]
    fn method(&self) -> Result<(), Error>;
}

fn main() {}
