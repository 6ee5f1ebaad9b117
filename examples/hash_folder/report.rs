//! Prints the tables of the report.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use indicatif::{DecimalBytes, HumanCount};
use queue::Timestamp;
use queue::backend::JobRecord;

use crate::tally::{Failure, Slow, Sum, Tally};
use crate::tasks::{Feature, Run, Start};

/// Rows of the table of extensions; the rest is one row.
const EXTENSIONS: usize = 12;

/// Maximum width of a table in characters; longer texts are wrapped.
const WIDTH: u16 = 100;

/// Maximum length of a complete path in bytes.
const PATH: usize = 44;

/// The results of a run.
pub(crate) struct Report<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) run: Run,
    pub(crate) tally: &'a Tally,
    pub(crate) took: Duration,
    /// Jobs that finished before this process started.
    pub(crate) before: u64,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        writeln!(f, "\nFiles by extension\n{}", extensions(tally))?;
        if !tally.slowest.is_empty() {
            writeln!(f, "\nSlowest jobs\n{}", slowest(&tally.slowest, self.folder))?;
        }
        if tally.failed > 0 {
            writeln!(f, "\nFailures\n{}", failures(tally, self.folder))?;
        }
        writeln!(f, "\nOther features\n{}", self.features())?;
        writeln!(
            f,
            "\n{} files, {}, {} lines; {} failed",
            HumanCount(tally.total.files),
            DecimalBytes(tally.total.bytes),
            HumanCount(tally.total.lines),
            HumanCount(tally.failed),
        )?;
        let (done, all) = (HumanCount(tally.jobs - self.before), HumanCount(self.run.jobs()));
        let done = if self.before > 0 { format!("{done} of {all}") } else { all.to_string() };
        write!(f, "{done} jobs in {}", span(self.took))?;
        let took = self.took.as_secs_f64();
        // In a shorter run, most of the time is the wait for the scheduled job.
        if took > 3.0 {
            let rate = ((tally.jobs - self.before) as f64 / took).round();
            write!(f, ", {rate} per second")?;
        }
        writeln!(f)
    }
}

impl Report<'_> {
    fn features(&self) -> Table {
        let mut table = table(&["job", "result"], &[]);
        for feature in [Feature::FailsOnce, Feature::ComesLater, Feature::Overtakes] {
            let found = self.tally.demonstrations.iter().find(|(shown, ..)| *shown == feature);
            if let Some((_, record, start)) = found {
                table.add_row([name(feature).to_owned(), story(feature, record, *start, self.run)]);
            }
        }
        let taken_over = &self.tally.taken_over;
        if taken_over.jobs > 0 {
            let many = HumanCount(taken_over.jobs);
            let story = format!("{many} jobs of a lost worker ran again within {}", span(taken_over.after));
            table.add_row(["interrupted".to_owned(), story]);
        }
        table
    }
}

const fn name(feature: Feature) -> &'static str {
    match feature {
        Feature::FailsOnce => "fails once",
        Feature::ComesLater => "scheduled",
        Feature::Overtakes => "urgent",
    }
}

fn story(feature: Feature, record: &JobRecord, start: Start, run: Run) -> String {
    let started = Timestamp::from_micros(start.at_micros).unwrap_or(Timestamp::MAX);
    match feature {
        Feature::FailsOnce => {
            let failed = record.errors.iter().map(|failed| {
                let wait = span(failed.at.until(started));
                format!("attempt {}: {}; {wait} later, ", failed.attempt, failed.error)
            });
            format!("{}attempt {}: {}", failed.collect::<String>(), record.attempt, record.state)
        }
        Feature::ComesLater => {
            let due = record.job.run_at.unwrap_or(record.created_at);
            let ahead = span(record.created_at.until(due));
            if started < due {
                return format!("due {ahead} ahead, but started {} early", span(started.until(due)));
            }
            format!("due {ahead} ahead; started {} after it was due", span(due.until(started)))
        }
        Feature::Overtakes => {
            let enqueued = HumanCount(run.jobs());
            format!("enqueued last, as number {enqueued}; started as number {}", HumanCount(start.order))
        }
    }
}

fn extensions(tally: &Tally) -> Table {
    let mut table = table(&["extension", "files", "size", "lines"], &[1, 2, 3]);
    let mut sums: Vec<(&str, Sum)> =
        tally.by_extension.iter().map(|(name, sum)| (name.as_str(), *sum)).collect();
    sums.sort_by(|(name, sum), (other_name, other)| {
        other.files.cmp(&sum.files).then(other.bytes.cmp(&sum.bytes)).then(name.cmp(other_name))
    });
    let rest = sums.split_off(sums.len().min(EXTENSIONS));
    for (name, sum) in sums {
        let name = if name.is_empty() { "(none)".to_owned() } else { format!(".{name}") };
        add_sum(&mut table, &name, sum);
    }
    if !rest.is_empty() {
        let sum = rest.iter().fold(Sum::default(), |sum, (_, other)| sum.join(*other));
        add_sum(&mut table, &format!("{} more", rest.len()), sum);
    }
    add_sum(&mut table, "total", tally.total);
    table
}

fn add_sum(table: &mut Table, name: &str, sum: Sum) {
    table.add_row([
        name.to_owned(),
        HumanCount(sum.files).to_string(),
        DecimalBytes(sum.bytes).to_string(),
        HumanCount(sum.lines).to_string(),
    ]);
}

fn slowest(jobs: &[Slow], folder: &Path) -> Table {
    let mut table = table(&["file", "time", "size", "lines", "SHA-256"], &[1, 2, 3]);
    for Slow { path, measured } in jobs {
        table.add_row([
            short(path, folder),
            span(Duration::from_micros(measured.took_micros)),
            DecimalBytes(measured.bytes).to_string(),
            HumanCount(measured.lines).to_string(),
            measured.sha256.chars().take(12).chain(['…']).collect(),
        ]);
    }
    table
}

fn failures(tally: &Tally, folder: &Path) -> Table {
    let mut table = table(&["error", "attempts"], &[1]);
    let root = format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR);
    for Failure { attempts, error } in &tally.failures {
        table.add_row([error.replace(&root, ""), attempts.to_string()]);
    }
    let more = tally.failed - tally.failures.len() as u64;
    if more > 0 {
        table.add_row([format!("… and {} more", HumanCount(more)), String::new()]);
    }
    table
}

fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED.with_rounded_corners());
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header.iter().map(Cell::new));
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A duration as a person says it.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        _ if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 0.999 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 120.0 => format!("{seconds:.2} s"),
        _ => format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0),
    }
}

/// The path relative to the folder; only the last parts of a long one.
fn short(path: &Path, folder: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
    if path.len() <= PATH {
        return path.into_owned();
    }
    let fits = |start: &usize| path.len() - start <= PATH;
    let slashes = path.match_indices(std::path::is_separator).map(|(start, _)| start);
    match slashes.into_iter().find(fits) {
        Some(start) => format!("…{}", &path[start..]),
        // The file name alone is too long.
        None => path.rsplit(std::path::is_separator).next().unwrap_or_default().to_owned(),
    }
}
