//! The text of a manifest, and complaints that point into it.
//!
//! Every complaint carries a span of the text, so that whatever goes wrong with a
//! value, even long after it was read, can be shown where the user wrote it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value stands in the manifest: a byte range of its text.
pub type Span = Range<usize>;

/// A value together with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place in the text it came from.
    pub span: Span,
}

impl<T> Located<T> {
    /// A value that no text was written for, such as one from the command line.
    pub fn nowhere(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

/// The text that a manifest was read from.
#[derive(Debug)]
struct Text {
    path: PathBuf,
    text: String,
}

/// A manifest's text and the path that error messages name; cheap to clone.
#[derive(Debug, Clone)]
pub struct Source(Arc<Text>);

impl Source {
    /// Takes the text of the file at `path`; nothing is read here.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self(Arc::new(Text {
            path: path.into(),
            text: text.into(),
        }))
    }

    /// The path as messages name it.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Makes a complaint about the text at `span`.
    pub fn complain(&self, span: &Span, message: impl Into<String>) -> Complaint {
        Complaint {
            source: self.clone(),
            span: span.clone(),
            message: message.into(),
            remedy: None,
        }
    }

    /// One-based line and column (in characters) of a byte offset, and that line.
    fn position(&self, offset: usize) -> (usize, usize, &str) {
        let text = self.text();
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = text[start..offset].chars().count() + 1;
        let rest = &text[start..];
        let content = rest.split('\n').next().unwrap_or(rest);
        (line, column, content.trim_end_matches('\r'))
    }
}

/// One thing wrong with a manifest: place, message and what to do about it.
#[derive(Debug, Clone)]
pub struct Complaint {
    source: Source,
    span: Span,
    message: String,
    remedy: Option<String>,
}

impl Complaint {
    /// Adds what the user can do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The message alone, without place and remedy.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.message)?;
        if self.source.text().is_empty() {
            // From the command line: there is no line to show.
            if let Some(remedy) = &self.remedy {
                write!(out, "\n  = help: {remedy}")?;
            }
            return Ok(());
        }
        let (line, column, content) = self.source.position(self.span.start);
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let path = self.source.path().display();
        writeln!(out, "\n{margin}--> {path}:{line}:{column}")?;
        writeln!(out, "{margin} |")?;
        // Tabs are shown as one column, so that the carets stand below the text.
        writeln!(out, "{number} | {}", content.replace('\t', " "))?;
        let length = self.source.text().get(self.span.clone()).map_or(1, |text| {
            text.split('\n').next().unwrap_or("").chars().count()
        });
        let room = content.chars().count().saturating_sub(column - 1);
        let carets = "^".repeat(length.min(room).max(1));
        write!(out, "{margin} | {}{carets}", " ".repeat(column - 1))?;
        if let Some(remedy) = &self.remedy {
            write!(out, "\n{margin} = help: {remedy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_shows_the_line_and_points_at_the_words() {
        let source = Source::new("m.toml", "a = 1\nname = \"ü\" # x\n");
        let complaint = source.complain(&(13..17), "bad name").remedy("try another");
        assert_eq!(
            complaint.to_string(),
            "bad name\n --> m.toml:2:8\n  |\n2 | name = \"ü\" # x\n  |        ^^^\n  = help: try another"
        );
    }

    #[test]
    fn a_span_past_the_end_is_shown_at_the_end() {
        let source = Source::new("m.toml", "a = 1");
        let text = source.complain(&(90..95), "cut off").to_string();
        assert!(text.contains("m.toml:1:6"), "{text}");
    }
}
