//! `./run.sh attack`: has all images attacked with many calls, and says what came of it.
#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kiln_tests::attack::report::{self, Report};
use kiln_tests::attack::{Asked, IMAGES};
use kiln_tests::places;
use sha2::{Digest, Sha256};

/// What a run is asked for.
struct Settings {
    calls: u64,
    seed: u64,
    from: u64,
    json: bool,
    /// Only the image of that name.
    only: Option<String>,
}

fn settings() -> Result<Settings, String> {
    let number = |text: String| {
        let digits = text.replace('_', "");
        digits
            .parse::<u64>()
            .map_err(|_| format!("{text:?} is no number"))
    };
    let mut settings = Settings {
        calls: 5_000_000,
        seed: 1,
        from: 1,
        json: false,
        only: None,
    };
    let mut numbers = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--json" => settings.json = true,
            "--from" => settings.from = number(value()?)?.max(1),
            "--image" => settings.only = Some(value()?),
            _ => numbers.push(number(word)?),
        }
    }
    match numbers[..] {
        [] => {}
        [calls] => settings.calls = calls.max(1),
        [calls, seed] => (settings.calls, settings.seed) = (calls.max(1), seed),
        _ => return Err("CALLS and SEED are all that there is to say".to_owned()),
    }
    if let Some(only) = &settings.only
        && !IMAGES.iter().any(|image| image.name == only)
    {
        let all: Vec<_> = IMAGES.iter().map(|image| image.name).collect();
        return Err(format!(
            "no image is called {only:?}: there are {}",
            all.join(", ")
        ));
    }
    Ok(settings)
}

/// Which build is attacked.
fn build() -> String {
    let kiln = places::kiln();
    let version = Command::new(&kiln).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let sum = std::fs::read(&kiln).map(|bytes| {
        let sum = Sha256::digest(bytes);
        sum.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    });
    format!(
        "{} (sha256 of the tool with all of its parts: {}...)",
        version.unwrap_or_default().trim(),
        sum.unwrap_or_default()
    )
}

fn main() -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(wrong) => {
            eprintln!("attack: {wrong}");
            return ExitCode::from(2);
        }
    };
    let images: Vec<_> = IMAGES
        .iter()
        .filter(|image| {
            settings
                .only
                .as_deref()
                .is_none_or(|only| only == image.name)
        })
        .collect();
    let all_parts = images.iter().map(|image| image.part).sum();
    let at_once = std::env::var("KILN_TEST_THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let build = build();
    eprintln!(
        "attack: {} calls on {} images, seed {}, {at_once} at once; {build}",
        settings.calls,
        images.len(),
        settings.seed
    );
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::<Report>::new(), 0));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let asked = Asked {
                        seed: settings.seed,
                        calls: settings
                            .calls
                            .saturating_mul(image.part)
                            .div_ceil(all_parts),
                        from: settings.from,
                    };
                    let found = image.attack(asked);
                    let Ok(mut done) = done.lock() else { return };
                    match found {
                        Ok(report) => {
                            eprintln!(
                                "attack: image {}: {} calls in {} s: ok",
                                image.name,
                                report.calls,
                                report.took.as_secs()
                            );
                            done.0.push(report);
                        }
                        Err(wrong) => {
                            eprintln!("attack: image {}: FAILED: {wrong}", image.name);
                            done.1 += 1;
                        }
                    }
                }
            });
        }
    });
    let (reports, failed) = done.into_inner().unwrap_or_default();
    if settings.json {
        println!(
            "{}",
            serde_json::json!({
                "build": build, "seed": settings.seed, "failed": failed,
                "images": report::json(&reports),
            })
        );
    } else {
        println!("{}", report::table(&reports));
    }
    let calls: u64 = reports.iter().map(|report| report.calls).sum();
    let verdict = if failed == 0 {
        "no panic, no server ended, nothing kept, no byte of another process: ok".to_owned()
    } else {
        format!("{failed} images FAILED")
    };
    eprintln!(
        "attack: {calls} calls, seed {}, in {} s; {build}: {verdict}",
        settings.seed,
        began.elapsed().as_secs()
    );
    ExitCode::from(u8::from(failed != 0 || reports.is_empty()))
}
