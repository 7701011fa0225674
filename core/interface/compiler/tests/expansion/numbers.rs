/// What most methods are: words in, words out.
#[interface(name = "test.numbers")]
pub trait Numbers {
    /// Adds.
    #[method(1, right = WRITE)]
    fn add(&self, amount: u64) -> Result<u64, Error>;

    /// Who asks?
    #[method(2, right = READ, idempotent)]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error>;

    /// For somebody else, perhaps.
    #[method(3, right = READ, delegate = owner)]
    fn open(&self, owner: ProcessId) -> Result<Reference<dyn Numbers>, Error>;

    /// Nobody waits.
    #[method(4, right = WRITE, oneway)]
    fn note(&self, number: u32) -> Result<(), Error>;
}
