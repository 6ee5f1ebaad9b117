//! What all processes said, held against what is stored in the end.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{OutcomeRow, Stored};
use queue_core::{JobId, State};

use super::event::{Answered, Asked, End, Ending, Event, Met, Named};
use super::testimony::{Answer, Batch, Ended, Fate, Held, Testimony};
use crate::conformance::promise::Promise;

/// How many faults a failure names.
const NAMED: usize = 12;

/// Everything that was said, by batch and by job.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    testimonies: &'a [Testimony],
    beats: Vec<Vec<(Named, Duration)>>,
    batches: Vec<Batch>,
    jobs: BTreeMap<JobId, Account>,
}

/// What was said of one job.
#[derive(Debug, Default)]
struct Account {
    held: Vec<Held>,
    /// Attempts that handlers began.
    starts: Vec<u32>,
    /// When it was first acknowledged, if it was.
    acknowledged_at: Option<Duration>,
    /// From when to when it was asked to cancel, and what that met; nothing where it is unknown.
    cancels: Vec<(Duration, Option<(Duration, Met)>)>,
}

/// What should not be.
type Faults = Vec<String>;

impl<'a> Ledger<'a> {
    pub(crate) fn new(testimonies: &'a [Testimony]) -> Self {
        let beats = testimonies.iter().map(Testimony::beats).collect();
        let mut ledger = Self { testimonies, beats, batches: Vec::new(), jobs: BTreeMap::new() };
        for (by, testimony) in testimonies.iter().enumerate() {
            ledger.enter(by, testimony);
        }
        ledger.enter_acknowledgements();
        for account in ledger.jobs.values_mut() {
            account.held.sort_by_key(|held| (held.attempt, held.answered_at));
        }
        ledger
    }

    fn enter(&mut self, by: usize, testimony: &Testimony) {
        for operation in testimony.operations() {
            let (asked_at, answer) = (operation.asked_at, operation.answer.as_ref());
            match operation.asked {
                Asked::Insert(batches) => {
                    let batch = |(index, jobs)| Batch { jobs, asked_at, fate: Fate::of(answer, index) };
                    self.batches.extend(batches.into_iter().enumerate().map(batch));
                }
                Asked::Claim { claim, worker } => {
                    let Some((answered_at, Answered::Claimed(jobs))) = answer else { continue };
                    for &(job, attempt) in jobs {
                        let (worker, answered_at, ends) = (Named(worker), *answered_at, Vec::new());
                        let held = Held { claim, attempt, worker, by, asked_at, answered_at, ends };
                        self.jobs.entry(job).or_default().held.push(held);
                    }
                }
                Asked::Settle(ends) => {
                    for (index, (lease, ending)) in ends.into_iter().enumerate() {
                        let ended = Ended { asked_at, ending, answer: Answer::of(answer, index) };
                        let account = self.jobs.entry(lease.job).or_default();
                        let held = account.held.iter_mut().find(|held| held.claim == lease.claim);
                        held.into_iter().for_each(|held| held.ends.push(ended.clone()));
                    }
                }
                Asked::Cancel(jobs) => {
                    for (index, job) in jobs.into_iter().enumerate() {
                        let met = match answer {
                            Some((at, Answered::Cancelled(met))) => met.get(index).map(|&met| (*at, met)),
                            _ => None,
                        };
                        self.jobs.entry(job).or_default().cancels.push((asked_at, met));
                    }
                }
                Asked::Register(_) | Asked::Beat(_) => {}
            }
        }
        for (_, event) in testimony.events() {
            if let Event::Starts { job, attempt } = event {
                self.jobs.entry(job).or_default().starts.push(attempt);
            }
        }
    }

    /// For the jobs of which more was said: the others are looked at by their batches.
    fn enter_acknowledgements(&mut self) {
        for batch in &self.batches {
            let Fate::Stored(at) = batch.fate else { continue };
            for job in &batch.jobs {
                if let Some(account) = self.jobs.get_mut(job) {
                    account.acknowledged_at = Some(account.acknowledged_at.map_or(at, |first| first.min(at)));
                }
            }
        }
    }

