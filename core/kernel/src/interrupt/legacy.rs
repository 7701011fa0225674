//! The PC's two 8259 interrupt controllers, which are only ever silenced.

use x86_64::instructions::port::Port;

/// Where their interrupts would arrive: above the exceptions, below the vectors given out.
const FIRST_VECTOR: u8 = 0x20;

/// Masks both controllers, and moves what they could still raise away from the exceptions.
///
/// Before the local APIC stops listening to them: one that withdraws its request only afterwards
/// leaves it standing at the processor, with nobody to say which interrupt it is.
pub(crate) fn silence() {
    // The second is wired to line 2 of the first.
    for (base, vector, cascade) in [(0x20, FIRST_VECTOR, 1 << 2), (0xa0, FIRST_VECTOR + 8, 2)] {
        let mut command = Port::<u8>::new(base);
        let mut data = Port::<u8>::new(base + 1);
        // SAFETY: the controllers' ports; where there are none nothing listens. The four words of
        // initialisation (8259A data sheet), then the mask.
        unsafe {
            data.write(0xff);
            command.write(0x11);
            for word in [vector, cascade, 0x01, 0xff] {
                data.write(word);
            }
        }
    }
}
