use kiln_interface::interface;
use kiln_object::Error;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self, #[bound(8)] numbers: &mut [u32]) -> Result<u64, Error>;
}

fn main() {}
