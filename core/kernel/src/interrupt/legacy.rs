//! The PC's two 8259 interrupt controllers, which are only ever silenced.

use x86_64::instructions::port::Port;

use crate::rolled::rolled;

/// Where their interrupts would arrive: above the exceptions, below the vectors given out.
const FIRST_VECTOR: u8 = 0x20;

/// What is written to which port: all masked, the four words of initialisation, and all masked again.
/// The second controller is wired to line 2 of the first.
static WORDS: [(u16, u8); 12] = [
    (0x21, 0xff),
    (0x20, 0x11),
    (0x21, FIRST_VECTOR),
    (0x21, 1 << 2),
    (0x21, 0x01),
    (0x21, 0xff),
    (0xa1, 0xff),
    (0xa0, 0x11),
    (0xa1, FIRST_VECTOR + 8),
    (0xa1, 2),
    (0xa1, 0x01),
    (0xa1, 0xff),
];

/// Masks both controllers, and moves what they could still raise away from the exceptions.
///
/// Before the local APIC stops listening to them: one that withdraws its request only afterwards
/// leaves it standing at the processor, with nobody to say which interrupt it is.
pub(crate) fn silence() {
    for (port, word) in rolled(&WORDS) {
        // SAFETY: the controllers' ports (8259A data sheet); where there are none nothing listens.
        unsafe { Port::new(*port).write(*word) };
    }
}
