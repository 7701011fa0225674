//! The program break: the end of the heap that grows from the end of the program.

use kiln_interface::kernel::{AddressSpace, MapFlags, Protection};
use kiln_object::layout::PAGE_BYTES;

use super::Range;
use crate::LINUX;
use crate::call::Call;
use crate::errno::Answer;
use crate::load::plan::place_is_free;

/// Where the break is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Break {
    start: u64,
    current: u64,
}

impl Break {
    /// No heap: every request answers zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            start: 0,
            current: 0,
        }
    }

    /// An empty heap at `start`.
    #[must_use]
    pub const fn at(start: u64) -> Self {
        Self {
            start,
            current: start,
        }
    }

    /// Moves the break if that can be; answers where it is afterwards.
    fn set(&mut self, wanted: u64, space: &impl AddressSpace) -> (u64, Option<Range>) {
        let page_up = |address: u64| address.checked_next_multiple_of(PAGE_BYTES);
        let (Some(old), Some(new)) = (page_up(self.current), page_up(wanted)) else {
            return (self.current, None);
        };
        if wanted < self.start || self.start == 0 {
            return (self.current, None);
        }
        let mut dropped = None;
        if new > old {
            let protection = Protection::READ | Protection::WRITE;
            if !place_is_free(old, new)
                || space
                    .map_anonymous(old, new - old, protection.bits(), MapFlags::EXACT.bits())
                    .is_err()
            {
                return (self.current, None);
            }
        } else if new < old {
            if space.unmap(new, old - new).is_err() {
                return (self.current, None);
            }
            dropped = Some(Range {
                start: new,
                length: old - new,
            });
        }
        self.current = wanted;
        (wanted, dropped)
    }
}

/// `brk(address)`: answers the break, moved to `address` if that is possible.
///
/// # Errors
/// None: an impossible request answers the break as it is.
pub fn brk(call: &Call<'_>) -> Answer {
    let wanted = call.pointer(0);
    let mut program_break = LINUX.memory.program_break.lock();
    let (answer, dropped) = program_break.set(wanted, &kiln_runtime::address_space());
    let mut names = LINUX.memory.names.lock();
    if let Some(range) = dropped {
        names.remove(range);
    } else if answer == wanted
        && let Some(end) = answer.checked_next_multiple_of(PAGE_BYTES)
    {
        let start = program_break.start & !(PAGE_BYTES - 1);
        names.insert(
            Range {
                start,
                length: end.saturating_sub(start),
            },
            b"[heap]",
        );
    }
    Ok(answer)
}
