//! Q22: a dropped request takes effect as a whole or not at all, and not after later requests.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{HeartbeatRequest, MaintainRequest, ProgressReport, Prune, Stored};
use queue_core::testing::drop_after;
use queue_core::{Progress, QueueName, Token, WorkerId};
use tokio::time::sleep;

use crate::conformance::act::{Act, one_of_each};
use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, Session};

cases! {
    Fast q22_a_dropped_request_has_its_whole_effect_or_none,
    Fast q22_a_dropped_request_changes_nothing_after_a_later_one,
    Fast q22_a_dropped_report_replaces_no_later_one,
    Fast q22_a_dropped_prune_removes_nothing_after_a_later_request,
}

/// The numbers of polls before a drop. A backend that needs more has sent its request by then.
const POLLS: u32 = 4;
/// The number of looks at the rows after a drop, and the pause between two. A late effect needs
/// time to happen.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Each operation on several jobs is dropped after some polls. The rows must show that all of its
/// jobs were changed, or none.
async fn q22_a_dropped_request_has_its_whole_effect_or_none(kit: &Kit) -> CaseResult {
    for polls in 0..POLLS {
        for act in one_of_each(kit).await? {
            drop_after(polls, act.attempt(kit)).await.transpose()?;
            let stored = kit.stored().await?;
            let (done, all) = act.effect(&stored);
            ensure!(
                done == 0 || done == all,
                "the {} that was dropped after {polls} polls has changed {done} of its {all} jobs",
                act.name()
            );
            if let Act::Rescue { .. } = act {
                has_only_live_holders(&stored)?;
            }
        }
        // A rescue that names no worker.
        kit.insert((0..5).map(|_| kit.spec("left")).collect()).await?;
        kit.claiming(kit.worker().await?, 5).kinds(&["left"]).take().await?;
        let rescue = MaintainRequest::rescue(100).at(kit.advance(EXPIRY));
        drop_after(polls, kit.backend()?.maintain(rescue)).await.transpose()?;
        has_only_live_holders(&kit.stored().await?)?;
    }
    kit.works().await
}

/// Fails if a worker was marked lost and its leases were left.
fn has_only_live_holders(stored: &Stored) -> CaseResult {
    let mut holders = stored.live.iter().filter_map(|row| row.worker);
    let lost = holders.find(|worker| !stored.workers.contains(worker));
    ensure!(lost.is_none(), "a dropped rescue has marked {lost:?} lost, and left its leases");
    Ok(())
}

/// Each operation is dropped after some polls, and the rows are read. They must not change
/// afterwards, because a later request has been answered.
async fn q22_a_dropped_request_changes_nothing_after_a_later_one(kit: &Kit) -> CaseResult {
    let bystander = kit.worker_expiring_after(EXPIRY * 1000).await?;
    for polls in 1..POLLS {
        // Due when the operations start, for the promotion among them.
        let later = kit.now().saturating_add(EXPIRY);
        kit.insert_one(kit.spec("job").queue("due").run_at(later)).await?;
        for act in one_of_each(kit).await? {
            if drop_after(polls, act.attempt(kit)).await.transpose()?.is_none() {
                let is_pause = matches!(act, Act::Pause(_) | Act::Resume(_));
                let first = if is_pause { ReadFirst::Pauses } else { ReadFirst::Jobs };
                stays_the_same(kit, bystander, first).await.with_context(|| {
                    format!("the {} was dropped after {polls} polls, and took effect late", act.name())
                })?;
            }
        }
    }
    kit.works().await
}

/// Fails if the rows change. A worker sends heartbeats between the looks, because a request that is
/// still pending may take effect after the next one that writes.
async fn stays_the_same(session: &Session, worker: WorkerId, first: ReadFirst) -> CaseResult {
    let before = rows(session, first).await?;
    for _ in 0..LOOKS {
        session.heartbeat(worker).await?;
        sleep(BETWEEN_LOOKS).await;
        let (stored, paused) = rows(session, first).await?;
        ensure_eq!(paused, before.1, "the paused queues");
        ensure_eq!(stored.jobs, before.0.jobs, "the jobs");
        ensure_eq!(stored.live, before.0.live, "the rows of unfinished jobs");
        ensure_eq!(stored.outcomes, before.0.outcomes, "the rows of finished jobs");
        ensure_eq!(stored.workers, before.0.workers, "the registered workers");
    }
    Ok(())
}

