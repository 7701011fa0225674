//! The numbers that were kept, and whether new ones are worse.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_tests::places;
use serde_json::{Value, json};

use crate::figure::Figure;

/// How much worse than the kept number is still the same.
const TOLERANCE: f64 = 0.02;

/// Numbers of one run.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    /// The processor that they were measured on.
    pub processor: String,
    /// Numbers by name.
    pub values: BTreeMap<String, f64>,
}

fn path() -> PathBuf {
    places::sources().join("bench/baseline.json")
}

impl Baseline {
    /// The kept one; an empty one if nothing was kept.
    ///
    /// # Errors
    /// The file cannot be read or understood.
    pub fn load() -> Result<Self, String> {
        let path = path();
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let values = file["figures"].as_object().ok_or("no `figures`")?;
        let values = values
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
            .collect();
        let processor = file["processor"].as_str().ok_or("no `processor`")?;
        Ok(Self {
            processor: processor.to_owned(),
            values,
        })
    }

    fn text(&self) -> String {
        let values: serde_json::Map<_, _> = self
            .values
            .iter()
            .map(|(name, value)| (name.clone(), crate::show::number(*value)))
            .collect();
        let file = json!({ "processor": self.processor, "figures": values });
        // A value made of strings and numbers can always be written.
        let text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text + "\n"
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> Result<(), String> {
        let path = path();
        std::fs::write(&path, self.text()).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What is wrong with a figure's number, if anything.
    pub fn complaint(&self, figure: &Figure, value: f64) -> Option<String> {
        let name = figure.name;
        let (is_bad, words): (fn(f64, f64) -> bool, _) = if figure.unit.is_better_with_more() {
            (|value, limit| value < limit, "less than the least of")
        } else {
            (|value, limit| value > limit, "over the limit of")
        };
        // What cannot be compared is no good figure either.
        if let Some(limit) = figure
            .limit
            .filter(|limit| value.is_nan() || is_bad(value, *limit))
        {
            return Some(format!("{name}: {value} is {words} {limit}"));
        }
        let kept = self.values.get(name).filter(|_| figure.unit.is_steady())?;
        // A number of a few instructions may move by one.
        let most = (kept * (1.0 + TOLERANCE)).max(kept + 1.0);
        (value > most).then(|| format!("{name}: {value} is worse than the baseline, {kept}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::FIGURES;

    fn figure(name: &str) -> &'static Figure {
        FIGURES.iter().find(|figure| figure.name == name).unwrap()
    }

    #[test]
    fn worse_by_more_than_the_tolerance_is_told() {
        let mut kept = Baseline::default();
        kept.values.insert("file.stat".into(), 1000.0);
        kept.values.insert("loop.empty".into(), 2.0);
        assert_eq!(kept.complaint(figure("file.stat"), 1020.0), None);
        assert!(kept.complaint(figure("file.stat"), 1021.0).is_some());
        assert_eq!(kept.complaint(figure("loop.empty"), 3.0), None);
        assert!(kept.complaint(figure("loop.empty"), 4.0).is_some());
    }

    #[test]
    fn limits_hold_without_a_baseline_and_times_have_only_limits() {
        let mut kept = Baseline::default();
        assert!(kept.complaint(figure("syscall.getppid"), 61.0).is_some());
        kept.values.insert("wall.hello".into(), 1.0);
        assert_eq!(kept.complaint(figure("wall.hello"), 1.4), None);
        assert!(kept.complaint(figure("wall.hello"), 1.6).is_some());
    }

    #[test]
    fn where_more_is_better_the_limit_is_the_least() {
        let kept = Baseline::default();
        assert_eq!(kept.complaint(figure("scale.calls.2"), 1.8), None);
        assert_eq!(kept.complaint(figure("scale.calls.2"), 2.0), None);
        assert!(kept.complaint(figure("scale.calls.2"), 1.79).is_some());
        assert!(
            kept.complaint(figure("scale.calls.2"), f64::NAN).is_some(),
            "a figure that is none is not good"
        );
    }

    #[test]
    fn what_is_kept_is_what_is_loaded() {
        let mut kept = Baseline {
            processor: "qemu64,+smap".into(),
            ..Baseline::default()
        };
        kept.values.insert("wall.hello".into(), 1.25);
        kept.values.insert("file.stat".into(), 1000.0);
        assert_eq!(Baseline::parse(&kept.text()).unwrap(), kept);
        assert!(Baseline::parse("{}").is_err());
    }
}
