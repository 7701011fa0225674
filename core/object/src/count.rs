//! How often each method of an interface was called, and how often without success.
//!
//! The dispatch counts, so near calls are not among them. Each processor has a row of its own that
//! only code on it writes: a count is a load and a store, without a lock and without a cache line
//! that travels between processors. A thread that is taken off its processor between the two can
//! lose a count of others; counts are for people to look at.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Answer, Failure, Incoming};

/// Rows: more processors than the kernel starts. A power of two.
pub const PROCESSORS: usize = 64;

/// The processor that runs a call, as an index of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Processor(u16);

impl Processor {
    /// The processor of that number. A number beyond the rows shares one.
    #[inline(always)]
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number as u16)
    }

    #[inline(always)]
    const fn row(self) -> usize {
        self.0 as usize % PROCESSORS
    }
}

/// What was counted of one method, in the answer of the universal method `COUNTS`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct MethodCount {
    /// The method's number.
    pub method: u64,
    /// How often it was called.
    pub calls: u64,
    /// How often of these it was refused or answered an error.
    pub errors: u64,
}

#[derive(Debug)]
#[repr(align(64))]
struct Row<const METHODS: usize> {
    calls: [AtomicU64; METHODS],
    errors: [AtomicU64; METHODS],
}

/// The counts of an interface of `METHODS` methods in one process.
#[derive(Debug)]
pub struct Counts<const METHODS: usize> {
    rows: [Row<METHODS>; PROCESSORS],
}

impl<const METHODS: usize> Counts<METHODS> {
    /// Nothing counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rows: [const {
                Row {
                    calls: [const { AtomicU64::new(0) }; METHODS],
                    errors: [const { AtomicU64::new(0) }; METHODS],
                }
            }; PROCESSORS],
        }
    }

    /// Has `body` answer a call of the method at place `method`, and counts it. It answers how many bytes
    /// go out, and has put its words in place.
    #[inline(always)]
    pub fn answer<'a>(
        &self,
        call: &mut Incoming<'a>,
        method: usize,
        body: impl FnOnce(&mut Incoming<'a>) -> Result<usize, Failure>,
    ) -> Answer {
        one_more(self.rows[call.processor.row()].calls.get(method));
        match body(call) {
            Ok(output) => Answer::done(output),
            Err(failure) => self.failed(call, method, failure),
        }
    }

    /// It was refused or answered an error.
    #[cold]
    #[inline(never)]
    fn failed(&self, call: &mut Incoming<'_>, method: usize, failure: Failure) -> Answer {
        one_more(self.rows[call.processor.row()].errors.get(method));
        call.refuse(failure)
    }

    /// Writes a [`MethodCount`] for each of `numbers`, the methods by place, as far as there is room,
    /// and answers how many bytes.
    pub fn write(&self, numbers: &[u16; METHODS], output: &mut [u8]) -> usize {
        let mut written = 0;
        for (place, number) in numbers.iter().enumerate() {
            let sum = |of: fn(&Row<METHODS>) -> &[AtomicU64; METHODS]| {
                let counts = self.rows.iter().filter_map(|row| of(row).get(place));
                counts.map(|count| count.load(Relaxed)).sum()
            };
            let count = MethodCount {
                method: u64::from(*number),
                calls: sum(|row| &row.calls),
                errors: sum(|row| &row.errors),
            };
            let end = written + size_of::<MethodCount>();
            let Some(place) = output.get_mut(written..end) else {
                break;
            };
            place.copy_from_slice(count.as_bytes());
            written = end;
        }
        written
    }
}

impl<const METHODS: usize> Default for Counts<METHODS> {
    fn default() -> Self {
        Self::new()
    }
}

#[inline(always)]
fn one_more(count: Option<&AtomicU64>) {
    if let Some(count) = count {
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    }
}
