use kiln_interface::Wire;

#[derive(Clone, Debug, PartialEq, Wire)]
struct Of<T>(T);

fn main() {}
