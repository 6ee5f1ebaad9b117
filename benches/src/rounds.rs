//! Compares the first and the last rounds of the same work.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::cpu::CpuTime;
use crate::samples::{median, rounded};

const HEADER: [&str; 6] =
    ["round", "drain jobs/s", "enqueue jobs/s", "program µs/job", "server µs/job", "both µs/job"];

/// The figures of one round, or of several rounds combined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Round {
    pub(crate) drain_jobs_per_s: f64,
    enqueue_jobs_per_s: f64,
    /// Processor time per job, from the enqueue of the first job to the last settlement.
    program_cpu_us: f64,
    server_cpu_us: Option<f64>,
    cpu_us: Option<f64>,
}

/// All rounds in their order, and the medians of the first and the last quarter of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Rounds {
    each: Vec<Round>,
    /// The number of rounds in each median.
    quarter: usize,
    pub(crate) first: Round,
    pub(crate) last: Round,
    /// The last quarter divided by the first quarter.
    ratio: Round,
}

impl Round {
    /// `drain` and `enqueue` are jobs per second.
    pub(crate) fn new(jobs: usize, drain: f64, enqueue: f64, cpu: CpuTime) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of jobs are far below 2^53")]
        let jobs = jobs as f64;
        Self {
            drain_jobs_per_s: drain,
            enqueue_jobs_per_s: enqueue,
            program_cpu_us: cpu.program.as_secs_f64() * 1e6 / jobs,
            server_cpu_us: cpu.server.map(|time| time.as_secs_f64() * 1e6 / jobs),
            cpu_us: cpu.server.map(|time| (time + cpu.program).as_secs_f64() * 1e6 / jobs),
        }
    }

    fn figures(self) -> [Option<f64>; 5] {
        let (drain, enqueue) = (Some(self.drain_jobs_per_s), Some(self.enqueue_jobs_per_s));
        [drain, enqueue, Some(self.program_cpu_us), self.server_cpu_us, self.cpu_us]
    }

    /// Combines each figure of some rounds. A figure that one round lacks stays unknown.
    fn combined(rounds: &[Self], combine: impl Fn(Vec<f64>) -> f64) -> Self {
        let known = |figure: fn(&Self) -> f64| combine(rounds.iter().map(figure).collect());
        let known_or_none = |figure: fn(&Self) -> Option<f64>| {
            rounds.iter().map(figure).collect::<Option<Vec<_>>>().map(&combine)
        };
        Self {
            drain_jobs_per_s: known(|round| round.drain_jobs_per_s),
            enqueue_jobs_per_s: known(|round| round.enqueue_jobs_per_s),
            program_cpu_us: known(|round| round.program_cpu_us),
            server_cpu_us: known_or_none(|round| round.server_cpu_us),
            cpu_us: known_or_none(|round| round.cpu_us),
        }
    }

    fn rounded(self) -> Self {
        Self::combined(&[self], |figures| rounded(figures.into_iter().sum()))
    }

    fn row(self, name: String) -> Vec<String> {
        let text = |figure: Option<f64>| match figure {
            Some(known) => known.to_string(),
            None => "unknown".to_owned(),
        };
        [name].into_iter().chain(self.rounded().figures().map(text)).collect()
    }
}

impl Rounds {
    /// Must get at least one round.
    pub(crate) fn new(each: Vec<Round>) -> Self {
        let quarter = each.len().div_ceil(4);
        let middle = |rounds: &[Round]| Round::combined(rounds, median);
        let (first, last) = (middle(&each[..quarter]), middle(&each[each.len() - quarter..]));
        let divided = |pair: Vec<f64>| pair.into_iter().reduce(|last, first| last / first);
        let ratio = Round::combined(&[last, first], |pair| divided(pair).unwrap_or_default());
        let each = each.into_iter().map(Round::rounded).collect();
        Self { each, quarter, first: first.rounded(), last: last.rounded(), ratio: ratio.rounded() }
    }

    /// The rounds as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(HEADER);
        for (number, round) in (1..).zip(&self.each) {
            table.add_row(round.row(format!("{number}")));
        }
        table.add_row(self.first.row(format!("first {}, median", self.quarter)));
        table.add_row(self.last.row(format!("last {}, median", self.quarter)));
        table.add_row(self.ratio.row("last / first".to_owned()));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn round(drain: f64, server: Option<u64>) -> Round {
        let program = Duration::from_micros(100);
        Round::new(10, drain, 500.0, CpuTime { program, server: server.map(Duration::from_micros) })
    }

    #[test]
    fn last_quarter_is_divided_by_the_first() {
        let drains = [90.0, 80.0, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 60.0, 20.0, 40.0];
        let rounds = Rounds::new(drains.map(|drain| round(drain, Some(200))).into());
        assert_eq!(rounds.quarter, 3);
        assert_eq!((rounds.first.drain_jobs_per_s, rounds.last.drain_jobs_per_s), (90.0, 40.0));
        assert_eq!(rounds.ratio.drain_jobs_per_s, 0.444);
        assert_eq!((rounds.first.cpu_us, rounds.ratio.cpu_us), (Some(30.0), Some(1.0)));
    }

    #[test]
    fn unmeasured_server_stays_unknown() {
        let rounds = Rounds::new(vec![round(1.0, None), round(2.0, None)]);
        assert_eq!((rounds.last.server_cpu_us, rounds.ratio.cpu_us), (None, None));
        assert_eq!(rounds.ratio.program_cpu_us, 1.0);
        assert!(rounds.table().to_string().contains("unknown"));
    }
}
