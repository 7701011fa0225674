//! Who called whom, by the chain of frame pointers that every function keeps.
//!
//! The chain is followed upwards on one stack only and for a bounded number of steps; a value that
//! does not fit ends it. A fault all the same ends in [`super`]'s mark for a failure in a failure.

use kiln_image_format::{Kind, SymbolTable};

/// Most callers that are shown.
const MOST_FRAMES: usize = 32;
/// A stack is no longer than this.
const STACK_BYTES: u64 = crate::boot::BOOT_STACK_BYTES as u64;

/// The kernel's symbols, if the image carries them.
fn symbols() -> Option<SymbolTable<'static>> {
    if !crate::boot::is_initialised() {
        return None;
    }
    let table = crate::image::table()?;
    let kernel = table.first(Kind::Kernel)?;
    let symbols = table.first(Kind::Symbols(u32::try_from(kernel.index).ok()?))?;
    let bytes = { symbols.segments }.next()?.bytes(crate::image::bytes())?;
    SymbolTable::parse(bytes).ok()
}

fn line(symbols: Option<&SymbolTable<'_>>, address: u64) {
    match symbols.and_then(|table| table.symbolise(address)) {
        Some((name, offset)) => crate::error!("  at {address:#x} {name}+{offset:#x}"),
        None => crate::error!("  at {address:#x}"),
    }
}

/// The frame above the one at `frame`, if it can be one: aligned, higher, on the same stack.
fn is_plausible(frame: u64, above: u64, stack: u64) -> bool {
    frame.is_multiple_of(8) && frame >= above && frame - stack < STACK_BYTES - 16
}

/// Prints the callers. `instruction` is the first line, unless 0.
pub(super) fn print(instruction: u64, mut frame: u64, stack: u64) {
    let symbols = symbols();
    if instruction != 0 {
        line(symbols.as_ref(), instruction);
    }
    let mut above = stack;
    for _ in 0..MOST_FRAMES {
        if !is_plausible(frame, above, stack) {
            break;
        }
        // SAFETY: between the stack pointer and the end of the stack it points into, or just past
        // a stack that is shorter than assumed; see the module's first lines for that case.
        let [next, caller] = unsafe { (frame as *const [u64; 2]).read() };
        if caller == 0 {
            break;
        }
        // The call before the return address: a call may be a function's last instruction.
        line(symbols.as_ref(), caller - 1);
        above = frame + 16;
        frame = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_only_climbs_within_one_stack() {
        let stack = 0xffff_c000_0000_1000;
        assert!(is_plausible(stack + 64, stack, stack));
        assert!(!is_plausible(stack + 65, stack, stack));
        assert!(!is_plausible(stack + 64, stack + 72, stack));
        assert!(!is_plausible(stack + STACK_BYTES, stack, stack));
        assert!(!is_plausible(0, stack, stack));
    }
}
