//! What is to happen when a server fails: read from its table in the manifest.

use super::fields::{Fields, Value};
use crate::components::Copy;

/// The most restarts within a window, as the kernel remembers no more.
const MOST_RESTARTS: u32 = kiln_object::configuration::MOST_RESTARTS;
/// The longest window, and the longest that something may take, in milliseconds: a day.
const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;

/// What is to happen when a server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often it is started again; `None`: never.
    pub restart: Option<RestartLimit>,
    /// How much processor time a call to it may take, in milliseconds; as much as it likes if none.
    pub call_limit_ms: Option<u64>,
    /// How long it may wait in a call, in milliseconds of real time; as long as it likes if none.
    pub answer_limit_ms: Option<u64>,
    /// Within how many milliseconds of real time it is ready; whenever it likes if none.
    pub start_limit_ms: Option<u64>,
}

impl Policy {
    /// Whether it limits how long the server may take for anything.
    pub fn has_limits(&self) -> bool {
        let limits = [
            self.call_limit_ms,
            self.answer_limit_ms,
            self.start_limit_ms,
        ];
        limits.iter().any(Option::is_some)
    }
}

/// How often a server is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartLimit {
    /// So many times,
    pub count: u32,
    /// within so many milliseconds.
    pub window_ms: u64,
}

impl Default for RestartLimit {
    fn default() -> Self {
        Self {
            count: 3,
            window_ms: 10_000,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: Some(RestartLimit::default()),
            call_limit_ms: Some(10_000),
            // A server of ours answers at once that something would block. A busy host takes long.
            answer_limit_ms: Some(30_000),
            start_limit_ms: Some(30_000),
        }
    }
}

impl Policy {
    /// What is to happen with a component of tests.
    pub fn of_copy(copy: &Copy) -> Self {
        Self {
            restart: copy
                .restart
                .map(|(count, window_ms)| RestartLimit { count, window_ms }),
            call_limit_ms: copy.call_limit,
            answer_limit_ms: copy.answer_limit,
            start_limit_ms: copy.start_limit,
        }
    }

    /// What is to happen with two servers that live and die together: the stricter of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let strictest = |one: RestartLimit, two: RestartLimit| RestartLimit {
            count: one.count.min(two.count),
            window_ms: one.window_ms.max(two.window_ms),
        };
        let least = |one: Option<u64>, two: Option<u64>| [one, two].into_iter().flatten().min();
        Self {
            restart: self
                .restart
                .zip(other.restart)
                .map(|(one, two)| strictest(one, two)),
            call_limit_ms: least(self.call_limit_ms, other.call_limit_ms),
            answer_limit_ms: least(self.answer_limit_ms, other.answer_limit_ms),
            start_limit_ms: least(self.start_limit_ms, other.start_limit_ms),
        }
    }

    /// Reads the fields that are about failures; what is wrong with them is complained about.
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        let default = Self::default();
        let again = fields
            .get("restart")
            .and_then(|value| value.one_of("restart policy", &["always", "never"]))
            .is_none_or(|policy| policy == "always");
        let limit = fields.get("restart-limit").and_then(|value| limit(&value));
        Self {
            restart: again.then(|| limit.unwrap_or_default()),
            call_limit_ms: time_limit(fields, "call-limit", default.call_limit_ms),
            answer_limit_ms: time_limit(fields, "answer-limit", default.answer_limit_ms),
            start_limit_ms: time_limit(fields, "start-limit", default.start_limit_ms),
        }
    }
}

/// The time that the field `name` allows, `default` if it is not there or makes no sense.
fn time_limit(fields: &Fields<'_>, name: &'static str, default: Option<u64>) -> Option<u64> {
    let Some(value) = fields.get(name) else {
        return default;
    };
    let text = value.string().map(|text| text.value);
    match text.as_deref() {
        Some(NO_LIMIT) => None,
        Some(text) => time(&value, text).or(default),
        None => default,
    }
}

/// What is written in place of a time for none.
const NO_LIMIT: &str = "none";

/// Writes such a limit so that it is read back the same.
pub(super) fn exact_limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| NO_LIMIT.to_owned(), exact)
}

fn limit(value: &Value<'_>) -> Option<RestartLimit> {
    let text = value.string()?.value;
    let parts = text.split_once('/');
    let count = parts.and_then(|(count, _)| count.trim().parse::<u32>().ok());
    let (Some((_, window)), Some(count)) = (parts, count) else {
        value.complain(
            format!("`{text}` is no limit for restarts"),
            "write how many within which time, such as \"3/10s\"",
        );
        return None;
    };
    if !(1..=MOST_RESTARTS).contains(&count) {
        value.complain(
            format!("a limit of {count} restarts cannot be"),
            format!("a number from 1 to {MOST_RESTARTS}; restart = \"never\" for none"),
        );
        return None;
    }
    let window_ms = time(value, window)?;
    Some(RestartLimit { count, window_ms })
}

/// Reads a time such as `10s`, in milliseconds.
fn time(value: &Value<'_>, text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match unit.trim() {
        "ms" => Some(1),
        "s" => Some(1000),
        "min" => Some(60_000),
        _ => None,
    };
    let time = number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|time| (1..=LONGEST_MS).contains(time));
    if time.is_none() {
        value.complain(
            format!("`{text}` is no time from 1ms to a day"),
            "write a number and `ms`, `s` or `min`, such as \"2s\"",
        );
    }
    time
}

/// Writes a time so that it is read back the same.
pub(super) fn exact(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}
