//! Q3, Q4, Q7, Q9, Q10, Q11, Q16, Q17: a request of unknown outcome can be repeated.

use std::collections::BTreeSet;

use anyhow::ensure;
use queue_core::backend::{CancelReply, CancelRequest, InsertRequest, MaintainRequest, Settled};
use queue_core::{Enqueuer as _, ErrorKind, JobId, JobQueue, JobSpec, JobState, WorkerId};

use crate::conformance::act::{persist, unique_queue};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::fault::{DOUBTS, Fault};
use crate::conformance::kit::Kit;
use crate::conformance::program::new_job;
use crate::conformance::session::{
    EXPIRY, bury, cancelled, complete, complete_then, complete_with, release, retry, snooze,
};
use crate::conformance::wait::in_time;

cases! {
    Fault q03_a_claim_of_unknown_outcome_shares_no_job_with_another on DOUBTS,
    Fault q04_a_settle_of_unknown_outcome_is_done_by_doing_it_again on DOUBTS,
    Fault q06_the_follow_up_of_an_unknown_completion_is_stored_once [FollowUps] on DOUBTS,
    Fault q07_a_claim_of_unknown_outcome_charges_once on DOUBTS,
    Fault q09_a_cancel_of_unknown_outcome_is_done_by_doing_it_again on DOUBTS,
    Fault q10_the_result_of_an_unknown_completion_is_stored_once on DOUBTS,
    Fault q11_a_rescue_of_unknown_outcome_takes_each_lease_once on DOUBTS,
    Fault q16_an_insert_of_unknown_outcome_is_done_by_doing_it_again on DOUBTS,
    Fault q16_an_insert_of_unknown_outcome_names_the_ids_that_were_chosen_for_it on LOST,
    Fault q17_a_pause_of_unknown_outcome_is_done_by_doing_it_again [Manage] on DOUBTS,
}

const LOST: &[Fault] = &[Fault::RequestLost, Fault::ReplyLost];

/// The number of rounds, because the fault strikes at different moments.
const ROUNDS: usize = 4;

/// How often a request may fail with `Unavailable` before the fault strikes it.
const ATTEMPTS: usize = 5;

/// Runs an operation under the fault, whose outcome must then be unknown. Repeats it if it returns
/// `Unavailable`, because the fault may strike a request that the handle makes by itself.
pub(super) async fn in_doubt<T: std::fmt::Debug, F>(
    kit: &Kit,
    target: &[u8],
    operation: impl Fn() -> F,
) -> anyhow::Result<queue_core::Error>
where
    F: Future<Output = anyhow::Result<queue_core::Result<T>>>,
{
    let handle = kit.impatient();
    for _ in 1..ATTEMPTS {
        match under_the_fault(kit, target, operation()).await? {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let (unknown_worker, unknown_claim) = (WorkerId::generate(), kit.new_claim_id());
                persist("leases", || async { Ok(handle.try_leases(unknown_worker, unknown_claim).await) })
                    .await??;
            }
            answer => return fails_with(answer, ErrorKind::UnknownOutcome),
        }
    }
    fails_with(under_the_fault(kit, target, operation()).await?, ErrorKind::UnknownOutcome)
}

async fn under_the_fault<T>(
    kit: &Kit,
    target: &[u8],
    operation: impl Future<Output = anyhow::Result<queue_core::Result<T>>>,
) -> anyhow::Result<queue_core::Result<T>> {
    let broken = kit.inject(target).await?;
    let answer = in_time("an answer", operation).await??;
    broken.mend().await?;
    Ok(answer)
}

/// Whether the storage executed the request, if the kind of fault determines it.
fn was_done(kit: &Kit) -> anyhow::Result<Option<bool>> {
    Ok(match kit.fault()? {
        Fault::ReplyLost => Some(true),
        Fault::RequestLost => Some(false),
        _ => None,
    })
}

