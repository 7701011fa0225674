use kiln_interface::interface;

#[interface(name = "test.refused")]
trait Refused {
    #[method(1, right = READ)]
    fn method(&self) -> u64;
}

fn main() {}
