//! What tests say when something is not as it should be.

use crate::child::Output;

/// Fails with `message()` unless `condition`.
///
/// # Errors
/// The message.
pub fn ensure(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}

impl Output {
    /// The exit status is `status`.
    ///
    /// # Errors
    /// It is another.
    pub fn expect_status(self, status: i32) -> Result<Self, String> {
        if self.status == status {
            Ok(self)
        } else {
            Err(format!(
                "exit status {}, not {status}; {}",
                self.status,
                self.shown()
            ))
        }
    }

    /// The standard output is exactly `text`.
    ///
    /// # Errors
    /// Where it first differs.
    pub fn expect_text(self, text: &str) -> Result<Self, String> {
        same_bytes(&self.out, text.as_bytes())
            .map_err(|error| format!("{error}\n{}", self.shown()))?;
        Ok(self)
    }

    /// The standard error has `part` in it.
    ///
    /// # Errors
    /// It has not.
    pub fn expect_message(self, part: &str) -> Result<Self, String> {
        if self.err.contains(part) {
            Ok(self)
        } else {
            Err(format!("nothing was said of {part:?}; {}", self.shown()))
        }
    }

    /// Output and status are those of `other`, the same on the host.
    ///
    /// # Errors
    /// Where they first differ.
    pub fn expect_same(self, other: &Self) -> Result<Self, String> {
        same_bytes(&self.out, &other.out).map_err(|error| {
            format!(
                "{error} (expected: on the host)\nstandard error: {}",
                shortened(&self.err)
            )
        })?;
        let status = other.status;
        self.expect_status(status)
    }

    fn shown(&self) -> String {
        format!(
            "output: {}\nstandard error: {}",
            shortened(&self.text()),
            shortened(&self.err)
        )
    }
}

/// At most the first and last thousand characters or so.
fn shortened(text: &str) -> String {
    const KEPT: usize = 1500;
    let count = text.chars().count();
    if count <= 2 * KEPT {
        return text.to_owned();
    }
    let first: String = text.chars().take(KEPT).collect();
    let last: String = text.chars().skip(count - KEPT).collect();
    format!("{first}\n[... {} characters ...]\n{last}", count - 2 * KEPT)
}

/// Two outputs are the same.
///
/// # Errors
/// The first line that differs.
pub fn same_bytes(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let mut pairs = found
        .split(|byte| *byte == b'\n')
        .zip(expected.split(|byte| *byte == b'\n'))
        .enumerate();
    let line = |bytes: &[u8]| shortened(&String::from_utf8_lossy(bytes));
    if let Some((index, (found, expected))) = pairs.find(|(_, (found, expected))| found != expected)
    {
        return Err(format!(
            "line {}:\n  found    {}\n  expected {}",
            index + 1,
            line(found),
            line(expected)
        ));
    }
    Err(format!(
        "{} bytes instead of {}, the same as far as they go",
        found.len(),
        expected.len()
    ))
}
