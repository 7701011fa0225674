/// What travels as bytes.
#[interface(name = "test.bytes")]
trait Bytes {
    #[method(1, right = READ)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;

    #[method(2, right = LOOKUP)]
    fn rename(&self, from: &[u8], #[bound(255)] to: &str, elsewhere: &mut [u8])
    -> Result<(), Error>;

    #[method(3, right = WRITE)]
    fn set(&self, name: &str, attributes: &Attributes, #[bound(8)] list: &[u64])
    -> Result<(), Error>;

    #[method(4, right = READ)]
    fn get(&self, attributes: &mut Attributes) -> Result<(), Error>;

    #[method(5, right = WRITE)]
    fn turn(&self, #[in_out] #[bound(64)] bytes: &mut [u8]) -> Result<(), Error>;
}
