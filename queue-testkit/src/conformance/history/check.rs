//! The check of a recording against the rows of its storage.

use std::time::Duration;

use anyhow::bail;
use queue_core::JobId;

use super::Rows;
use super::effect::Effects;
use super::life::{lives, world};
use super::log::Log;
use super::order::{Event, Life, MOST_OPEN, NoOrder, find};
use super::rules;
use super::step::Stage;
use crate::conformance::check::CaseResult;

/// The most operations of a job that are shown.
const MOST_SHOWN: usize = 60;
/// The most faults that are shown.
const MOST_FAULTS: usize = 5;

pub(super) fn check(log: &Log, rows: &Rows<'_>) -> CaseResult {
    let effects: Vec<Effects> = log.operations.iter().map(Effects::of).collect();
    let lives = lives(&effects, rows);
    let world = world(&log.operations, &effects);
    let mut faults: Vec<String> = Vec::new();
    for (job, life) in &lives {
        match find(life, &world) {
            Ok(()) => {}
            Err(NoOrder::Impossible { event, stages }) => faults.push(describe(log, *job, life, &event, &stages)),
            Err(NoOrder::TooManyOpen) => faults.push(format!(
                "the history of job {job} cannot be checked: more than {MOST_OPEN} requests that name it were under way \
                 at the same time"
            )),
        }
    }
    faults.extend(rules::results(rows.stored, &lives));
    faults.extend(rules::starts(log, &lives));
    faults.extend(rules::batches(log, &world, rows.stored));
    match faults.len() {
        0 => Ok(()),
        all if all <= MOST_FAULTS => bail!("{}", faults.join("\n")),
        all => bail!("{}\n({} more faults)", faults[..MOST_FAULTS].join("\n"), all - MOST_FAULTS),
    }
}

fn describe(log: &Log, job: JobId, life: &Life, wrong: &Event, stages: &[Stage]) -> String {
    let stages: Vec<String> = stages.iter().map(|stage| format!("{stage:?}")).collect();
    let by = |process: Option<usize>| match process.and_then(|process| log.processes.get(process)) {
        Some(name) => format!(" by {name}"),
        None => String::new(),
    };
    let mut lines: Vec<(Duration, String)> = Vec::new();
    for event in &life.events {
        let is_wrong = (event.asked, event.step) == (wrong.asked, wrong.step);
        let mark = if is_wrong { " ← this one" } else { "" };
        let (asked, answered, by) = (at(event.asked), at(event.answered), by(event.process));
        lines
            .push((event.asked, format!("  asked {asked}, answered {answered}{by}: {:?}{mark}", event.step)));
    }
    for chance in &life.chances {
        let (asked, by) = (at(chance.from), by(Some(chance.process)));
        lines.push((chance.from, format!("  asked {asked}, and not known{by}: {:?}", chance.step)));
    }
    for (claim, from) in &life.unknown_claims {
        lines.push((*from, format!("  asked {}, and not known: a claim {claim:?}", at(*from))));
    }
    lines.sort();
    let hidden = lines.len().saturating_sub(MOST_SHOWN);
    let mut text = format!(
        "the history of job {job} has no order in which each answer is right: where {:?} was answered, the job can only have \
         been {}; all that is known of it:",
        wrong.step,
        stages.join(" or ")
    );
    if hidden > 0 {
        text += &format!("\n  ({hidden} earlier ones)");
    }
    for (_, line) in &lines[hidden..] {
        text.push('\n');
        text += line;
    }
    text
}

/// A moment as the last lines of children show it.
fn at(moment: Duration) -> String {
    format!("{:.6}", moment.as_secs_f64())
}
