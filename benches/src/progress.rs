//! Shows progress on standard error, if that is a terminal.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar for this number of jobs.
pub(crate) fn bar(title: &str, jobs: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:32} {bar:32} {human_pos}/{human_len} {per_sec}")?;
    let bar = ProgressBar::new(u64::try_from(jobs)?).with_style(style).with_message(title.to_owned());
    Ok(bar)
}
