//! Symbols of stack unwinding, which the shipped `core` names and a panic = abort build never calls.

/// Named by the precompiled crates; nothing here unwinds.
// SAFETY: no other definition is linked into a freestanding image.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above: were it ever reached, stopping is the only right answer.
// SAFETY: no other definition is linked into a freestanding image.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("unwinding in the kernel")
}
