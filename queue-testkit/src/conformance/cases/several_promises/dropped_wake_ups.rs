//! Q13, Q9: an operation whose future is dropped wakes, if it took effect.

use std::time::Duration;

use anyhow::Context as _;
use queue_core::backend::{CancelRequest, MaintainRequest, RetryRequest, SettleRequest, Settlement};
use queue_core::testing::drop_after;
use queue_core::{JobId, JobState, Token, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, queue, release};
use crate::conformance::wakes::announced;

cases! {
    Fast q13_a_dropped_claim_wakes_for_what_it_promoted,
    Fast q13_a_dropped_release_wakes,
    Fast q13_a_dropped_promotion_wakes,
    Fast q13_a_dropped_rescue_wakes,
    Fast q13_a_dropped_retry_wakes [Manage],
    Fast q13_a_dropped_resume_wakes [Manage],
    Fast q09_a_dropped_signal_is_announced,
}

/// More polls than most backends need. Later ones are not tried.
const MOST_POLLS: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Claim,
    Release,
    Promotion,
    Rescue,
    Retry,
    Resume,
    Signal,
}

/// A job, and the worker and lease that the operation needs.
struct Target {
    job: JobId,
    worker: WorkerId,
    token: Option<Token>,
    priority: i16,
}

async fn q13_a_dropped_claim_wakes_for_what_it_promoted(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Claim).await
}

async fn q13_a_dropped_release_wakes(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Release).await
}

async fn q13_a_dropped_promotion_wakes(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Promotion).await
}

async fn q13_a_dropped_rescue_wakes(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Rescue).await
}

async fn q13_a_dropped_retry_wakes(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Retry).await
}

async fn q13_a_dropped_resume_wakes(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Resume).await
}

async fn q09_a_dropped_signal_is_announced(kit: &Kit) -> CaseResult {
    wakes_if_it_took_effect(kit, Operation::Signal).await
}

/// Drops the operation after 0, 1, 2, … polls, each time on a job of its own, until it returns. If
/// the rows show its effect, a subscriber must be woken.
async fn wakes_if_it_took_effect(kit: &Kit, operation: Operation) -> CaseResult {
    for polls in 0..MOST_POLLS {
        let target = prepare(kit, operation, i16::try_from(polls)? + 1).await?;
        let mut receiver = kit.backend()?.subscribe();
        let is_answered = drop_after(polls, request(kit, operation, &target)).await.transpose()?.is_some();
        if is_answered || has_happened(kit, operation, &target).await? {
            let is_named =
                |hint: &queue_core::backend::Hint| hint.priority == target.priority && hint.due_in.is_zero();
            let woken = announced(&mut receiver, |wakes| match operation {
                Operation::Signal => wakes.cancels.contains(&target.job),
                _ => wakes.ready.iter().any(is_named),
            });
            let what = || format!("the {operation:?} of {}, dropped after {polls} polls", target.job);
            woken.await.with_context(what)?;
        }
        if is_answered {
            return Ok(());
        }
        remove(kit, operation, &target).await?;
    }
    Ok(())
}

/// Brings a job into the state in which the operation makes it ready.
async fn prepare(kit: &Kit, operation: Operation, priority: i16) -> anyhow::Result<Target> {
    let (worker, later) = (kit.worker().await?, kit.now().saturating_add(EXPIRY));
    let spec = kit.spec("job").priority(priority);
    let is_scheduled = matches!(operation, Operation::Claim | Operation::Promotion);
    let job = kit.insert_one(if is_scheduled { spec.run_at(later) } else { spec }).await?;
    let mut token = None;
    match operation {
        Operation::Claim => {
            // Another job for the claim, which takes one and leaves one.
            kit.insert_one(kit.spec("job").priority(i16::MAX).run_at(later)).await?;
        }
        Operation::Release | Operation::Rescue | Operation::Signal => {
            token = Some(kit.claim_one(worker).await?.token);
        }
        Operation::Retry => drop(kit.cancel(job).await?),
        Operation::Resume => pause(kit).await?,
        Operation::Promotion => {}
    }
    if is_scheduled || operation == Operation::Rescue {
        kit.advance(EXPIRY - Duration::from_secs(1));
        kit.heartbeat(worker).await?;
        kit.advance(Duration::from_secs(if operation == Operation::Rescue { EXPIRY.as_secs() } else { 1 }));
    }
    Ok(Target { job, worker, token, priority })
}

async fn pause(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    Ok(manage.pause(&queue("default")?).await?)
}

async fn request(kit: &Kit, operation: Operation, target: &Target) -> CaseResult {
    let (backend, now) = (kit.backend()?, kit.now());
    let manage = || backend.extensions().manage.context("the backend offers no `manage`");
    match operation {
        Operation::Claim => drop(kit.claim(target.worker, 1).await?),
        Operation::Release => {
            let token = target.token.context("there is no lease")?;
            let settlements = vec![Settlement::new(token, release())];
            backend.settle(SettleRequest::new(target.worker, settlements).at(now)).await?;
        }
        Operation::Promotion => drop(backend.maintain(MaintainRequest::promote(9).at(now)).await?),
        Operation::Rescue => drop(backend.maintain(MaintainRequest::rescue(9).at(now)).await?),
        Operation::Retry => drop(manage()?.retry(RetryRequest::new(vec![target.job]).at(now)).await?),
        Operation::Resume => manage()?.resume(&queue("default")?).await?,
        Operation::Signal => {
            backend.cancel(CancelRequest::new(vec![target.job]).signal_running().at(now)).await?;
        }
    }
    Ok(())
}

async fn has_happened(kit: &Kit, operation: Operation, target: &Target) -> anyhow::Result<bool> {
    let backend = kit.backend()?;
    Ok(match (operation, backend.extensions().manage) {
        (Operation::Signal, _) => kit.heartbeat(target.worker).await?.cancels.contains(&target.job),
        (Operation::Resume, Some(manage)) => manage.paused().await?.is_empty(),
        _ => kit.state(target.job).await? == JobState::Ready,
    })
}

/// Takes all jobs away, so that the next round finds its own.
async fn remove(kit: &Kit, operation: Operation, target: &Target) -> CaseResult {
    if operation == Operation::Resume {
        request(kit, operation, target).await?;
    }
    for row in kit.stored().await?.live {
        if let (Some(claim), Some(worker)) = (row.claim, row.worker) {
            for job in kit.leases(worker, claim).await? {
                kit.settle_one(job.token, release()).await?;
            }
        }
        kit.cancel(row.id).await?;
    }
    Ok(())
}
