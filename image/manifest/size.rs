//! Sizes as people write them: `64M`, `1G`, `512 KiB`.

/// Reads a size in bytes; units are powers of 1024 and may be left out.
///
/// # Errors
/// A sentence that says what a size looks like.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(format!("`{text}` is not a size; write one like 64M or 1G")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("`{text}` is not a size; write one like 64M or 1G"))
}

/// Writes a size so that [`parse`] gives it back, in the largest unit that is exact.
pub fn exact(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Writes a size for people: three digits and a unit.
pub fn rounded(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 10.0 => format!("{value:.2} {}", UNITS[unit]),
        _ if value < 100.0 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("6M"), Ok(6 << 20));
        assert_eq!(parse(" 2 GiB "), Ok(2 << 30));
        assert!(parse("M").is_err());
        assert!(parse("-5M").is_err());
        assert!(parse("5X").is_err());
        assert!(parse("99999999999T").is_err());
    }

    #[test]
    fn exact_sizes_are_read_back() {
        for bytes in [0, 1, 1023, 1024, 6 << 20, (1 << 30) + 1024, 3 << 40] {
            assert_eq!(parse(&exact(bytes)), Ok(bytes));
        }
        assert_eq!(exact(64 << 20), "64M");
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        assert_eq!(rounded(17), "17 B");
        assert_eq!(rounded(1536), "1.50 KiB");
        assert_eq!(rounded(999 << 20), "999 MiB");
    }
}