    /// Fails unless all that was said and all that is stored can be true at once, when everything has been
    /// drained: nothing lost, nothing phantom, no two live leases, each job ended once and by its own lease. A
    /// write whose answer nobody knows may have happened or not.
    pub(crate) fn check(&self, stored: &Stored) -> anyhow::Result<()> {
        let mut faults = Faults::new();
        self.check_batches(stored, &mut faults);
        let outcomes: BTreeMap<JobId, &OutcomeRow> =
            stored.outcomes.iter().map(|row| (row.id, row)).collect();
        for (&job, account) in &self.jobs {
            let mut found = Faults::new();
            self.check_leases(account, &mut found);
            self.check_answers(account, &mut found);
            check_starts(account, &mut found);
            match outcomes.get(&job) {
                Some(outcome) => check_outcome(account, outcome, &mut found),
                None if account.held.is_empty() => {}
                None => fault(&mut found, Promise::NoPhantom, "ran, and has not ended"),
            }
            faults.extend(found.into_iter().map(|fault| format!("job {job} {fault}")));
        }
        for (job, outcome) in outcomes.iter().filter(|(job, _)| !self.jobs.contains_key(job)) {
            let mut found = Faults::new();
            check_outcome(&Account::default(), outcome, &mut found);
            faults
                .extend(found.into_iter().map(|fault| format!("job {job}, of which nobody spoke, {fault}")));
        }
        let more = faults.len().saturating_sub(NAMED);
        let named = faults.iter().take(NAMED).cloned().collect::<Vec<_>>().join("\n  ");
        ensure!(
            faults.is_empty(),
            "what was said and what is stored do not agree:\n  {named}\n  ({more} more)"
        );
        Ok(())
    }

    fn check_batches(&self, stored: &Stored, faults: &mut Faults) {
        let is_stored: BTreeSet<JobId> = stored.jobs.iter().copied().collect();
        let ended: BTreeSet<JobId> = stored.outcomes.iter().map(|row| row.id).collect();
        let mut asked: BTreeMap<JobId, (Duration, bool)> = BTreeMap::new();
        for batch in &self.batches {
            let there = batch.jobs.iter().filter(|job| is_stored.contains(job)).count();
            let (first, many) = (batch.jobs.first(), batch.jobs.len());
            let mut broken = |promise: Promise, what: String| {
                faults.push(format!("{promise}: the batch of {many} jobs from {first:?} on {what}"));
            };
            match batch.fate {
                Fate::Stored(_) if there < many => {
                    broken(Promise::NoLostAck, format!("was acknowledged, and {there} of them are stored"));
                }
                Fate::Unknown if there > 0 && there < many => {
                    broken(Promise::BatchAtomic, format!("is stored in part: {there} of them"));
                }
                Fate::Stored(_) | Fate::Unknown | Fate::Refused => {}
            }
            for job in &batch.jobs {
                let entry = asked.entry(*job).or_insert((batch.asked_at, false));
                entry.0 = entry.0.min(batch.asked_at);
                entry.1 |= batch.fate != Fate::Refused;
            }
        }
        for job in &is_stored {
            match asked.get(job) {
                Some((_, true)) => {}
                Some((_, false)) => {
                    fault(faults, Promise::NoPhantom, format!("job {job} is stored although it was refused"));
                }
                None => fault(faults, Promise::NoPhantom, format!("job {job} was enqueued by nobody")),
            }
        }
        for job in is_stored.difference(&ended) {
            fault(faults, Promise::NoLostAck, format!("job {job} has not ended"));
        }
        for (job, account) in &self.jobs {
            let first = account.held.iter().map(|held| held.answered_at).min();
            let enqueued = asked.get(job).map(|asked| asked.0);
            if first.is_some_and(|first| enqueued.is_none_or(|enqueued| first < enqueued)) {
                fault(faults, Promise::NoPhantom, format!("job {job} ran before it was enqueued"));
            }
        }
    }

    /// Between two leases of a job the first came to its end: it was given back, or its worker lost.
    fn check_leases(&self, account: &Account, faults: &mut Faults) {
        for pair in account.held.windows(2) {
            let [first, second] = pair else { continue };
            if first.claim == second.claim {
                continue;
            }
            let taken_at = second.answered_at;
            let is_end =
                |end: &Ended| end.ending.gives_back() && end.answer.may_be_done() && end.asked_at <= taken_at;
            if !first.ends.iter().any(is_end) && !self.may_be_lost(first, taken_at) {
                let (holder, taker) = (self.holder(first), self.holder(second));
                fault(faults, Promise::SingleLiveLease, format!("was taken from {holder} by {taker}"));
            }
        }
    }

    /// A lease is lost only by a worker that was given up, or ended it itself without learning so.
    fn check_answers(&self, account: &Account, faults: &mut Faults) {
        for held in &account.held {
            let mut may_have_ended = false;
            for end in &held.ends {
                match end.answer {
                    Answer::Is(at, End::LeaseLost) if !may_have_ended && !self.may_be_lost(held, at) => {
                        let holder = self.holder(held);
                        fault(faults, Promise::SingleLiveLease, format!("was lost to {holder}, which lives"));
                    }
                    answer => may_have_ended |= answer.may_be_done(),
                }
            }
        }
    }