/// A claim has an unknown outcome. All its jobs must be leased under its claim id, or none. Another
/// worker must get exactly the rest.
async fn q03_a_claim_of_unknown_outcome_shares_no_job_with_another(kit: &Kit) -> CaseResult {
    for _ in 0..ROUNDS {
        let jobs: BTreeSet<JobId> =
            kit.insert((0..10).map(|_| kit.spec("job")).collect()).await?.into_iter().collect();
        let (worker, other, claim) = (kit.worker().await?, kit.worker().await?, kit.new_claim_id());
        let handle = kit.impatient();
        in_doubt(kit, &claim.to_bytes(), || handle.claiming(worker, 6).claim_id(claim).attempt()).await?;
        let leases = persist("leases", || async { Ok(handle.try_leases(worker, claim).await) }).await??;
        ensure!(leases.is_empty() || leases.len() == 6, "{} of 6 jobs are leased", leases.len());
        if let Some(was_done) = was_done(kit)? {
            ensure_eq!(leases.len(), if was_done { 6 } else { 0 }, "the number of leases of the claim");
        }
        let rest = kit.claim(other, 20).await?;
        let all: Vec<JobId> = leases.iter().chain(&rest).map(|job| job.token.job).collect();
        ensure_eq!(all.len(), jobs.len(), "the number of jobs in both claims together");
        ensure_eq!(all.into_iter().collect::<BTreeSet<_>>(), jobs, "the jobs in both claims");
        let ends: Vec<_> = leases.iter().chain(&rest).map(|job| (job.token, complete())).collect();
        ensure!(kit.settle(ends).await?.iter().all(|settled| *settled == Settled::Done), "a lease was lost");
    }
    Ok(())
}

/// A settle has an unknown outcome. The same settle again must return `Done` if the verdict ends
/// the job, and may return `LeaseLost` otherwise. Another verdict must return `LeaseLost`.
async fn q04_a_settle_of_unknown_outcome_is_done_by_doing_it_again(kit: &Kit) -> CaseResult {
    let verdicts =
        [complete(), retry("failed", 60), bury("hopeless"), snooze(60), cancelled("unwanted"), release()];
    for verdict in verdicts {
        let id = kit.insert_one(kit.spec("job").priority(9)).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        let handle = kit.impatient();
        let settle = || handle.try_settle(vec![(token, verdict.clone())]);
        in_doubt(kit, &id.to_bytes(), &settle).await?;
        let again = persist("settle", settle).await??.remove(0)?;
        if verdict.final_state().is_some() {
            ensure_eq!(again, Settled::Done, "the reply to {verdict:?} the second time");
        } else if let Some(was_done) = was_done(kit)? {
            let expected = if was_done { Settled::LeaseLost } else { Settled::Done };
            ensure_eq!(again, expected, "the reply to {verdict:?} the second time");
        }
        let record = kit.record(id).await?;
        let expected = match verdict {
            queue_core::backend::Verdict::Retry { .. } => (JobState::Retrying, 1),
            queue_core::backend::Verdict::Snooze { .. } => (JobState::Scheduled, 0),
            queue_core::backend::Verdict::Release => (JobState::Ready, 0),
            _ => (verdict.final_state().unwrap_or(JobState::Running), 1),
        };
        ensure_eq!((record.state, record.attempt), expected, "the state and attempt after {verdict:?}");
        let other = if matches!(verdict, queue_core::backend::Verdict::Bury { .. }) {
            complete()
        } else {
            bury("no")
        };
        ensure_eq!(
            kit.settle_one(token, other).await?,
            Settled::LeaseLost,
            "the reply to another verdict after {verdict:?}"
        );
        kit.cancel(id).await?;
    }
    Ok(())
}

/// A claim has an unknown outcome. Leases that the worker releases must cost no attempt. Leases
/// that are rescued at its expiry must cost one.
async fn q07_a_claim_of_unknown_outcome_charges_once(kit: &Kit) -> CaseResult {
    let jobs = kit.insert((0..5).map(|_| kit.spec("job")).collect()).await?;
    for round in 0..2 {
        let (worker, claim, handle) = (kit.worker().await?, kit.new_claim_id(), kit.impatient());
        in_doubt(kit, &claim.to_bytes(), || handle.claiming(worker, 5).claim_id(claim).attempt()).await?;
        let held = persist("leases", || async { Ok(handle.try_leases(worker, claim).await) }).await??;
        if round == 0 && !held.is_empty() {
            kit.settle(held.iter().map(|job| (job.token, release())).collect()).await?;
        }
        kit.advance(EXPIRY);
        let rescued = kit.rescue(100).await?.rescued;
        let taken = if round == 0 { 0 } else { u64::try_from(held.len())? };
        ensure_eq!(rescued, taken, "the number of leases rescued in round {round}");
        for job in &jobs {
            let record = kit.record(*job).await?;
            let charged = u32::from(taken > 0);
            ensure_eq!(
                (record.state, record.attempt),
                (JobState::Ready, charged),
                "the state and attempt in round {round}"
            );
        }
    }
    Ok(())
}

