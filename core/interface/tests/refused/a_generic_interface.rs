use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused<T> {
    #[method(1, right = READ)]
    fn method(&self, of: T) -> Result<(), Error>;
}

fn main() {}
