use kiln_interface::Wire;

#[derive(Wire)]
union Refused {
    number: u64,
    other: u32,
}

fn main() {}
