//! The history of a storage, job by job, against its rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use anyhow::{bail, ensure};
use queue_core::backend::{Settled, Stored};
use queue_core::{ClaimId, JobId, State, WorkerId};

use super::order::{Chance, Event, MOST_OPEN, NoOrder, Stretches, World, find};
use super::step::{Seen, Stage, Step};
use super::{Entry, NEVER, Rows};
use crate::conformance::check::CaseResult;

/// The most operations of a job that are shown.
const MOST_SHOWN: usize = 60;

/// What concerned one job.
#[derive(Debug, Default)]
struct Life {
    events: Vec<Event>,
    chances: Vec<Chance>,
    attempts: u32,
}

pub(super) fn check(entries: &[Entry], rows: &Rows<'_>) -> CaseResult {
    let mut lives = lives(entries);
    add_leases(entries, &mut lives);
    add_rows(rows, &mut lives);
    add_claims(entries, &mut lives);
    let world = world(entries);
    for (job, life) in &lives {
        match find(&life.events, &life.chances, &world, life.attempts) {
            Ok(()) => {}
            Err(NoOrder::Impossible { event, stages }) => bail!("{}", told(*job, life, &event, &stages)),
            Err(NoOrder::TooManyOpen) => bail!(
                "the history of job {job} cannot be checked: more than {MOST_OPEN} requests that name it were under way \
                 at the same time"
            ),
        }
    }
    results(rows.stored, &lives)
}

fn lives(entries: &[Entry]) -> BTreeMap<JobId, Life> {
    let mut lives: BTreeMap<JobId, Life> = BTreeMap::new();
    for entry in entries {
        for (job, step) in &entry.told.sure {
            let life = lives.entry(*job).or_default();
            life.allow(*step);
            life.events.push(Event { asked: entry.asked, answered: entry.answered, step: *step });
        }
        for (job, step) in &entry.told.maybe {
            let life = lives.entry(*job).or_default();
            life.allow(*step);
            life.chances.push(Chance::since(entry.asked, *step));
        }
    }
    lives
}

impl Life {
    fn allow(&mut self, step: Step) {
        if let Step::Inserted { attempts, .. } = step {
            self.attempts = attempts.max(self.attempts);
        }
    }

    fn claims(&self) -> impl Iterator<Item = ClaimId> {
        let chances = self.chances.iter().map(|chance| chance.step);
        self.events.iter().map(|event| event.step).chain(chances).filter_map(Step::claim)
    }
}

/// What the leases of a claim say of the jobs of that claim that are not among them.
fn add_leases(entries: &[Entry], lives: &mut BTreeMap<JobId, Life>) {
    if entries.iter().all(|entry| entry.told.leases_of.is_none()) {
        return;
    }
    let mut jobs: HashMap<ClaimId, BTreeSet<JobId>> = HashMap::new();
    for (job, life) in &*lives {
        for claim in life.claims() {
            jobs.entry(claim).or_default().insert(*job);
        }
    }
    let claimers: HashMap<ClaimId, WorkerId> =
        entries.iter().filter_map(|entry| entry.told.claimer).collect();
    for entry in entries {
        let Some((claim, worker)) = entry.told.leases_of else { continue };
        if claimers.get(&claim) != Some(&worker) {
            continue;
        }
        let held: BTreeSet<JobId> = entry.told.sure.iter().map(|(job, _)| *job).collect();
        for job in jobs.get(&claim).into_iter().flatten().filter(|job| !held.contains(job)) {
            let step = Step::Leased { claim, attempt: None };
            let event = Event { asked: entry.asked, answered: entry.answered, step };
            lives.entry(*job).or_default().events.push(event);
        }
    }
}

