//! What an attack did, by the lines that it prints at its end, and a table of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

/// Calls of a method by their answers.
pub type Answers = BTreeMap<String, u64>;

/// One image's attack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The image.
    pub image: String,
    /// Calls of all processes.
    pub calls: u64,
    /// By method, then by answer.
    pub answers: BTreeMap<String, Answers>,
    /// KiB of free memory: when caches were filled, at the least, at the end.
    pub free: [u64; 3],
    /// References that each process paid for, at the first check; at each later one they were the same.
    pub references: String,
    /// How often the victim ended.
    pub ends: u64,
    /// Time of the host.
    pub took: Duration,
}

impl Report {
    /// By what the image wrote to the console (`said`) and its log; `mortal` is the server that may end.
    ///
    /// # Errors
    /// A line is missing, or says something else than it should.
    pub fn of(
        image: &str,
        said: &str,
        log: &str,
        mortal: &str,
        took: Duration,
    ) -> Result<Self, String> {
        let after = |start: &str| {
            let found = said.lines().rev().find_map(|line| line.strip_prefix(start));
            found.ok_or_else(|| format!("no line says {start:?}"))
        };
        let number = |text: &str| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits
                .parse::<u64>()
                .map_err(|_| format!("no number: {text:?}"))
        };
        let free = after("free memory: ")?;
        let mut free = free
            .split(", ")
            .map(number)
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let mut next = || free.next().ok_or("too few numbers of free memory");
        let last = said.trim_end().lines().next_back().unwrap_or_default();
        let references = after("references of each process ")?;
        Ok(Self {
            image: image.to_owned(),
            calls: number(last)?,
            answers: said
                .lines()
                .filter_map(|line| line.strip_prefix("answers of "))
                .map(row)
                .collect::<Result<_, _>>()?,
            free: [next()?, next()?, next()?],
            references: references
                .split_once(": ")
                .map_or(references, |(_, all)| all)
                .to_owned(),
            ends: log.matches(&format!("{mortal} was started again")).count() as u64,
            took,
        })
    }
}

fn row(line: &str) -> Result<(String, Answers), String> {
    let mut parts = line.split("; ");
    let name = parts.next().unwrap_or_default();
    let answers = parts.map(|part| {
        let (answer, count) = part.rsplit_once(' ').ok_or(part)?;
        Ok((answer.to_owned(), count.parse().map_err(|_| part)?))
    });
    let answers = answers.collect::<Result<_, &str>>();
    let answers = answers.map_err(|part| format!("no count: {part:?} in {line:?}"))?;
    Ok((name.to_owned(), answers))
}

/// The answers of all images together.
#[must_use]
pub fn all_answers(reports: &[Report]) -> BTreeMap<String, Answers> {
    let mut all = BTreeMap::<String, Answers>::new();
    for (method, answers) in reports.iter().flat_map(|report| &report.answers) {
        for (answer, count) in answers {
            *all.entry(method.clone())
                .or_default()
                .entry(answer.clone())
                .or_default() += count;
        }
    }
    all
}

/// All of it as a table for people.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{:<8} {:>10} {:>7} {:>7} {:>28}  references paid for by each process, first and last",
        "image", "calls", "victim", "s", "free KiB: first, least, last"
    );
    let _ = writeln!(text, "{:<8} {:>10} {:>7}", "", "", "ended");
    for one in reports {
        let [first, least, last] = one.free;
        let _ = writeln!(
            text,
            "{:<8} {:>10} {:>7} {:>7} {:>28}  {}",
            one.image,
            one.calls,
            one.ends,
            one.took.as_secs(),
            format!("{first} {least} {last}"),
            one.references
        );
    }
    let _ = writeln!(
        text,
        "\n{:<34} {:>9} {:>9}  otherwise",
        "answers", "all", "OK"
    );
    for (method, answers) in all_answers(reports) {
        let all: u64 = answers.values().sum();
        let good = answers.get("OK").copied().unwrap_or_default();
        let _ = write!(text, "{method:<34} {all:>9} {good:>9} ");
        for (answer, count) in answers.iter().filter(|(answer, _)| *answer != "OK") {
            let _ = write!(text, " {answer} {count}");
        }
        text.push('\n');
    }
    text
}

/// The same for programs.
#[must_use]
pub fn json(reports: &[Report]) -> Value {
    let images = reports.iter().map(|one| {
        json!({
            "image": one.image, "calls": one.calls, "victim_ended": one.ends,
            "seconds": one.took.as_secs_f64(), "free_kib": one.free,
            "references": one.references, "answers": one.answers,
        })
    });
    json!(images.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\n\
        answers of file.read; OK 3; BadBuffer 1\n\n\
        answers of operation return, or none; BadMethod 2\n\n\
        references of each process to kernel, at the first check and at the last: [[7, 1], [4, 1]]\n\n\
        free memory: 900 KiB after 4 batches, 700 KiB at the least, 800 KiB at the end\n\n\
        6 calls, seed 1, 2 processors: ok\n";

    #[test]
    fn what_an_image_says_is_understood() {
        let log = "x: v was started again\nx: v was started again\n";
        let report = Report::of("2", SAID, log, "v", Duration::from_secs(9)).unwrap();
        assert_eq!((report.calls, report.ends), (6, 2));
        assert_eq!(report.free, [900, 700, 800]);
        assert_eq!(report.references, "[[7, 1], [4, 1]]");
        assert_eq!(report.answers["file.read"]["BadBuffer"], 1);
        let all = all_answers(&[report.clone(), report.clone()]);
        assert_eq!(all["file.read"]["OK"], 6);
        assert!(table(&[report]).contains("operation return, or none"));
    }

    #[test]
    fn lines_that_are_missing_are_missed() {
        let without = SAID.replace("free memory", "memory");
        let report = Report::of("2", &without, "", "v", Duration::ZERO);
        assert_eq!(report, Err("no line says \"free memory: \"".to_owned()));
    }
}