/// What a dropped request may change, because the first request after a drop must see the effect.
#[derive(Debug, Clone, Copy)]
enum ReadFirst {
    Jobs,
    Pauses,
}

async fn rows(session: &Session, first: ReadFirst) -> anyhow::Result<(Stored, Vec<QueueName>)> {
    match first {
        ReadFirst::Jobs => {
            let stored = session.stored().await?;
            Ok((stored, paused(session).await?))
        }
        ReadFirst::Pauses => {
            let paused = paused(session).await?;
            Ok((session.stored().await?, paused))
        }
    }
}

async fn paused(session: &Session) -> anyhow::Result<Vec<QueueName>> {
    let backend = session.backend()?;
    Ok(match backend.extensions().manage {
        Some(manage) => manage.paused().await?,
        None => Vec::new(),
    })
}

/// A heartbeat with the progress of ten jobs is dropped after some polls. It must have stored all
/// or none, and must not replace the progress of a later heartbeat.
async fn q22_a_dropped_report_replaces_no_later_one(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..10).map(|_| kit.spec("job")).collect()).await?;
    let tokens: Vec<Token> = kit.claim(worker, 10).await?.iter().map(|job| job.token).collect();
    for polls in 0..POLLS {
        let (first, second) = (u64::from(2 * polls) + 1, u64::from(2 * polls) + 2);
        let backend = kit.backend()?;
        drop_after(polls, backend.heartbeat(report(kit, worker, &tokens, first))).await.transpose()?;
        let seen = progress(kit, &tokens).await?;
        ensure_eq!(seen.len(), 1, "the number of different states of progress after {polls} polls: {seen:?}");
        for _ in 0..LOOKS {
            kit.heartbeat(worker).await?;
            sleep(BETWEEN_LOOKS).await;
            ensure_eq!(progress(kit, &tokens).await?, seen, "the progress after {polls} polls, read again");
        }
        backend.heartbeat(report(kit, worker, &tokens, second)).await?;
        ensure_eq!(progress(kit, &tokens).await?, BTreeSet::from([second]), "the progress reported last");
    }
    kit.works().await
}

fn report(kit: &Kit, worker: WorkerId, tokens: &[Token], done: u64) -> HeartbeatRequest {
    let mut request = HeartbeatRequest::new(worker).at(kit.now());
    let progress = Progress { done, total: 100 };
    request.progress = tokens.iter().map(|token| ProgressReport::new(*token, progress.clone())).collect();
    request
}

/// The different states of progress of these jobs. A job without progress counts as 0.
async fn progress(kit: &Kit, tokens: &[Token]) -> anyhow::Result<BTreeSet<u64>> {
    let mut seen = BTreeSet::new();
    for token in tokens {
        seen.insert(kit.record(token.job).await?.progress.map_or(0, |progress| progress.done));
    }
    Ok(seen)
}

/// A prune of ten finished jobs is dropped after some polls. The rows must not change afterwards.
async fn q22_a_dropped_prune_removes_nothing_after_a_later_request(kit: &Kit) -> CaseResult {
    let (zero, bystander) = (Duration::ZERO, kit.worker_expiring_after(EXPIRY * 1000).await?);
    let prune = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero);
    for polls in 1..POLLS {
        for id in kit.insert((0..10).map(|_| kit.spec("job")).collect()).await? {
            kit.cancel(id).await?;
        }
        kit.advance(Duration::from_secs(1));
        let backend = kit.backend()?;
        let request = MaintainRequest::prune(prune.clone()).at(kit.now());
        drop_after(polls, backend.maintain(request)).await.transpose()?;
        stays_the_same(kit, bystander, ReadFirst::Jobs)
            .await
            .with_context(|| format!("after {polls} polls of the dropped prune"))?;
    }
    kit.works().await
}