/// A cancel of five jobs has an unknown outcome. All must be cancelled by the first request or all
/// by the second, and none may start.
async fn q09_a_cancel_of_unknown_outcome_is_done_by_doing_it_again(kit: &Kit) -> CaseResult {
    for _ in 0..ROUNDS {
        let jobs = kit.insert((0..5).map(|_| kit.spec("job")).collect()).await?;
        let backend = kit.impatient().backend()?;
        let request = CancelRequest::new(jobs.clone()).at(kit.now());
        let cancel = || async { Ok(backend.cancel(request.clone()).await) };
        in_doubt(kit, &jobs[2].to_bytes(), &cancel).await?;
        let again = persist("cancel", cancel).await??;
        let (first, second) = (CancelReply::Finished(JobState::Cancelled), CancelReply::Cancelled);
        let expected = match was_done(kit)? {
            Some(true) => vec![first; 5],
            Some(false) => vec![second; 5],
            None => vec![again[0]; 5],
        };
        ensure_eq!(again, expected, "the replies to the second cancel");
        ensure!(kit.claim(kit.worker().await?, 5).await?.is_empty(), "a cancelled job was claimed");
    }
    Ok(())
}

/// A completion has an unknown outcome and is repeated. Its result must be stored, and a different
/// result under the same token must change nothing.
async fn q10_the_result_of_an_unknown_completion_is_stored_once(kit: &Kit) -> CaseResult {
    for round in 0..ROUNDS {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        let result = format!("result {round}").into_bytes();
        let handle = kit.impatient();
        let settle = || handle.try_settle(vec![(token, complete_with(&result))]);
        in_doubt(kit, &id.to_bytes(), &settle).await?;
        persist("settle", settle).await??;
        // The token has already completed the job, so this settle must change nothing.
        kit.settle_one(token, complete_with(b"another")).await?;
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.result),
            (JobState::Completed, Some(result)),
            "the state and result"
        );
    }
    Ok(())
}

/// A completion with a follow-up has an unknown outcome and is repeated.
async fn q06_the_follow_up_of_an_unknown_completion_is_stored_once(kit: &Kit) -> CaseResult {
    for round in 1..=ROUNDS {
        let id = kit.insert_one(kit.spec("job")).await?;
        let token = kit.claim_one(kit.worker().await?).await?.token;
        let follow_up = kit.spec("job").queue("next").build()?;
        let handle = kit.impatient();
        let settle = || handle.try_settle(vec![(token, complete_then([follow_up.clone()]))]);
        in_doubt(kit, &id.to_bytes(), &settle).await?;
        persist("settle", settle).await??;
        ensure_eq!(kit.state(id).await?, JobState::Completed, "the state of the job");
        ensure_eq!(kit.state(follow_up.id).await?, JobState::Ready, "the state of the follow-up");
        ensure_eq!(kit.stored().await?.jobs.len(), 2 * round, "the number of stored jobs");
    }
    Ok(())
}

/// A rescue has an unknown outcome and is repeated. Each lease must be charged and recorded once,
/// and the worker must be lost.
async fn q11_a_rescue_of_unknown_outcome_takes_each_lease_once(kit: &Kit) -> CaseResult {
    for _ in 0..ROUNDS {
        let jobs = kit.insert((0..5).map(|_| kit.spec("job")).collect()).await?;
        let dead = kit.worker().await?;
        kit.claim(dead, 5).await?;
        kit.advance(EXPIRY);
        let by = kit.worker().await?;
        let backend = kit.impatient().backend()?;
        let request = MaintainRequest::rescue(100).by(by).at(kit.now());
        let rescue = || async { Ok(backend.maintain(request.clone()).await) };
        in_doubt(kit, &by.to_bytes(), &rescue).await?;
        let again = persist("rescue", rescue).await??;
        if let Some(was_done) = was_done(kit)? {
            ensure_eq!(
                again.rescued,
                if was_done { 0 } else { 5 },
                "the number of leases in the second rescue"
            );
        }
        for job in &jobs {
            let record = kit.record(*job).await?;
            let seen = (record.state, record.attempt, record.errors.len());
            ensure_eq!(seen, (JobState::Ready, 1, 1), "the state, attempt and number of errors");
            kit.cancel(*job).await?;
        }
        ensure!(kit.is_lost(dead).await?, "the worker whose leases were rescued is still alive");
    }
    Ok(())
}

