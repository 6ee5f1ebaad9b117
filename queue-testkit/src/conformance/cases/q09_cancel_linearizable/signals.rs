//! Q9: cancels of several running jobs.

use anyhow::ensure;
use queue_core::backend::{CancelReply, CancelRequest};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::release;
use crate::conformance::wakes::announced;

cases! {
    Fast q09_each_signalled_job_of_a_request_is_announced,
    Fast q09_a_cancel_that_leaves_running_jobs_takes_back_no_signal,
}

/// One request signals three running jobs of two workers, and cancels a waiting one between them. A
/// wake-up, and the heartbeats of the holders, must name each running job.
async fn q09_each_signalled_job_of_a_request_is_announced(kit: &Kit) -> CaseResult {
    let workers = [kit.worker().await?, kit.worker().await?];
    let jobs = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    kit.claim(workers[0], 2).await?;
    kit.claim(workers[1], 1).await?;
    let mut receiver = kit.backend()?.subscribe();
    let request = vec![jobs[0], jobs[3], jobs[1], jobs[2]];
    let replies = kit.backend()?.cancel(CancelRequest::new(request).signal_running().at(kit.now())).await?;
    let (running, done) = (CancelReply::Running, CancelReply::Cancelled);
    ensure_eq!(replies, [running, done, running, running], "the replies");
    announced(&mut receiver, |wakes| jobs[..3].iter().all(|job| wakes.cancels.contains(job))).await?;
    for (worker, held) in [(workers[0], &jobs[..2]), (workers[1], &jobs[2..3])] {
        let mut cancels = kit.heartbeat(worker).await?.cancels;
        cancels.sort();
        ensure_eq!(cancels, held, "the cancels in the heartbeat reply of {worker}");
    }
    Ok(())
}

/// A running job is signalled, and a second cancel leaves running jobs alone. The signal must stay,
/// also for the next holder.
async fn q09_a_cancel_that_leaves_running_jobs_takes_back_no_signal(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    kit.cancel_running(id).await?;
    ensure_eq!(kit.cancel(id).await?, CancelReply::Running, "the reply to the second cancel");
    ensure_eq!(kit.heartbeat(worker).await?.cancels, [id], "the cancels after it");
    kit.settle_one(token, release()).await?;
    let again = kit.claim_one(worker).await?.token;
    ensure!(again.job == id, "another job was claimed: {again:?}");
    ensure_eq!(kit.heartbeat(worker).await?.cancels, [id], "the cancels of the next lease");
    Ok(())
}
