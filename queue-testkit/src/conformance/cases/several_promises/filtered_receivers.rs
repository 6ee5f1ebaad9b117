//! Q14, Q9, Q10: a receiver that wants only a part of the wake-ups is woken for each of that part.

use std::time::Duration;

use anyhow::ensure;
use queue_core::backend::{CancelRequest, Wakes};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::kit::Kit;
use crate::conformance::session::complete_then;
use crate::conformance::wakes::announced_to_one_that_waits;

cases! {
    Fast q14_a_receiver_of_jobs_learns_of_one_that_waits,
    Fast q09_a_receiver_of_jobs_learns_of_a_signal,
    Fast q10_a_receiver_of_ends_learns_of_one_that_makes_a_job_ready [Watch, FollowUps],
}

/// Jobs wait for a second, and for days. A receiver must learn of each, with a time that is not too
/// late.
async fn q14_a_receiver_of_jobs_learns_of_one_that_waits(kit: &Kit) -> CaseResult {
    for seconds in [1, 3600, 86_400 * 3] {
        let wait = Duration::from_secs(seconds);
        let mut receiver = kit.backend()?.subscribe().only_jobs();
        let insert = async {
            kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(wait))).await?;
            Ok(())
        };
        let wakes = announced_to_one_that_waits(&mut receiver, insert, |all| all.due_in.is_some()).await?;
        let due_in = wakes.due_in.unwrap_or_default();
        ensure!(due_in <= wait, "a job that waits for {wait:?} was announced for {due_in:?}");
    }
    Ok(())
}

/// A job runs, and is asked to stop. Nothing else happens.
async fn q09_a_receiver_of_jobs_learns_of_a_signal(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(kit.worker().await?).await?;
    let mut receiver = kit.backend()?.subscribe().only_jobs();
    let cancel = async {
        kit.backend()?.cancel(CancelRequest::new(vec![job]).signal_running().at(kit.now())).await?;
        Ok(())
    };
    announced_to_one_that_waits(&mut receiver, cancel, |all| all.cancels.contains(&job)).await?;
    Ok(())
}

/// A watched job completes with a follow-up, which is ready.
async fn q10_a_receiver_of_ends_learns_of_one_that_makes_a_job_ready(kit: &Kit) -> CaseResult {
    let job = kit.insert_one(kit.spec("job")).await?;
    kit.watch(&[job]).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    let mut receiver = kit.backend()?.subscribe().only_ends();
    let verdict = complete_then([kit.spec("follow").build()?]);
    let settle = async {
        kit.settle_one(token, verdict).await?;
        Ok(())
    };
    let is_named = |all: &Wakes| all.more_finished || all.finished.contains(&job);
    announced_to_one_that_waits(&mut receiver, settle, is_named).await?;
    Ok(())
}
