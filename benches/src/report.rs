//! The report of a run.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::Workload;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::rounds::Rounds;
use crate::samples::rounded;
use crate::workload::Measured;

/// Printed as one line of JSON or as a table.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: String,
    backend: String,
    value: f64,
    unit: &'static str,
    floor: f64,
    ratio: f64,
    jobs: usize,
    payload_bytes: usize,
    settings: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<Rounds>,
}

impl Report {
    /// The report of a workload and its floor.
    pub(crate) fn new(plan: &Plan, floor: &Floor, measured: &Measured) -> Self {
        let mut settings = floor.settings.clone();
        settings.extend(measured.settings.clone());
        Self {
            workload: plan.workload.to_string(),
            backend: plan.backend.to_string(),
            value: rounded(measured.value),
            unit: unit(plan.workload),
            floor: rounded(floor.value),
            ratio: rounded(measured.value / floor.value),
            jobs: plan.jobs,
            payload_bytes: plan.payload_bytes,
            settings,
            rounds: measured.rounds.clone(),
        }
    }

    /// The rounds, if the workload has rounds.
    pub(crate) fn rounds(&self) -> Option<&Rounds> {
        self.rounds.as_ref()
    }

    /// The report as a table.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(["workload", "backend", self.unit, "floor", "ratio"]);
        table.add_row([
            self.workload.clone(),
            self.backend.clone(),
            self.value.to_string(),
            self.floor.to_string(),
            self.ratio.to_string(),
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

const fn unit(workload: Workload) -> &'static str {
    match workload {
        Workload::EnqueueBatch
        | Workload::EnqueueSingle
        | Workload::Drain
        | Workload::Stalled
        | Workload::HeldSnapshot
        | Workload::Schedules => "jobs/s",
        Workload::Latency | Workload::RequestReply => "µs (p50)",
        Workload::IdleSchedules => "µs of CPU/s",
        Workload::EnqueueTx | Workload::Idle => "transactions/s",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn json_line_has_its_keys_in_order() {
        let plan = Plan::new(&Cli::parse_from(["queue-benches", "drain", "--jobs", "10"])).unwrap();
        let floor =
            Floor { value: 500_000.4, settings: Map::from_iter([("floor_batch".to_owned(), 500.into())]) };
        let settings = Map::from_iter([("slots".to_owned(), 8.into())]);
        let measured = Measured { value: 250_000.2, settings, rounds: None };
        let report = Report::new(&plan, &floor, &measured);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"workload":"drain","backend":"sqlite","value":250000.0,"unit":"jobs/s","floor":500000.0,"ratio":0.5,"jobs":10,"payload_bytes":40,"settings":{"floor_batch":500,"slots":8}}"#
        );
    }
}
