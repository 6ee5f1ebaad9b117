//! Q17: a queue is paused during claims.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use queue_core::JobState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fast::manage;
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::pass::not_shown;
use crate::conformance::race::{Rounds, race};
use crate::conformance::session::queue;
use crate::conformance::wait::in_time;

cases! {
    Race q17_no_claim_takes_a_job_after_pause_returned [Manage],
}

/// The number of pauses that must fall into running claims.
const ENOUGH_ROUNDS: usize = 8;
/// The number of jobs of the first round, and the greatest. A round in which the claims took all of
/// them before the pause returned doubles it.
const LEAST_JOBS: usize = 200;
const MOST_JOBS: usize = 3200;

/// Eight tasks claim continuously while an operator pauses the queue. After the pause returns, no
/// claim may return a job and no lease may be added. A round counts if some jobs were claimed and
/// some were left.
async fn q17_no_claim_takes_a_job_after_pause_returned(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    let default = queue("default")?;
    let (mut in_the_middle, mut jobs, mut rounds) = (0, LEAST_JOBS, Rounds::new());
    while let Some(round) = rounds.next() {
        let taken_before = running(kit).await?;
        kit.insert((0..jobs).map(|_| kit.spec("job")).collect()).await?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (brought, mut first) = mpsc::channel(1);
        let mut workers = Vec::new();
        for _ in 0..8 {
            workers.push(kit.worker().await?);
        }
        let mut tasks = JoinSet::new();
        for (handle, worker) in handles.iter().cycle().zip(workers) {
            let (handle, is_over, brought) = (Arc::clone(handle), Arc::clone(&is_over), brought.clone());
            tasks.spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    handle.claim(worker, 3).await?;
                    // Only the first claim is awaited.
                    let _ = brought.try_send(());
                    tokio::task::yield_now().await;
                }
                anyhow::Ok(())
            });
        }
        drop(brought);
        in_time("a claim", first.recv()).await?;
        manage(&*handles[round % 2].backend()?)?.pause(&default).await?;
        let at_once = kit.stored().await?.live;
        // A claim from here on would return jobs if the pause had no effect.
        let asked = handles.iter().map(|handle| {
            let handle = Arc::clone(handle);
            async move { Ok(handle.claim(handle.worker().await?, 50).await?.len()) }
        });
        let taken: usize = race(asked.collect()).await?.into_iter().sum();
        is_over.store(true, Ordering::SeqCst);
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        ensure_eq!(taken, 0, "round {round}, the number of jobs claimed after the pause returned");
        let running_at_once = at_once.iter().filter(|row| row.state == JobState::Running).count();
        ensure_eq!(
            running(kit).await?,
            running_at_once,
            "round {round}, the number of leases after the pause returned"
        );
        in_the_middle += usize::from(taken_before < running_at_once && running_at_once < at_once.len());
        if in_the_middle == ENOUGH_ROUNDS {
            return Ok(());
        }
        if running_at_once == at_once.len() {
            jobs = (2 * jobs).min(MOST_JOBS);
        }
        manage(&*kit.backend()?)?.resume(&default).await?;
    }
    Err(not_shown(format!("{ENOUGH_ROUNDS} pauses shall fall into running claims; {in_the_middle} did")))
}

async fn running(kit: &Kit) -> anyhow::Result<usize> {
    Ok(kit.stored().await?.live.iter().filter(|row| row.state == JobState::Running).count())
}
