//! kiln: the build tool.
fn main() {}
