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
/// Where they first differ: the line, or the offset if they are not text.
pub fn same_bytes(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let lengths = format!("{} bytes instead of {}", found.len(), expected.len());
    let (Ok(found_text), Ok(expected_text)) = (str::from_utf8(found), str::from_utf8(expected))
    else {
        let same = found
            .iter()
            .zip(expected)
            .take_while(|(found, expected)| found == expected);
        let at = same.count();
        let after = |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip(at).take(24).collect() };
        return Err(format!(
            "{lengths}; from byte {at} on:\n  found    {:02x?}\n  expected {:02x?}",
            after(found),
            after(expected)
        ));
    };
    let mut pairs = found_text
        .split('\n')
        .zip(expected_text.split('\n'))
        .enumerate();
    if let Some((index, (found, expected))) = pairs.find(|(_, (found, expected))| found != expected)
    {
        let (found, expected) = (shortened(found), shortened(expected));
        return Err(format!(
            "line {}:\n  found    {found}\n  expected {expected}",
            index + 1
        ));
    }
    Err(format!("{lengths}, the same as far as they go"))
}
