//! Measures images beside Linux in the same QEMU, and compares with what was kept.
//!
//! How figures are made and read is told in `docs/measuring.md`.
#![forbid(unsafe_code)]

mod baseline;
mod figure;
mod machine;
mod made;
mod measure;
mod show;
mod wall;

use std::collections::BTreeMap;
use std::process::ExitCode;

use baseline::Baseline;
use clap::Parser;
use figure::{FIGURES, Figure, Source};
use kiln_tests::linux::Kernel;
use machine::Machines;
use measure::Measured;

/// A processor whose string instructions are not advertised as fast: both systems copy by words,
/// which QEMU counts as it counts other instructions.
const PROCESSOR: &str = "qemu64,+fsgsbase,+rdtscp,+smep,+smap";

/// Measures images beside Linux in the same QEMU.
#[derive(Debug, Parser)]
#[command(name = "kiln-bench")]
struct Options {
    /// Only figures whose names begin with one of these.
    names: Vec<String>,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Keep the figures as the baseline (bench/baseline.json).
    #[arg(long)]
    save: bool,
    /// Fail if a figure is missing, over its limit, or 2 % worse than the baseline.
    #[arg(long)]
    check: bool,
    /// Show the names of the figures and what they mean.
    #[arg(long)]
    list: bool,
    /// QEMU's name of the processor for both systems.
    #[arg(long, value_name = "MODEL", default_value = PROCESSOR)]
    cpu: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kiln-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The figures that are asked for.
fn chosen(names: &[String]) -> Result<Vec<&'static Figure>, String> {
    let unknown = names
        .iter()
        .find(|name| !FIGURES.iter().any(|figure| figure.name.starts_with(*name)));
    if let Some(name) = unknown {
        return Err(format!(
            "no figure's name begins with `{name}`; --list shows all"
        ));
    }
    let asked = |figure: &&Figure| {
        names.is_empty() || names.iter().any(|name| figure.name.starts_with(name))
    };
    Ok(FIGURES.iter().filter(asked).collect())
}

/// Does what was asked; false if a check failed.
fn run(options: &Options) -> Result<bool, String> {
    let figures = chosen(&options.names)?;
    if options.list {
        for figure in figures {
            println!("{:<26} {}", figure.name, figure.meaning);
        }
        return Ok(true);
    }
    let mut kept = Baseline::load()?;
    if kept.processor != options.cpu {
        if options.check && !kept.processor.is_empty() {
            eprintln!(
                "kiln-bench: the baseline is of {}: only limits are checked",
                kept.processor
            );
        }
        kept = Baseline {
            processor: options.cpu.clone(),
            values: BTreeMap::new(),
        };
    }
    let kernel = kiln_tests::linux::kernel();
    if let Err(reason) = &kernel {
        eprintln!("kiln-bench: no Linux to compare with: {reason}");
    }
    let measured = measure(&figures, &kernel, &options.cpu);
    let good = show(&figures, &measured, &kept, options, kernel.is_ok());
    if options.save {
        for figure in &figures {
            if let Ok(value) = measured.kiln.get(figure.name) {
                kept.values.insert(figure.name.to_owned(), value);
            }
        }
        kept.save()?;
    }
    Ok(good || !options.check)
}

fn measure(figures: &[&Figure], kernel: &Result<Kernel, String>, processor: &str) -> Measured {
    let machines = Machines {
        processor: processor.to_owned(),
    };
    let mut sources: BTreeMap<Source, Vec<&str>> = BTreeMap::new();
    for figure in figures {
        sources.entry(figure.source).or_default().push(figure.name);
    }
    let mut measured = Measured::default();
    for (source, names) in sources {
        measured.add(source, &machines, kernel, &names);
    }
    measured
}

/// Prints the figures; false if one is missing, over its limit or worse than the kept one.
fn show(
    figures: &[&Figure],
    measured: &Measured,
    kept: &Baseline,
    options: &Options,
    has_linux: bool,
) -> bool {
    if !options.json {
        println!("QEMU (TCG), -cpu {}", options.cpu);
        println!("{}", show::head());
    }
    let mut complaints = Vec::new();
    for figure in figures {
        let kiln = measured.kiln.get(figure.name);
        let linux = measured.linux.get(figure.linux.unwrap_or(figure.name));
        let is_expected = has_linux && figure.linux != Some(figure::NOTHING);
        if let (Err(reason), true) = (&linux, is_expected) {
            eprintln!("kiln-bench: {} of Linux: {reason}", figure.name);
        }
        if options.json {
            println!("{}", show::line(figure, &kiln, &linux));
        } else {
            let kept = kept.values.get(figure.name);
            println!("{}", show::table_row(figure, &kiln, &linux, kept));
        }
        match &kiln {
            Ok(value) => complaints.extend(kept.complaint(figure, *value)),
            Err(reason) => complaints.push(format!("{}: missing: {reason}", figure.name)),
        }
    }
    for complaint in &complaints {
        eprintln!("kiln-bench: {complaint}");
    }
    complaints.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_chooses_what_begins_with_it() {
        let names = |names: &[&str]| -> Result<Vec<&str>, String> {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            Ok(chosen(&names)?.iter().map(|figure| figure.name).collect())
        };
        let calls = names(&["call."]).unwrap();
        assert!(calls.contains(&"call.null") && calls.contains(&"call.kernel"));
        assert!(calls.iter().all(|name| name.starts_with("call.")));
        assert_eq!(names(&["call.null"]), Ok(vec!["call.null"]));
        assert_eq!(names(&[]).map(|all| all.len()), Ok(FIGURES.len()));
        assert!(names(&["call.", "nonsense"]).is_err());
    }
}