/// An insert has an unknown outcome and is repeated. Each job must be stored once, and the replies
/// must be in batch order.
async fn q16_an_insert_of_unknown_outcome_is_done_by_doing_it_again(kit: &Kit) -> CaseResult {
    for round in 1..=ROUNDS {
        let specs = (0..7).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<JobSpec>>>()?;
        // The batch is not in id order.
        let specs: Vec<JobSpec> = (0..7).map(|place| specs[place * 3 % 7].clone()).collect();
        let ids: Vec<JobId> = specs.iter().map(|spec| spec.id).collect();
        let backend = kit.impatient().backend()?;
        let request = InsertRequest::new(vec![specs]).at(kit.now());
        let insert = || async {
            let reply = backend.insert(request.clone()).await;
            Ok(reply.and_then(|mut reply| reply.batches.remove(0)))
        };
        let error = in_doubt(kit, &ids[round].to_bytes(), &insert).await?;
        ensure!(error.is_retryable(), "the error is not marked as retryable: {error:?}");
        let again = persist("insert", insert).await??;
        ensure_eq!(again.iter().map(|job| job.id).collect::<Vec<_>>(), ids, "the jobs in the second reply");
        let expected = was_done(kit)?.map_or(again[0].is_new(), |was_done| !was_done);
        ensure!(again.iter().all(|job| job.is_new() == expected), "the second reply: {again:?}");
        ensure_eq!(kit.stored().await?.jobs.len(), round * 7, "the number of stored jobs");
    }
    Ok(())
}

/// A client submits jobs without ids, and the outcome is unknown. The error must name the generated
/// ids, and the caller can submit the same jobs with them.
async fn q16_an_insert_of_unknown_outcome_names_the_ids_that_were_chosen_for_it(kit: &Kit) -> CaseResult {
    const KIND: &str = "a-kind-of-its-own";
    let client = JobQueue::new(kit.impatient().backend()?);
    let job = || new_job(KIND, "{}");
    let submit = || async { Ok(client.submit(vec![job()?, job()?, job()?]).await) };
    let error = in_doubt(kit, KIND.as_bytes(), submit).await?;
    ensure_eq!(error.jobs().len(), 3, "the number of jobs that the error names");
    let again = || async {
        let jobs = error.jobs().iter().map(|id| Ok(job()?.id(*id)));
        Ok(client.submit(jobs.collect::<queue_core::Result<_>>()?).await)
    };
    let submitted = persist("insert", again).await??;
    ensure_eq!(submitted.iter().map(|job| job.id).collect::<Vec<_>>(), error.jobs(), "the jobs in the reply");
    let expected = was_done(kit)?.map(|was_done| !was_done);
    ensure!(submitted.iter().all(|job| Some(job.is_new()) == expected), "the second reply: {submitted:?}");
    ensure_eq!(kit.stored().await?.jobs.len(), 3, "the number of stored jobs");
    Ok(())
}

/// A pause or a resume has an unknown outcome and is repeated. The queue must be paused or resumed,
/// and other queues must be unchanged.
async fn q17_a_pause_of_unknown_outcome_is_done_by_doing_it_again(kit: &Kit) -> CaseResult {
    let backend = kit.impatient().backend()?;
    let looking = kit.backend()?;
    let (Some(manage), Some(looking)) = (backend.extensions().manage, looking.extensions().manage) else {
        return Ok(());
    };
    for _ in 0..ROUNDS {
        let queue = unique_queue(kit)?;
        let pause = || async { Ok(manage.pause(&queue).await) };
        in_doubt(kit, queue.as_str().as_bytes(), &pause).await?;
        persist("pause", pause).await??;
        ensure_eq!(looking.paused().await?, std::slice::from_ref(&queue), "the paused queues");
        let resume = || async { Ok(manage.resume(&queue).await) };
        in_doubt(kit, queue.as_str().as_bytes(), &resume).await?;
        persist("resume", resume).await??;
        ensure_eq!(looking.paused().await?, [], "the paused queues after the resume");
    }
    Ok(())
}
