//! `kiln top`: runs a machine without its console and shows who does what in it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::run::{Onlooker, launch};
use crate::Error;
use crate::command_line::Top;
use crate::progress::Progress;
use crate::run::Watch;
use crate::top::{Asked, Picture, Sampler, to_json, to_text};
use crate::trace::names::Names;

/// Clears a terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

type Show = Box<dyn FnMut(&Picture) -> bool + Send>;

/// What is asked for, and then who looks.
struct Looking {
    asked: Asked,
    json: bool,
    sampler: Option<Sampler<Show>>,
}

impl Onlooker for Looking {
    fn meet(&mut self, names: Names) -> &mut dyn Watch {
        let json = self.json;
        let clear = !json && !self.asked.once && std::io::stdout().is_terminal();
        let show: Show = Box::new(move |picture| {
            let text = if json {
                to_json(picture)
            } else {
                to_text(picture)
            };
            let before = if clear { CLEAR } else { "" };
            let mut out = std::io::stdout().lock();
            // A reader that went away wants no more.
            write!(out, "{before}{text}")
                .and_then(|()| out.flush())
                .is_ok()
        });
        self.sampler.insert(Sampler::new(names, self.asked, show))
    }

    fn hides_console(&self) -> bool {
        true
    }
}

/// Runs the machine and shows pictures of it; gives back the exit status for Kiln.
///
/// # Errors
/// Anything on the way to the machine's end.
pub fn top(asked: &Top, progress: Progress) -> Result<u8, Error> {
    let interval = Duration::try_from_secs_f64(asked.interval)
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(10))
        .ok_or_else(|| {
            Error::usage(
                format!("--interval cannot be {}", asked.interval),
                "give a number of seconds from 0.01 on",
            )
        })?;
    let mut looking = Looking {
        asked: Asked {
            interval,
            once: asked.once,
            methods: asked.methods,
        },
        json: asked.json,
        sampler: None,
    };
    launch(&asked.run, Some(&mut looking), progress)
}