/// How each job stands in the end; one that nobody enqueued among them.
fn add_rows(rows: &Rows<'_>, lives: &mut BTreeMap<JobId, Life>) {
    let mut seen: BTreeMap<JobId, Option<Seen>> = lives.keys().map(|job| (*job, None)).collect();
    for row in &rows.stored.live {
        let row_seen = Seen { state: row.state, attempt: row.attempt, claim: Some(row.claim) };
        seen.insert(row.id, Some(row_seen));
    }
    for row in &rows.stored.outcomes {
        let row_seen = Seen { state: row.state, attempt: row.attempt, claim: Some(row.claim) };
        seen.insert(row.id, Some(row_seen));
    }
    for (job, seen) in seen {
        let event = Event { asked: rows.asked, answered: rows.answered, step: Step::Read(seen) };
        lives.entry(job).or_default().events.push(event);
    }
}

/// A claim of unknown outcome took the jobs under whose names it was heard of later.
fn add_claims(entries: &[Entry], lives: &mut BTreeMap<JobId, Life>) {
    let unknown = entries.iter().filter_map(|entry| entry.told.claim.map(|claim| (claim, entry.asked)));
    let unknown: HashMap<ClaimId, u64> = unknown.collect();
    if unknown.is_empty() {
        return;
    }
    for life in lives.values_mut() {
        let named: BTreeSet<ClaimId> = life.claims().filter(|claim| unknown.contains_key(claim)).collect();
        for claim in named {
            for attempt in 1..=life.attempts {
                let step = Step::Claimed { claim, attempt };
                life.chances.push(Chance::since(unknown[&claim], step));
            }
        }
    }
}

fn world(entries: &[Entry]) -> World {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| entry.asked);
    let stretches = |is_so: fn(&Entry) -> bool| {
        Stretches::new(order.iter().filter(|entry| is_so(entry)).map(|entry| (entry.asked, entry.answered)))
    };
    World {
        rescues: stretches(|entry| entry.told.rescues),
        prunes: stretches(|entry| entry.told.prunes),
        claims: stretches(|entry| entry.told.claim.is_some()),
    }
}

/// A result is that of a settle by the claim that won.
fn results(stored: &Stored, lives: &BTreeMap<JobId, Life>) -> CaseResult {
    for row in stored.outcomes.iter().filter(|row| row.state == State::Completed) {
        let Some(life) = lives.get(&row.id) else { continue };
        let stored = row.result.as_deref().map(super::observe::print_of);
        let wrote_it = |step: Step| {
            matches!(step, Step::Settled { claim, result, answer: Settled::Done, .. }
                if Some(claim) == row.claim && result == stored)
        };
        let chances = life.chances.iter().map(|chance| chance.step);
        let is_known = life.events.iter().map(|event| event.step).chain(chances).any(wrote_it);
        ensure!(is_known, "job {} has a result that the claim which completed it did not bring", row.id);
    }
    Ok(())
}

fn told(job: JobId, life: &Life, wrong: &Event, stages: &[Stage]) -> String {
    let stages: Vec<String> = stages.iter().map(|stage| format!("{stage:?}")).collect();
    let mut lines: Vec<(u64, String)> = Vec::new();
    for event in &life.events {
        let mark = if event.asked == wrong.asked { " ← this one" } else { "" };
        let line =
            format!("  asked {:>5}, answered {:>5}: {:?}{mark}", event.asked, event.answered, event.step);
        lines.push((event.asked, line));
    }
    // Of a claim that was heard of it is not known which attempt it was: that says nothing.
    for chance in life
        .chances
        .iter()
        .filter(|chance| !matches!(chance.step, Step::Claimed { attempt, .. } if attempt > 1))
    {
        let until = if chance.until == NEVER {
            "and not known".to_owned()
        } else {
            format!("until {}", chance.until)
        };
        lines.push((chance.from, format!("  asked {:>5}, {until}: {:?}", chance.from, chance.step)));
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
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  ({hidden} earlier ones)");
    }
    for (_, line) in &lines[hidden..] {
        text.push('\n');
        text.push_str(line);
    }
    text
}
