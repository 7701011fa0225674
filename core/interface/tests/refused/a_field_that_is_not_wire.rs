use kiln_interface::Wire;

#[derive(Clone, Debug, PartialEq, Wire)]
struct Pair {
    number: u32,
    name: &'static str,
}

fn main() {}
