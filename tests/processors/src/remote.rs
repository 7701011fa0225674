//! Calls to a server that runs on another processor only, and what they cost.
//!
//! The manifest pins the server `load` to processor 1.

use kiln_load_interface::Load;
use kiln_object::Error;
use kiln_runtime::time;

use crate::domains::load;
use crate::report;

/// Calls in one measurement, and measurements, of which the least counts.
const CALLS: u64 = 16;
const MEASUREMENTS: usize = 16;

/// Checks `rounds` calls with bytes both ways.
pub fn run(rounds: u64) {
    let load = load();
    let mut input = [0_u8; 4096];
    let mut output = [0_u8; 4096];
    for round in 0..rounds {
        report::expect(load.cpu(), Ok(1));
        let length = (round * 37 % 4097) as usize;
        for (place, byte) in input.iter_mut().enumerate() {
            *byte = (round as usize + place) as u8;
        }
        let answered = load.echo(&input[..length], &mut output);
        report::expect(answered, Ok(length));
        report::expect(output[..length] == input[..length], true);
        // No room for the answer: the server says so, and nothing of it comes.
        let answered = load.echo(&input[..1], &mut output[..0]);
        report::expect(answered, Err(Error::TooLarge));
    }
}

/// Prints what the shortest call costs, as a figure.
pub fn measure() {
    let load = load();
    let mut least = u64::MAX;
    for _ in 0..MEASUREMENTS {
        let start = time::counter();
        for _ in 0..CALLS {
            report::expect(load.cpu(), Ok(1));
        }
        least = least.min((time::counter() - start) / CALLS);
    }
    report::line(format_args!("call.remote {least}"));
}
