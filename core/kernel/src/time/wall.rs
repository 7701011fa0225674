//! The PC's battery clock, read once for the wall-clock time.
//!
//! It is taken to run in UTC. Source: Motorola MC146818 data sheet; the century's register is a
//! convention of PCs.

use x86_64::instructions::port::Port;

use crate::rolled::rolled;

/// The registers that matter: seconds, minutes, hours, day of month, month, year, century, mode.
const NUMBERS: [u8; 8] = [0, 2, 4, 7, 8, 9, 0x32, 0x0b];

#[inline(never)]
fn register(number: u8) -> u8 {
    // SAFETY: the battery clock's index and data ports; bit 7 keeps non-maskable interrupts on.
    unsafe {
        Port::<u8>::new(0x70).write(number);
        Port::<u8>::new(0x71).read()
    }
}

/// The registers' bytes in the order of [`NUMBERS`], the first the lowest.
#[inline(never)]
fn read() -> u64 {
    let mut registers = 0;
    for number in rolled(&NUMBERS) {
        registers = registers >> 8 | u64::from(register(*number)) << 56;
    }
    registers
}

/// Reads until two readings agree: then the clock was not just stepping on.
fn registers() -> u64 {
    let mut last = read();
    for _ in 0..4 {
        let again = read();
        if again == last && register(0x0a) & 0x80 == 0 {
            break;
        }
        last = again;
    }
    last
}

/// The wall clock in nanoseconds since 1970, if there is such a clock.
pub(super) fn read_ns() -> Option<u64> {
    seconds(registers())?.checked_mul(1_000_000_000)
}

/// Stands for what is no number; greater than all that can be right.
const NO_NUMBER: u8 = 0xff;

fn number(byte: u8, decimal: bool) -> u8 {
    let (tens, ones) = (byte >> 4, byte & 0x0f);
    match decimal {
        true if ones < 10 => tens * 10 + ones,
        true => NO_NUMBER,
        false => byte,
    }
}

/// The least and the greatest numbers of seconds, minutes, hours, days, months, and years of a
/// century; anything may stand for the century, which is often missing.
const RANGES: [[u8; 2]; 7] = [
    [0, 60],
    [0, 59],
    [0, 23],
    [1, 31],
    [1, 12],
    [0, 99],
    [0, NO_NUMBER],
];

/// Bit 7 of the hours.
const AFTERNOON: u64 = 0x80 << 16;

fn seconds(registers: u64) -> Option<u64> {
    let [.., mode] = registers.to_le_bytes();
    // Bit 1: 24 hours a day; bit 2: binary, not decimal.
    let (whole_day, decimal) = (mode & 2 != 0, mode & 4 == 0);
    let mut bytes = registers & !AFTERNOON;
    let mut numbers = 0;
    for [first, last] in rolled(&RANGES) {
        let number = number(bytes as u8, decimal);
        if !(*first..=*last).contains(&number) {
            return None;
        }
        bytes >>= 8;
        numbers = numbers >> 8 | u64::from(number) << 56;
    }
    let [_, second, minute, mut hour, day, month, year, century] =
        numbers.to_le_bytes().map(u64::from);
    if !whole_day {
        hour = hour % 12 + if registers & AFTERNOON != 0 { 12 } else { 0 };
    }
    let century = Some(century).filter(|century| (19..=21).contains(century));
    let year = year + century.unwrap_or(20) * 100;
    (year >= 1970)
        .then(|| days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
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
        let [second, minute, hour, day, month, year] = time;
        seconds(u64::from_le_bytes([
            second, minute, hour, day, month, year, century, mode,
        ]))
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
