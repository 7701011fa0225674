use kiln_interface::interface;
use kiln_object::{Error, Handed};

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = WRITE, oneway)]
    fn method(&self, #[hand(READ)] it: Handed<dyn Refused>) -> Result<(), Error>;
}

fn main() {}
