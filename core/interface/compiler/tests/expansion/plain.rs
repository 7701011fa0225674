/// What travels as its bytes.
#[repr(C)]
pub struct Entry {
    /// A number.
    pub number: u64,
    /// An array.
    pub name: [u8; 24],
}
