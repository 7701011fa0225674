use kiln_interface::interface;
use kiln_object::Error;

#[derive(Clone, Debug, PartialEq)]
struct Private;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self, argument: Private) -> Result<(), Error>;
}

fn main() {}
