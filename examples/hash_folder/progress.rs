//! Shows the progress of a run: a bar on a terminal, otherwise lines.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use queue_examples::Result;

/// Number of lines per run without a terminal.
const LINES: u64 = 20;

/// The progress display.
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

    /// Removes the bar, so that the next output replaces it.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Prints a line to standard error, apart from the report. Standard error may be closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
