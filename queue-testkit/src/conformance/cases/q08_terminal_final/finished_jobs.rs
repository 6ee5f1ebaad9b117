//! Q8: a finished job never changes.

use std::time::Duration;

use queue_core::backend::{CancelReply, Settled};
use queue_core::{ErrorKind, JobId, JobState, Timestamp, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, cancelled, complete_with, release, retry, snooze};
use crate::conformance::spec::Spec;

cases! {
    Fast q08_cancel_leaves_a_finished_job_and_says_how_it_ended,
    Fast q08_no_other_settle_moves_a_finished_job,
    Fast q08_a_finished_job_is_never_claimed_again,
    Fast q08_upkeep_leaves_finished_jobs_alone,
    Fast q08_inserting_again_revives_nothing,
    Fast q08_a_finished_job_takes_no_progress,
}

/// A finished job.
struct Ended {
    spec: Spec,
    id: JobId,
    state: JobState,
    /// `None` if the job ended without a lease.
    token: Option<Token>,
}

async fn one_of_each(kit: &Kit) -> anyhow::Result<Vec<Ended>> {
    let worker = kit.worker().await?;
    let ends = [
        (complete_with(b"done"), JobState::Completed),
        (bury("hopeless"), JobState::Dead),
        (cancelled("not wanted"), JobState::Cancelled),
    ];
    let mut all = Vec::new();
    for (verdict, state) in ends {
        let spec = kit.spec("job");
        let id = kit.insert_one(spec.clone()).await?;
        let token = kit.claim_one(worker).await?.token;
        kit.settle_one(token, verdict).await?;
        all.push(Ended { spec, id, state, token: Some(token) });
    }
    let spec = kit.spec("job");
    let id = kit.insert_one(spec.clone()).await?;
    kit.cancel(id).await?;
    all.push(Ended { spec, id, state: JobState::Cancelled, token: None });
    Ok(all)
}

/// A caller cancels finished jobs, with and without `IfRunning::Signal`. The reply must be the
/// final state, and the job must not change.
async fn q08_cancel_leaves_a_finished_job_and_says_how_it_ended(kit: &Kit) -> CaseResult {
    for ended in one_of_each(kit).await? {
        let before = kit.record(ended.id).await?;
        kit.advance(Duration::from_secs(1));
        let expected = CancelReply::Finished(ended.state);
        ensure_eq!(kit.cancel(ended.id).await?, expected, "the reply to a cancel of a {} job", ended.state);
        ensure_eq!(
            kit.cancel_running(ended.id).await?,
            expected,
            "the reply to a cancel with a signal of a {} job",
            ended.state
        );
        ensure_eq!(kit.record(ended.id).await?, before, "the {} job after the cancels", ended.state);
    }
    Ok(())
}

/// A finished job is settled with its own token or with one that was never issued. Each other
/// verdict must return `LeaseLost` and change nothing.
async fn q08_no_other_settle_moves_a_finished_job(kit: &Kit) -> CaseResult {
    for ended in one_of_each(kit).await? {
        let before = kit.record(ended.id).await?;
        let forged = Token { job: ended.id, claim: kit.new_claim_id() };
        for token in ended.token.into_iter().chain([forged]) {
            for verdict in [release(), snooze(0), snooze(9)] {
                let what = format!("{verdict:?} of a {} job", ended.state);
                ensure_eq!(kit.settle_one(token, verdict).await?, Settled::LeaseLost, "the reply to {what}");
            }
        }
        for verdict in [complete_with(b"other"), bury("x"), cancelled("x"), retry("x", 0)] {
            let what = format!("{verdict:?} of a {} job by a forged token", ended.state);
            ensure_eq!(kit.settle_one(forged, verdict).await?, Settled::LeaseLost, "the reply to {what}");
        }
        ensure_eq!(kit.record(ended.id).await?, before, "the {} job after the settles", ended.state);
    }
    Ok(())
}

/// Workers claim now and at the greatest time. No finished job may be returned.
async fn q08_a_finished_job_is_never_claimed_again(kit: &Kit) -> CaseResult {
    one_of_each(kit).await?;
    for time in [kit.now(), Timestamp::MAX] {
        kit.set_clock(time);
        let worker = kit.worker().await?;
        for _ in 0..2 {
            ensure_eq!(kit.claim(worker, 10).await?, [], "a claim at {time}");
        }
    }
    Ok(())
}

/// The worker is lost after its jobs have ended. Neither promotion nor rescue may change them.
async fn q08_upkeep_leaves_finished_jobs_alone(kit: &Kit) -> CaseResult {
    let all = one_of_each(kit).await?;
    let mut before = Vec::new();
    for ended in &all {
        before.push(kit.record(ended.id).await?);
    }
    kit.advance(EXPIRY * 1000);
    ensure_eq!(kit.promote(10).await?.promoted, 0, "the number of jobs promoted");
    let reply = kit.rescue(10).await?;
    ensure_eq!(
        (reply.rescued, reply.died, reply.workers_lost),
        (0, 0, 1),
        "the numbers of jobs rescued, jobs dead and workers lost"
    );
    for (ended, before) in all.iter().zip(before) {
        ensure_eq!(kit.record(ended.id).await?, before, "the {} job after the upkeep", ended.state);
    }
    Ok(())
}

/// A finished job is inserted again. The same content must be known, other content must return
/// `Conflict`, and the job must not change.
async fn q08_inserting_again_revives_nothing(kit: &Kit) -> CaseResult {
    for ended in one_of_each(kit).await? {
        let before = kit.record(ended.id).await?;
        let again = kit.try_insert(vec![ended.spec.clone()]).await??;
        ensure_eq!(
            (again[0].id, again[0].is_new()),
            (ended.id, false),
            "the reply to the repeated insert of a {} job",
            ended.state
        );
        fails_with(kit.try_insert(vec![ended.spec.payload("[0]")]).await?, ErrorKind::Conflict)?;
        ensure_eq!(kit.record(ended.id).await?, before, "the {} job after the inserts", ended.state);
    }
    Ok(())
}

/// A worker reports progress for a finished job, as a heartbeat in flight may do. The job must not
/// change.
async fn q08_a_finished_job_takes_no_progress(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for ended in one_of_each(kit).await? {
        let before = kit.record(ended.id).await?;
        if let Some(token) = ended.token {
            kit.report_progress(worker, token, 50).await?;
        }
        ensure_eq!(kit.record(ended.id).await?, before, "the {} job after the report", ended.state);
    }
    Ok(())
}
