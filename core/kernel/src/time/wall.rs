//! The PC's battery clock, read once for the wall-clock time.
//!
//! It is taken to run in UTC. Source: Motorola MC146818 data sheet; the century's register is a
//! convention of PCs.

use x86_64::instructions::port::Port;

/// What the clock's registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registers {
    /// Seconds, minutes, hours, day of month, month, year.
    time: [u8; 6],
    century: u8,
    /// Bit 1: 24 hours a day; bit 2: binary, not decimal.
    mode: u8,
}

#[inline(never)]
fn register(number: u8) -> u8 {
    // SAFETY: the battery clock's index and data ports; bit 7 keeps non-maskable interrupts on.
    unsafe {
        Port::<u8>::new(0x70).write(number);
        Port::<u8>::new(0x71).read()
    }
}

/// Numbers of the registers, in the order of [`Registers`].
const NUMBERS: [u8; 8] = [0, 2, 4, 7, 8, 9, 0x32, 0x0b];

#[inline(never)]
fn read() -> Registers {
    let mut bytes = [0; NUMBERS.len()];
    for (byte, number) in bytes.iter_mut().zip(NUMBERS) {
        *byte = register(number);
    }
    let [second, minute, hour, day, month, year, century, mode] = bytes;
    Registers {
        time: [second, minute, hour, day, month, year],
        century,
        mode,
    }
}

/// Reads until two readings agree: then the clock was not just stepping on.
fn registers() -> Option<Registers> {
    let mut last = read();
    for _ in 0..4 {
        let again = read();
        if again == last && register(0x0a) & 0x80 == 0 {
            return Some(last);
        }
        last = again;
    }
    Some(last)
}

/// The wall clock in nanoseconds since 1970, if there is such a clock.
pub(super) fn read_ns() -> Option<u64> {
    seconds(registers()?)?.checked_mul(1_000_000_000)
}

/// Stands for what is no decimal number; greater than all that registers can hold.
const NO_NUMBER: u64 = 1000;

// Not inlined: this runs a few times at boot, and once compiled is enough.
#[inline(never)]
fn number(byte: u8, decimal: bool) -> u64 {
    match decimal {
        true if byte & 0x0f < 10 && byte >> 4 < 10 => {
            u64::from(byte >> 4) * 10 + u64::from(byte & 0x0f)
        }
        true => NO_NUMBER,
        false => u64::from(byte),
    }
}

fn seconds(registers: Registers) -> Option<u64> {
    let decimal = registers.mode & 4 == 0;
    let mut time = registers.time;
    let [_, _, hour, ..] = &mut time;
    let afternoon = *hour & 0x80 != 0;
    *hour &= 0x7f;
    // The century is often missing, and then no number perhaps.
    let century = number(registers.century, decimal);
    let [second, minute, mut hours, day, month, year] = time.map(|byte| number(byte, decimal));
    if registers.mode & 2 == 0 {
        hours = hours % 12 + if afternoon { 12 } else { 0 };
    }
    if hours == NO_NUMBER || year == NO_NUMBER {
        return None;
    }
    let century = Some(century).filter(|century| (19..=21).contains(century));
    let year = year + century.unwrap_or(20) * 100;
    let sane = second < 61 && minute < 60 && hours < 24 && (1..32).contains(&day) && year >= 1970;
    if !sane || !(1..13).contains(&month) {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hours * 3_600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, the year taken to begin in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: [u8; 6], century: u8, mode: u8) -> Option<u64> {
        seconds(Registers {
            time,
            century,
            mode,
        })
    }

    #[test]
    fn known_moments() {
        assert_eq!(at([0, 0, 0, 1, 1, 0x70], 0x19, 2), Some(0));
        assert_eq!(at([0, 0, 0, 1, 1, 0x26], 0x20, 2), Some(1_767_225_600));
        assert_eq!(
            at([0x59, 0x59, 0x23, 0x29, 2, 0x24], 0x20, 2),
            Some(1_709_251_199)
        );
        assert_eq!(at([59, 59, 23, 29, 2, 24], 20, 6), Some(1_709_251_199));
        assert_eq!(at([0, 0, 0x92, 1, 1, 0x70], 0x19, 0), Some(43_200));
        assert_eq!(at([0, 0, 0x12, 1, 1, 0x70], 0x19, 0), Some(0));
    }

    #[test]
    fn a_missing_clock_tells_no_time() {
        assert_eq!(at([0xff; 6], 0xff, 0xff), None);
        assert_eq!(at([0; 6], 0, 2), None);
    }
}
