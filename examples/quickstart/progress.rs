//! Showing how far a run has come: a bar at a terminal, lines elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use queue_examples::Result;

/// Lines that a whole run prints where there is no terminal.
const LINES: u64 = 20;

/// How far the run has come.
#[derive(Debug)]
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { total: u64, shown: u64 },
}

impl Progress {
    pub(crate) fn new(total: u64, done: u64) -> Result<Self> {
        if !stderr().is_terminal() {
            return Ok(Self::Lines { total, shown: done });
        }
        let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} jobs, {elapsed}")?;
        let bar = ProgressBar::new(total).with_style(style.progress_chars("█▉▊▋▌▍▎▏ ")).with_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(Self::Bar(bar))
    }

    pub(crate) fn set(&mut self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { total, shown } => {
                if done == *total || (done - *shown) * LINES >= *total {
                    *shown = done;
                    say(&format!("progress: {done} of {total} jobs"));
                }
            }
        }
    }

    /// Takes the bar away, so that what follows stands in its place.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Tells the person at the terminal, apart from the report. Nobody may be listening.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
