/// What hands references over.
#[interface(name = "test.handing")]
trait Handing {
    #[method(1, right = WRITE)]
    fn listen(&self, #[hand(WRITE | GRANT)] listener: Handed<dyn Listener>, word: u64)
    -> Result<(), Error>;
}
