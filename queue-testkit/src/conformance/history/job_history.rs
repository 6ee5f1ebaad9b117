//! Collects the operations and the final row of each job.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use queue_core::{ClaimId, JobId, WorkerId};

use super::Rows;
use super::effect::Effects;
use super::log::Operation;
use super::lost::lost_from;
use super::order::{AnyJobEffects, Event, Intervals, JobHistory, NEVER, PossibleStep};
use super::step::{Seen, Step};

pub(super) type JobHistories = BTreeMap<JobId, JobHistory>;

pub(super) fn job_histories(effects: &[Effects], rows: &Rows<'_>) -> JobHistories {
    let mut histories = JobHistories::new();
    for effects in effects {
        for (job, step) in &effects.sure {
            let history = histories.entry(*job).or_default();
            history.note_attempts(*step);
            history.events.push(effects.event(*step));
        }
        for (job, step) in &effects.maybe {
            let history = histories.entry(*job).or_default();
            history.note_attempts(*step);
            history.possible_steps.push(PossibleStep {
                from: effects.asked,
                process: effects.process,
                step: *step,
            });
        }
    }
    add_leases(effects, &mut histories);
    add_rows(rows, &mut histories);
    add_claims(effects, &mut histories);
    histories
}

impl Effects {
    const fn event(&self, step: Step) -> Event {
        let Self { asked, answered, process, .. } = *self;
        Event { asked, answered, process: Some(process), step }
    }
}

impl JobHistory {
    fn note_attempts(&mut self, step: Step) {
        if let Step::Inserted { attempts, .. } = step {
            self.attempts = attempts.max(self.attempts);
        }
    }

    /// All steps that happened or may have happened.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let possible_steps = self.possible_steps.iter().map(|possible| possible.step);
        self.events.iter().map(|event| event.step).chain(possible_steps)
    }

    fn claims(&self) -> impl Iterator<Item = ClaimId> {
        self.steps().filter_map(Step::claim)
    }
}

/// Adds an event for each job that a list of leases does not contain, because the list shows that
/// the claim does not hold it.
fn add_leases(all: &[Effects], histories: &mut JobHistories) {
    if all.iter().all(|effects| effects.leases_of.is_none()) {
        return;
    }
    let mut jobs: HashMap<ClaimId, BTreeSet<JobId>> = HashMap::new();
    for (job, history) in &*histories {
        for claim in history.claims() {
            jobs.entry(claim).or_default().insert(*job);
        }
    }
    let claimers: HashMap<ClaimId, WorkerId> = all.iter().filter_map(|effects| effects.claimer).collect();
    for effects in all {
        let Some((claim, worker)) = effects.leases_of else { continue };
        if claimers.get(&claim) != Some(&worker) {
            continue;
        }
        let held: BTreeSet<JobId> = effects.sure.iter().map(|(job, _)| *job).collect();
        for job in jobs.get(&claim).into_iter().flatten().filter(|job| !held.contains(job)) {
            let event = effects.event(Step::Leased { claim, attempt: None });
            histories.entry(*job).or_default().events.push(event);
        }
    }
}

/// Adds the rows as a last read of every job, including jobs that were never enqueued.
fn add_rows(rows: &Rows<'_>, histories: &mut JobHistories) {
    let mut seen: BTreeMap<JobId, Option<Seen>> = histories.keys().map(|job| (*job, None)).collect();
    let stored = rows.stored;
    let live = stored.live.iter().map(|row| (row.id, row.state, row.attempt, row.claim));
    let ended = stored.outcomes.iter().map(|row| (row.id, row.state, row.attempt, row.claim));
    for (job, state, attempt, claim) in live.chain(ended) {
        seen.insert(job, Some(Seen { state, attempt, claim: Some(claim) }));
    }
    for (job, seen) in seen {
        let (asked, answered) = (rows.asked, rows.answered);
        let event = Event { asked, answered, process: None, step: Step::Read(seen) };
        histories.entry(job).or_default().events.push(event);
    }
}

/// Adds the claims of unknown outcome that a later lease of the job names, because such a claim was
/// executed.
fn add_claims(all: &[Effects], histories: &mut JobHistories) {
    let unknown: HashMap<ClaimId, Duration> =
        all.iter().filter_map(|effects| Some((effects.unknown_claim?, effects.asked))).collect();
    if unknown.is_empty() {
        return;
    }
    for history in histories.values_mut() {
        let named: BTreeSet<ClaimId> = history.claims().filter(|claim| unknown.contains_key(claim)).collect();
        history.unknown_claims = named.into_iter().map(|claim| (claim, unknown[&claim])).collect();
    }
}

/// Collects the effects that any job may have had.
pub(super) fn any_job_effects(operations: &[Operation], effects: &[Effects]) -> AnyJobEffects {
    let mut order: Vec<&Effects> = effects.iter().collect();
    order.sort_by_key(|effects| effects.asked);
    let intervals = |is_so: fn(&Effects) -> bool| {
        let chosen = order.iter().filter(|effects| is_so(effects));
        Intervals::new(chosen.map(|effects| (effects.asked, effects.answered)))
    };
    AnyJobEffects {
        rescues: intervals(|effects| effects.rescues),
        lost_from: lost_from(operations),
        prunes: intervals(|effects| effects.prunes),
        // Until `NEVER`, because a claim of unknown outcome may be executed after the reply to its
        // insert.
        claims: Intervals::new(
            order
                .iter()
                .filter(|effects| effects.unknown_claim.is_some())
                .map(|effects| (effects.asked, NEVER)),
        ),
    }
}
