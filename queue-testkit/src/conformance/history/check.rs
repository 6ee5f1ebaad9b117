//! Checks a recording against the rows of its storage.

use std::time::Duration;

use anyhow::bail;
use queue_core::JobId;

use super::Rows;
use super::effect::Effects;
use super::job_history::{any_job_effects, job_histories};
use super::log::Log;
use super::order::{Event, JobHistory, MAX_OPEN, NoOrder, find};
use super::rules;
use super::step::Stage;
use crate::conformance::check::CaseResult;

/// Maximum number of operations of a job that a failure shows.
const MOST_SHOWN: usize = 60;
/// Maximum number of faults that a failure shows.
const MOST_FAULTS: usize = 5;

pub(super) fn check(log: &Log, rows: &Rows<'_>) -> CaseResult {
    let effects: Vec<Effects> = log.operations.iter().map(Effects::of).collect();
    let histories = job_histories(&effects, rows);
    let any_job = any_job_effects(&log.operations, &effects);
    let mut faults: Vec<String> = Vec::new();
    for (job, history) in &histories {
        match find(history, &any_job) {
            Ok(()) => {}
            Err(NoOrder::Impossible { event, stages }) => faults.push(describe(log, *job, history, &event, &stages)),
            Err(NoOrder::TooManyOpen) => faults.push(format!(
                "the history of job {job} cannot be checked: more than {MAX_OPEN} requests that name it were in \
                 progress at the same time"
            )),
        }
    }
    faults.extend(rules::results(rows.stored, &histories));
    faults.extend(rules::starts(log, &histories));
    faults.extend(rules::batches(log, &any_job, rows.stored));
    faults.extend(rules::follow_ups(log, &any_job, rows.stored));
    match faults.len() {
        0 => Ok(()),
        all if all <= MOST_FAULTS => bail!("{}", faults.join("\n")),
        all => bail!("{}\n({} more faults)", faults[..MOST_FAULTS].join("\n"), all - MOST_FAULTS),
    }
}

fn describe(log: &Log, job: JobId, history: &JobHistory, wrong: &Event, stages: &[Stage]) -> String {
    let stages: Vec<String> = stages.iter().map(|stage| format!("{stage:?}")).collect();
    let by = |process: Option<usize>| match process.and_then(|process| log.processes.get(process)) {
        Some(name) => format!(" by {name}"),
        None => String::new(),
    };
    let mut lines: Vec<(Duration, String)> = Vec::new();
    for event in &history.events {
        let is_wrong = (event.asked, event.step) == (wrong.asked, wrong.step);
        let mark = if is_wrong { " ← this one" } else { "" };
        let (asked, answered, by) = (at(event.asked), at(event.answered), by(event.process));
        lines
            .push((event.asked, format!("  asked {asked}, answered {answered}{by}: {:?}{mark}", event.step)));
    }
    for possible in &history.possible_steps {
        let (asked, by) = (at(possible.from), by(Some(possible.process)));
        lines.push((possible.from, format!("  asked {asked}, outcome unknown{by}: {:?}", possible.step)));
    }
    for (claim, from) in &history.unknown_claims {
        lines.push((*from, format!("  asked {}, outcome unknown: a claim {claim:?}", at(*from))));
    }
    lines.sort();
    let hidden = lines.len().saturating_sub(MOST_SHOWN);
    let mut text = format!(
        "the history of job {job} has no order in which each reply is right: at the reply to {:?}, the job \
         can only have been {}; its operations:",
        wrong.step,
        stages.join(" or ")
    );
    if hidden > 0 {
        text += &format!("\n  ({hidden} earlier operations)");
    }
    for (_, line) in &lines[hidden..] {
        text.push('\n');
        text += line;
    }
    text
}

/// Formats a time like the lines of children in the report.
fn at(moment: Duration) -> String {
    format!("{:.6}", moment.as_secs_f64())
}