    fn may_be_lost(&self, held: &Held, moment: Duration) -> bool {
        self.testimonies[held.by].may_be_lost(held.worker, moment, &self.beats[held.by])
    }

    fn holder(&self, held: &Held) -> String {
        format!(
            "{} ({:?}, attempt {}, asked {:?}, answered {:?})",
            self.testimonies[held.by].name, held.claim, held.attempt, held.asked_at, held.answered_at
        )
    }
}

/// Each start of a handler has a claim of its own.
fn check_starts(account: &Account, faults: &mut Faults) {
    let of = |attempt: u32| account.starts.iter().filter(|&&start| start == attempt).count();
    for attempt in account.starts.iter().copied().collect::<BTreeSet<_>>() {
        let claims = account.held.iter().filter(|held| held.attempt == attempt).count();
        if of(attempt) > claims {
            let starts = of(attempt);
            let what = format!("started {starts} times as attempt {attempt}, of {claims} claims");
            fault(faults, Promise::SingleLiveLease, what);
        }
    }
}

/// The job ended as the holder of its lease was told, or as a cancel or a rescue may have ended it.
fn check_outcome(account: &Account, outcome: &OutcomeRow, faults: &mut Faults) {
    for held in &account.held {
        for end in held.ends.iter().filter(|end| !end.ending.gives_back()) {
            let is_done = matches!(end.answer, Answer::Is(_, End::Done));
            if is_done && (outcome.claim != Some(held.claim) || !end.ending.ends_as(outcome.state)) {
                let what = format!("was ended by {:?} as {:?}, and is {outcome:?}", held.claim, end.ending);
                fault(faults, Promise::TerminalFinal, what);
            }
        }
    }
    let winner = account.held.iter().find(|held| Some(held.claim) == outcome.claim);
    match (outcome.claim, winner) {
        (Some(_), Some(winner)) => check_winner(winner, outcome, faults),
        (Some(claim), None) => {
            fault(faults, Promise::FencedSettle, format!("was ended by {claim:?}, which nobody made"));
        }
        (None, _) if outcome.state == State::Cancelled => {
            let may_be = |met: &Option<(Duration, Met)>| met.is_none_or(|(_, met)| met == Met::Waiting);
            if !account.cancels.iter().any(|(_, met)| may_be(met)) {
                fault(faults, Promise::CancelLinearizable, "is cancelled, which nobody was told");
            }
        }
        (None, _) if outcome.attempt != u32::from(outcome.max_retries) + 1 => {
            fault(faults, Promise::AttemptBound, format!("died with attempts left: {outcome:?}"));
        }
        (None, _) => {}
    }
    check_cancels(account, outcome, faults);
}

fn check_winner(winner: &Held, outcome: &OutcomeRow, faults: &mut Faults) {
    let fits = |end: &Ended| {
        let result = match &end.ending {
            Ending::Complete(result) => result.as_ref(),
            _ => None,
        };
        end.answer.may_be_done() && end.ending.ends_as(outcome.state) && result == outcome.result.as_ref()
    };
    if !winner.ends.iter().any(fits) {
        let what = format!("is {outcome:?}, for which its lease was not settled: {:?}", winner.ends);
        fault(faults, Promise::ResultIffComplete, what);
    }
    if winner.attempt != outcome.attempt {
        let what = format!("ended as attempt {}, and was claimed as {}", outcome.attempt, winner.attempt);
        fault(faults, Promise::AttemptBound, what);
    }
}

/// What was cancelled before it started never starts, what was found finished stays as it was found, and what
/// is there is found.
fn check_cancels(account: &Account, outcome: &OutcomeRow, faults: &mut Faults) {
    for &(asked_at, met) in &account.cancels {
        let Some((at, met)) = met else { continue };
        let runs = account.held.iter().any(|held| held.asked_at > at || held.outlived(at));
        let is_known = account.acknowledged_at.is_some_and(|known| known <= asked_at);
        let what = match met {
            Met::Waiting if outcome.state != State::Cancelled => format!("was cancelled, and is {outcome:?}"),
            Met::Finished(state) if outcome.state != state => {
                format!("was found {state} by a cancel, and is {outcome:?}")
            }
            Met::Waiting | Met::Finished(_) if runs => format!("met a cancel ({met:?}), and runs"),
            // It is still stored, so it was not pruned before.
            Met::Nothing if is_known => "was acknowledged, and a cancel did not find it".to_owned(),
            _ => continue,
        };
        fault(faults, Promise::CancelLinearizable, what);
    }
}

fn fault(faults: &mut Faults, promise: Promise, what: impl AsRef<str>) {
    faults.push(format!("{promise}: {}", what.as_ref()));
}
