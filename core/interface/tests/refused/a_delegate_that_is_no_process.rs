use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ, delegate = owner)]
    fn method(&self, owner: u64) -> Result<(), Error>;
}

fn main() {}
