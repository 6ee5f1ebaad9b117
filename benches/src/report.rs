//! What a run says when it is over.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::Workload;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::samples::rounded;

/// What a workload reached.
#[derive(Debug)]
pub(crate) struct Measured {
    /// In the unit of the workload.
    pub(crate) value: f64,
    /// What belongs to the figure: slots, further percentiles.
    pub(crate) settings: Map<String, Value>,
}

/// One line of JSON, or a small table.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: String,
    backend: String,
    value: Option<f64>,
    unit: &'static str,
    floor: f64,
    ratio: Option<f64>,
    jobs: usize,
    payload_bytes: usize,
    settings: Map<String, Value>,
}

impl Report {
    /// A workload beside its floor.
    pub(crate) fn new(plan: &Plan, floor: &Floor, measured: Option<Measured>) -> Self {
        let mut settings = floor.settings.clone();
        let value = measured.map(|measured| {
            settings.extend(measured.settings);
            measured.value
        });
        Self {
            workload: plan.workload.to_string(),
            backend: plan.backend.to_string(),
            value: value.map(rounded),
            unit: unit(plan.workload),
            floor: rounded(floor.value),
            ratio: value.map(|value| rounded(value / floor.value)),
            jobs: plan.jobs,
            payload_bytes: plan.payload_bytes,
            settings,
        }
    }

    /// For people.
    pub(crate) fn table(&self) -> Table {
        let or_dash =
            |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), |figure| figure.to_string());
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(["workload", "backend", self.unit, "floor", "ratio"]);
        table.add_row([
            self.workload.clone(),
            self.backend.clone(),
            or_dash(self.value),
            self.floor.to_string(),
            or_dash(self.ratio),
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

const fn unit(workload: Workload) -> &'static str {
    match workload {
        Workload::EnqueueBatch | Workload::EnqueueSingle | Workload::Drain => "jobs/s",
        Workload::Latency => "µs (p50)",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn report(measured: Option<Measured>) -> String {
        let plan = Plan::new(&Cli::parse_from(["queue-benches", "drain", "--jobs", "10"])).unwrap();
        let floor =
            Floor { value: 500_000.4, settings: Map::from_iter([("floor_batch".to_owned(), 500.into())]) };
        serde_json::to_string(&Report::new(&plan, &floor, measured)).unwrap()
    }

    #[test]
    fn the_line_has_the_promised_keys_in_order() {
        let settings = Map::from_iter([("slots".to_owned(), 8.into())]);
        assert_eq!(
            report(Some(Measured { value: 250_000.2, settings })),
            r#"{"workload":"drain","backend":"sqlite","value":250000.0,"unit":"jobs/s","floor":500000.0,"ratio":0.5,"jobs":10,"payload_bytes":40,"settings":{"floor_batch":500,"slots":8}}"#
        );
    }

    #[test]
    fn what_was_not_measured_is_null() {
        assert!(report(None).contains(r#""value":null,"#));
    }
}
