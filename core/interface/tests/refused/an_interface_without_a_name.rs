use kiln_interface::interface;
use kiln_object::Error;

#[interface]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self) -> Result<(), Error>;
}

fn main() {}
