/// What is a number, and fields for some.
pub enum Change {
    /// Nothing.
    None,
    /// A length.
    Length(u64),
    /// Two things.
    Times { accessed: u64, modified: u64 },
}
