//! The lease protocol in a model checker: two processes, and two jobs with two attempts. The
//! checker explores each order of their transactions, crashes, lost replies and expiries.
//!
//! The model is the contract of `queue_core::backend` at the level of rows. `live` and `outcomes`
//! are the stages of a [`Job`](rows::Job), and `workers` has one row per registration of a process.
//! The model takes the locks of a database. An operation is split into steps where its locks permit
//! another operation in between: a claim picks jobs, then checks its worker and commits. A rescue
//! locks an expired worker, then moves its leases. Settles, heartbeats and cancels are one guarded
//! statement, and one step.
//!
//! There is no clock. A rescue may find any worker expired and any lease overdue, because no
//! promise may depend on the time between two events. A process never forgets a lease that it may
//! have lost, or a settle without a reply. The model therefore covers each request that the slowest
//! worker may send late.
//!
//! Not in the model: claim order, batches with a bad item, pause, prune, retire, and a
//! rescue on behalf of a worker, which takes fewer leases. Random sequences and cases test those.

#![expect(clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

mod claiming;
mod faults;
mod promises;
mod protocol;
mod rows;
mod settling;
mod symmetry;
mod upkeep;

use faults::Fault;
use protocol::Protocol;
use stateright::{Checker, HasDiscoveries, Model};

/// With fewer states than this, the model no longer covers a part of the protocol.
const STATES: usize = 100_000;

#[test]
fn the_protocol_keeps_its_promises() {
    let checker = Protocol { fault: None }.checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} transitions, {} steps deep",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() > STATES, "{} states", checker.unique_state_count());
}

/// Prints the shortest sequence that breaks the promise.
fn breaks(fault: Fault, promise: &'static str) {
    let wanted = HasDiscoveries::AnyOf([promise].into());
    let checker = Protocol { fault: Some(fault) }.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let Some(path) = checker.discovery(promise) else {
        panic!("{fault:?} does not break \"{promise}\" in {} states", checker.unique_state_count());
    };
    println!("{fault:?} breaks \"{promise}\":");
    for action in path.into_actions() {
        println!("  {action:?}");
    }
}

#[test]
fn a_claim_that_does_not_lock_its_jobs_leases_one_twice() {
    breaks(Fault::ClaimWithoutJobLock, promises::SINGLE_LIVE_LEASE);
}

#[test]
fn a_claim_that_does_not_lock_its_worker_leases_to_one_that_was_given_up() {
    breaks(Fault::ClaimWithoutWorkerLock, promises::NO_LEASE_FOR_LOST_WORKER);
}

#[test]
fn a_settle_without_the_token_ends_a_lease_of_another() {
    breaks(Fault::SettleWithoutToken, promises::FENCED_SETTLE);
}

#[test]
fn a_token_used_twice_ends_the_later_lease_of_the_same_worker() {
    breaks(Fault::TokenReused, promises::FENCED_SETTLE);
}

#[test]
fn a_result_stored_before_the_fence_is_not_that_of_the_winner() {
    breaks(Fault::ResultBeforeFence, promises::RESULT_IFF_COMPLETE);
}

#[test]
fn an_outcome_without_its_token_denies_a_repeated_settle() {
    breaks(Fault::OutcomeWithoutToken, promises::REPEATED_SETTLE);
}

#[test]
fn a_retry_without_a_bound_charges_too_many_attempts() {
    breaks(Fault::RetryWithoutBound, promises::ATTEMPT_BOUND);
}

#[test]
fn a_rescue_that_refunds_lets_a_job_kill_workers_for_ever() {
    breaks(Fault::RescueRefunds, promises::ATTEMPT_BOUND);
}

#[test]
fn a_rescue_that_does_not_lock_the_worker_takes_the_jobs_of_a_living_one() {
    breaks(Fault::RescueWithoutWorkerLock, promises::LIVE_WORKERS_KEEP_LEASES);
}

#[test]
fn a_rescue_that_does_not_look_again_revives_a_finished_job() {
    breaks(Fault::RescueWithoutReread, promises::TERMINAL_FINAL);
}

#[test]
fn a_rescue_that_forgets_what_was_beyond_its_limit_leaves_a_job_for_ever() {
    breaks(Fault::RescueForgetsTheRest, promises::EXPIRY_RECOVERS);
}

#[test]
fn a_cancel_that_does_not_look_again_cancels_a_job_that_has_started() {
    breaks(Fault::CancelWithoutReread, promises::CANCEL_BEFORE_START);
}
