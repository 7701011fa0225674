//! What a processor does about soft interrupts on its way out of an interrupt that stopped user code.
//!
//! It knows by one flag of its own that some dispatcher may not have been told of something yet. The flag
//! is set after that became pending, and taken back only when no dispatcher of the processor has anything
//! pending: nothing is forgotten while a program computes. `tests/attention_model.rs` has all interleavings.

/// The processor, which is in the kernel and not interrupted.
pub trait Processor {
    /// Whether a dispatcher may have something pending that it was not told of.
    fn is_told(&self) -> bool;
    /// Nobody has.
    fn forget(&mut self);
    /// Lets what was stopped go on at its trap entry, if that is a dispatcher which is to be told and can be.
    fn deliver(&mut self) -> bool;
    /// Whether any dispatcher of the processor is to be told.
    fn is_anybody_to_be_told(&self) -> bool;
    /// Has an interrupt come later.
    fn try_again(&mut self);
}

/// See the module.
#[inline(always)]
pub fn on_way_out(processor: &mut impl Processor) {
    if !processor.is_told() || processor.deliver() {
        return;
    }
    if processor.is_anybody_to_be_told() {
        processor.try_again();
    } else {
        processor.forget();
    }
}
