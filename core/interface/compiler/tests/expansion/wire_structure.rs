/// What takes a word for each field.
pub struct Range {
    /// Where it starts.
    pub start: u64,
    /// Whether it may be stored to.
    pub writable: bool,
    /// Who has it.
    pub owner: Option<ProcessId>,
}
