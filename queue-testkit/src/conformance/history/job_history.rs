//! The lives of all jobs, put together from the operations and the rows in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use queue_core::{ClaimId, JobId, WorkerId};

use super::Rows;
use super::effect::Effects;
use super::log::Operation;
use super::lost::lost_from;
use super::order::{Chance, Event, Life, NEVER, Stretches, World};
use super::step::{Seen, Step};

pub(super) type Lives = BTreeMap<JobId, Life>;

pub(super) fn lives(effects: &[Effects], rows: &Rows<'_>) -> Lives {
    let mut lives = Lives::new();
    for effects in effects {
        for (job, step) in &effects.sure {
            let life = lives.entry(*job).or_default();
            life.allow(*step);
            life.events.push(effects.event(*step));
        }
        for (job, step) in &effects.maybe {
            let life = lives.entry(*job).or_default();
            life.allow(*step);
            life.chances.push(Chance { from: effects.asked, process: effects.process, step: *step });
        }
    }
    add_leases(effects, &mut lives);
    add_rows(rows, &mut lives);
    add_claims(effects, &mut lives);
    lives
}

impl Effects {
    const fn event(&self, step: Step) -> Event {
        let Self { asked, answered, process, .. } = *self;
        Event { asked, answered, process: Some(process), step }
    }
}

impl Life {
    fn allow(&mut self, step: Step) {
        if let Step::Inserted { attempts, .. } = step {
            self.attempts = attempts.max(self.attempts);
        }
    }

    /// All steps that happened or may have.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        let chances = self.chances.iter().map(|chance| chance.step);
        self.events.iter().map(|event| event.step).chain(chances)
    }

    fn claims(&self) -> impl Iterator<Item = ClaimId> {
        self.steps().filter_map(Step::claim)
    }
}

/// A list of the leases of a claim shows that the claim holds no other job.
fn add_leases(all: &[Effects], lives: &mut Lives) {
    if all.iter().all(|effects| effects.leases_of.is_none()) {
        return;
    }
    let mut jobs: HashMap<ClaimId, BTreeSet<JobId>> = HashMap::new();
    for (job, life) in &*lives {
        for claim in life.claims() {
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
            lives.entry(*job).or_default().events.push(event);
        }
    }
}

/// The rows are a last read of every job, including those that were never enqueued.
fn add_rows(rows: &Rows<'_>, lives: &mut Lives) {
    let mut seen: BTreeMap<JobId, Option<Seen>> = lives.keys().map(|job| (*job, None)).collect();
    let stored = rows.stored;
    let live = stored.live.iter().map(|row| (row.id, row.state, row.attempt, row.claim));
    let ended = stored.outcomes.iter().map(|row| (row.id, row.state, row.attempt, row.claim));
    for (job, state, attempt, claim) in live.chain(ended) {
        seen.insert(job, Some(Seen { state, attempt, claim: Some(claim) }));
    }
    for (job, seen) in seen {
        let (asked, answered) = (rows.asked, rows.answered);
        let event = Event { asked, answered, process: None, step: Step::Read(seen) };
        lives.entry(job).or_default().events.push(event);
    }
}

/// A claim of unknown outcome took the jobs under whose leases it is named later.
fn add_claims(all: &[Effects], lives: &mut Lives) {
    let unknown: HashMap<ClaimId, Duration> =
        all.iter().filter_map(|effects| Some((effects.unknown_claim?, effects.asked))).collect();
    if unknown.is_empty() {
        return;
    }
    for life in lives.values_mut() {
        let named: BTreeSet<ClaimId> = life.claims().filter(|claim| unknown.contains_key(claim)).collect();
        life.unknown_claims = named.into_iter().map(|claim| (claim, unknown[&claim])).collect();
    }
}

/// What may have happened to any job.
pub(super) fn world(operations: &[Operation], effects: &[Effects]) -> World {
    let mut order: Vec<&Effects> = effects.iter().collect();
    order.sort_by_key(|effects| effects.asked);
    let stretches = |is_so: fn(&Effects) -> bool| {
        let chosen = order.iter().filter(|effects| is_so(effects));
        Stretches::new(chosen.map(|effects| (effects.asked, effects.answered)))
    };
    World {
        rescues: stretches(|effects| effects.rescues),
        lost_from: lost_from(operations),
        prunes: stretches(|effects| effects.prunes),
        // With an insert that is answered, its claim of unknown outcome may still be done.
        claims: Stretches::new(
            order
                .iter()
                .filter(|effects| effects.unknown_claim.is_some())
                .map(|effects| (effects.asked, NEVER)),
        ),
    }
}
