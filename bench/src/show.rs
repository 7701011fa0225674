//! The figures as a table for people and as lines of JSON for programs.

use serde_json::{Value, json};

use crate::figure::Value as Measured;
use crate::figure::{Figure, Unit};

/// A number in JSON: whole ones without a point, others with two decimals.
pub fn number(value: f64) -> Value {
    let rounded = (value * 100.0).round() / 100.0;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        json!(rounded as i64)
    } else {
        json!(rounded)
    }
}

/// One line of JSON. A missing value is null, and `missing` says why.
pub fn line(figure: &Figure, kiln: &Measured, linux: &Measured) -> String {
    let value = |value: &Measured| value.as_ref().map_or(Value::Null, |value| number(*value));
    let mut fields = vec![
        ("name", json!(figure.name)),
        ("value", value(kiln)),
        ("unit", json!(figure.unit.name())),
        ("limit", figure.limit.map_or(Value::Null, number)),
        ("linux", value(linux)),
    ];
    if let Err(reason) = kiln {
        fields.push(("missing", json!(reason)));
    }
    // Written field by field, in this order, for whoever reads it by eye.
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// The line above the table.
pub fn head() -> String {
    row("", "Kiln", "limit", "Linux", "kept", "")
}

fn row(name: &str, kiln: &str, limit: &str, linux: &str, kept: &str, meaning: &str) -> String {
    let row = format!("{name:<26} {kiln:>12} {limit:>12} {linux:>14} {kept:>12}   {meaning}");
    row.trim_end().to_owned()
}

/// One line of the table, and another if the value is missing.
pub fn table_row(figure: &Figure, kiln: &Measured, linux: &Measured, kept: Option<&f64>) -> String {
    let show = |value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| grouped(value, figure.unit))
    };
    let mut line = row(
        figure.name,
        &show(kiln.as_ref().ok().copied()),
        &show(figure.limit),
        &show(linux.as_ref().ok().copied()),
        &show(kept.copied()),
        figure.meaning,
    );
    if let Err(reason) = kiln {
        line.push_str(&format!("\n{:<26} missing: {reason}", ""));
    }
    line
}

/// A number with its thousands apart.
fn grouped(value: f64, unit: Unit) -> String {
    if !unit.is_steady() {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::FIGURES;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(1_450_952.0, Unit::Instructions), "1,450,952");
        assert_eq!(grouped(10.0, Unit::Instructions), "10");
        assert_eq!(grouped(123.0, Unit::Bytes), "123");
        assert_eq!(grouped(1.346, Unit::Ratio), "1.35");
    }

    #[test]
    fn a_line_has_what_was_promised() {
        let figure = FIGURES.iter().find(|f| f.name == "wall.hello").unwrap();
        let line = line(figure, &Ok(1.5), &Err("no kernel".into()));
        assert!(line.starts_with("{\"name\": \"wall.hello\", \"value\": 1.5, "));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            line,
            json!({"name": "wall.hello", "value": 1.5, "unit": "ratio", "limit": 1.5, "linux": null})
        );
    }
}
