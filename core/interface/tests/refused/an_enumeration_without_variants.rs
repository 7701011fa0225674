use kiln_interface::Wire;

#[derive(Clone, Debug, PartialEq, Wire)]
enum Refused {}

fn main() {}
