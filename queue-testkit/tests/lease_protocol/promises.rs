//! The promises that hold in each state, and rare states that the model must reach.

use stateright::Property;

use crate::protocol::Protocol;
use crate::rows::{ATTEMPTS, Claim, Final, Held, Job, Outcome, REGISTRATIONS, Stage, State, WorkerState};

pub(crate) const SINGLE_LIVE_LEASE: &str = "Q3: a leased job is leased to no other worker";
pub(crate) const LIVE_WORKERS_KEEP_LEASES: &str = "Q3, Q12: a rescue takes no job of a live worker in time";
pub(crate) const NO_LEASE_FOR_LOST_WORKER: &str = "Q3: a lost worker gets no lease";
pub(crate) const FENCED_SETTLE: &str = "Q4: only the token of the live lease changes a job";
pub(crate) const REPEATED_SETTLE: &str = "Q4: a repeated settle that ended a job returns Done";
pub(crate) const ATTEMPT_BOUND: &str = "Q7: no job is charged more attempts than its limit";
pub(crate) const TERMINAL_FINAL: &str = "Q8: a finished job never changes";
pub(crate) const CANCEL_BEFORE_START: &str = "Q9: a job reported as cancelled did not run and never starts";
pub(crate) const RESULT_IFF_COMPLETE: &str =
    "Q10: a completed job has the winner's result, any other job has none";
pub(crate) const EXPIRY_RECOVERS: &str = "Q11: whatever processes died, every job can end";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    let mut all = promises();
    all.extend(rare_states());
    all
}

fn promises() -> Vec<Property<Protocol>> {
    vec![
        Property::always(SINGLE_LIVE_LEASE, |_, state: &State| !state.violations.second_lease),
        Property::always(LIVE_WORKERS_KEEP_LEASES, |_, state: &State| {
            !state.violations.taken_from_live_worker
        }),
        Property::always(NO_LEASE_FOR_LOST_WORKER, |_, state: &State| {
            !state.violations.lease_for_lost_worker
        }),
        Property::always(FENCED_SETTLE, |_, state: &State| !state.violations.stale_settle),
        Property::always(REPEATED_SETTLE, |_, state: &State| !state.violations.refused_repeated_settle),
        Property::always(ATTEMPT_BOUND, |_, state: &State| state.jobs.iter().all(is_within_attempts)),
        Property::always(TERMINAL_FINAL, |_, state: &State| state.jobs.iter().all(is_final)),
        Property::always(CANCEL_BEFORE_START, |_, state: &State| {
            !state.violations.cancelled_while_running && state.jobs.iter().all(never_starts_once_cancelled)
        }),
        Property::always(RESULT_IFF_COMPLETE, |_, state: &State| {
            state.jobs.iter().all(has_result_if_complete)
        }),
        Property::always(EXPIRY_RECOVERS, |protocol: &Protocol, state| {
            protocol.after_recovery(state).jobs.iter().all(|job| job.outcome().is_some())
        }),
    ]
}

/// Checks the stored attempts and the count of leases.
fn is_within_attempts(job: &Job) -> bool {
    job.attempt <= ATTEMPTS && job.past.grants - job.past.refunds <= ATTEMPTS
}

fn is_final(job: &Job) -> bool {
    job.past.first_end.as_ref().is_none_or(|end| job.outcome() == Some(end))
}

fn never_starts_once_cancelled(job: &Job) -> bool {
    let is_cancelled = job.outcome().is_some_and(|outcome| outcome.state == Final::Cancelled);
    job.past.cancelled_after.is_none_or(|grants| is_cancelled && job.past.grants == grants)
}

fn has_result_if_complete(job: &Job) -> bool {
    match job.outcome() {
        Some(outcome) if outcome.state == Final::Completed => job.result == outcome.winner,
        _ => job.result.is_none(),
    }
}

/// A check that never reaches one of these states has not tested it.
fn rare_states() -> Vec<Property<Protocol>> {
    vec![
        Property::sometimes(
            "a process holds a stale lease of a job that another process runs",
            |_, state: &State| {
                any_held(state, |job, process, _| {
                    job.lease().is_some_and(|lease| lease.worker.process != process)
                })
            },
        ),
        Property::sometimes("a process holds two leases of one job", |_, state: &State| {
            state.processes.iter().any(|process| process.held.iter().any(|held| held.len() > 1))
        }),
        Property::sometimes("a settle of unknown outcome has ended its job", |_, state: &State| {
            any_held(state, |job, _, held| {
                held.unknown.is_some()
                    && job.outcome().is_some_and(|outcome| outcome.winner == Some(held.grant))
            })
        }),
        Property::sometimes(
            "a settle of unknown outcome is lost, and another process completed its job",
            |_, state: &State| {
                any_held(state, |job, _, held| {
                    held.unknown.is_some() && job.result.is_some_and(|winner| winner != held.grant)
                })
            },
        ),
        Property::sometimes(
            "the reply of a claim is lost, and a rescue takes its leases",
            |_, state: &State| {
                state.processes.iter().any(|process| {
                    let Claim::Unknown(taken) = process.claim else { return false };
                    taken
                        .iter()
                        .zip(&state.jobs)
                        .any(|(grant, job)| grant.is_some() && job.stage == Stage::Ready)
                })
            },
        ),
        Property::sometimes("a worker is rescued while its claim has picked jobs", |_, state: &State| {
            state.rescue.as_ref().is_some_and(|rescue| {
                let process = &state.processes[rescue.worker.process];
                process.identity == Some(rescue.worker) && matches!(process.claim, Claim::Picked(_))
            })
        }),
        Property::sometimes("a lost worker still has a lease", |_, state: &State| {
            state
                .jobs
                .iter()
                .filter_map(Job::lease)
                .any(|lease| state.worker_state(lease.worker) == WorkerState::Lost)
        }),
        Property::sometimes("a job completes after a cancel request", |_, state: &State| {
            state.jobs.iter().any(|job| job.cancel_wanted && job.result.is_some())
        }),
        Property::sometimes("a job runs again after a cancel request", |_, state: &State| {
            state.jobs.iter().any(|job| job.cancel_wanted && job.lease().is_some_and(|lease| lease.grant > 1))
        }),
        Property::sometimes("a job is dead because its worker was lost", |_, state: &State| {
            any_outcome(state, |job| job.state == Final::Dead && job.winner.is_none())
        }),
        Property::sometimes("a job is dead because its last attempt failed", |_, state: &State| {
            any_outcome(state, |job| job.state == Final::Dead && job.winner.is_some())
        }),
        Property::sometimes(
            "no process can register again, and every job is completed",
            |_, state: &State| {
                state.registrations() == REGISTRATIONS && state.jobs.iter().all(|job| job.result.is_some())
            },
        ),
    ]
}

fn any_held(state: &State, is_so: impl Fn(&Job, usize, &Held) -> bool) -> bool {
    state.processes.iter().enumerate().any(|(number, process)| {
        let mut held = process.held.iter().zip(&state.jobs);
        held.any(|(held, job)| held.iter().any(|held| is_so(job, number, held)))
    })
}

fn any_outcome(state: &State, is_so: impl Fn(&Outcome) -> bool) -> bool {
    state.jobs.iter().filter_map(Job::outcome).any(is_so)
}
