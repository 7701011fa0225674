use kiln_interface::Plain;

#[derive(Clone, Copy, Debug, PartialEq, Plain)]
#[repr(u8)]
enum Answer {
    No,
    Yes,
}

fn main() {}
