use kiln_interface::interface;

#[interface(name = "test.refused")]
trait Refused {}

fn main() {}
