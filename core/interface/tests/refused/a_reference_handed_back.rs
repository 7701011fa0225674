use kiln_interface::interface;
use kiln_object::{Error, Handed};

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self) -> Result<Handed<dyn Refused>, Error>;
}

fn main() {}
