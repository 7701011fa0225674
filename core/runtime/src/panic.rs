//! A panic ends the process and nothing else: a line on the log, status 134 as for an abort. That of
//! a thread which was started so ends the thread alone.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::entry::exit;

/// 128 + SIGABRT, as a shell shows an aborted program.
const ABORTED: u32 = 134;

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    // A panic while the first is reported must not report itself.
    let is_first = !PANICKING.swap(true, Ordering::Relaxed);
    if is_first {
        crate::log_line!("panic: {info}");
    }
    if is_first && crate::thread::ends_alone() {
        PANICKING.store(false, Ordering::Relaxed);
        crate::thread::fail_alone();
    }
    exit(ABORTED)
}

/// Named by the precompiled crates; nothing here unwinds.
// SAFETY: no other definition is linked into a component.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above: were it ever reached, ending the process is the only right answer.
// SAFETY: no other definition is linked into a component.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exit(ABORTED)
}
