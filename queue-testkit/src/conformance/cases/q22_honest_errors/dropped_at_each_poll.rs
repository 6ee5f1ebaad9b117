//! Q22: an operation is dropped before each of its polls, until it returns. No drop may block the
//! next request on the handle.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, ClaimRequest, HeartbeatRequest, InsertRequest, Inspect, LeasesRequest, ListRequest,
    MaintainRequest, Manage, OutcomeRow, Prune, ReadyQueuesRequest, RegisterRequest, RetireRequest,
    RetryRequest, SettleRequest, Settlement,
};
use queue_core::testing::drop_after;
use queue_core::{JobState, Kind, QueueName, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, queue};
use crate::conformance::wakes::next;

cases! {
    Fast q22_an_operation_dropped_at_any_poll_lets_the_handle_work,
    Fast q22_a_read_dropped_at_any_poll_changes_nothing,
    Fast q22_a_dropped_upkeep_can_be_repeated,
    Fast q22_a_dropped_retry_is_made_or_not [Manage],
    Fast q22_a_dropped_pause_can_be_repeated [Manage],
    Fast q22_a_wake_up_is_not_lost_with_the_wait_for_it,
}

/// More polls than any backend needs; an operation that exceeds this hangs.
const MOST_POLLS: u32 = 1000;

/// Drops the future of `$make` after 0, 1, 2, … polls and runs `$after` each time, until the future
/// returns.
macro_rules! at_each_poll {
    ($name:literal, $make:expr, $after:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            $after;
            polls += 1;
            ensure!(polls < MOST_POLLS, "{} does not return within {polls} polls", $name);
        }
    }};
}

/// Each of the nine operations is dropped at each poll, while another worker holds jobs and leases.
/// The handle must work after each drop.
async fn q22_an_operation_dropped_at_any_poll_lets_the_handle_work(kit: &Kit) -> CaseResult {
    let backend = &*kit.backend()?;
    let (worker, now) = (kit.worker().await?, kit.now());
    let insert = || -> anyhow::Result<InsertRequest> {
        Ok(InsertRequest::new(vec![vec![kit.spec("job").build()?, kit.spec("job").build()?]]).at(now))
    };
    at_each_poll!("insert", backend.insert(insert()?), kit.works().await?);
    // There may be more jobs than one insert holds, because a dropped insert may have stored its
    // batch.
    let kinds = [Kind::new("job")?];
    let claim =
        || ClaimRequest::new(worker, kit.new_claim_id(), QueueName::default(), kinds.clone(), 1).at(now);
    at_each_poll!("claim", backend.claim(claim()), {
        every_lease_has_an_owner(kit).await?;
        kit.works().await?;
    });
    let id = kit.insert_one(kit.spec("held").queue("held")).await?;
    let held = kit.claiming(worker, 1).queue("held").kinds(&["held"]).take().await?.jobs.remove(0);
    let leases = LeasesRequest::new(worker, held.token.claim);
    at_each_poll!("leases", backend.leases(leases.clone()), kit.works().await?);
    at_each_poll!("heartbeat", backend.heartbeat(HeartbeatRequest::new(worker).at(now)), kit.works().await?);
    at_each_poll!("cancel", backend.cancel(CancelRequest::new(vec![id]).at(now)), kit.works().await?);
    let settle = || SettleRequest::new(worker, vec![Settlement::new(held.token, complete())]).at(now);
    at_each_poll!("settle", backend.settle(settle()), kit.works().await?);
    ensure_eq!(kit.state(id).await?, JobState::Completed, "the state of the settled job");
    let entry = |worker| RegisterRequest::new(worker, "kit", EXPIRY).at(now);
    at_each_poll!("register", backend.register(entry(kit.new_worker_id())), kit.works().await?);
    at_each_poll!("retire", backend.retire(RetireRequest::new(worker)), kit.works().await?);
    at_each_poll!("maintain", backend.maintain(MaintainRequest::rescue(9).at(now)), kit.works().await?);
    Ok(())
}

/// Checks that each lease belongs to a registered worker, and that the worker's heartbeat counts
/// it.
async fn every_lease_has_an_owner(kit: &Kit) -> CaseResult {
    let stored = kit.stored().await?;
    let mut leases: BTreeMap<WorkerId, u64> = BTreeMap::new();
    for worker in stored.live.iter().filter_map(|row| row.worker) {
        ensure!(stored.workers.contains(&worker), "{worker} holds a lease, but is not registered");
        *leases.entry(worker).or_default() += 1;
    }
    for (worker, many) in leases {
        ensure_eq!(
            kit.heartbeat(worker).await?.leases,
            many,
            "the number of leases in the heartbeat reply of {worker}"
        );
    }
    Ok(())
}

/// A read is dropped at each poll. The rows must stay unchanged.
async fn q22_a_read_dropped_at_any_poll_changes_nothing(kit: &Kit) -> CaseResult {
    let ids = kit.insert((0..20).map(|_| kit.spec("job")).collect()).await?;
    kit.claim(kit.worker().await?, 5).await?;
    let backend = kit.backend()?;
    let inspect: &dyn Inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let audit = backend.extensions().audit.context("the backend offers no `audit`")?;
    let before = kit.stored().await?;
    at_each_poll!("jobs", inspect.jobs(&ids), kit.works().await?);
    at_each_poll!("list", inspect.list(ListRequest::new(50)), kit.works().await?);
    let queues = [QueueName::default()];
    at_each_poll!("next_ready", inspect.next_ready(&queues), kit.works().await?);
    at_each_poll!("stored", audit.stored(), kit.works().await?);
    if let Some(watch) = backend.extensions().watch {
        at_each_poll!("watch", watch.watch(&ids), kit.works().await?);
    }
    let look = || ReadyQueuesRequest::new(vec![QueueName::default()], kit.kinds()).at(kit.now());
    at_each_poll!("ready_queues", backend.ready_queues(look()), kit.works().await?);
    ensure_eq!(kit.stored().await?.live, before.live, "the rows of unfinished jobs");
    Ok(())
}

/// A promotion or a prune is dropped at each poll. Repeated calls must do each job exactly once.
async fn q22_a_dropped_upkeep_can_be_repeated(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let later = kit.now().saturating_add(EXPIRY);
    let ids = kit.insert((0..10).map(|_| kit.spec("job").run_at(later)).collect()).await?;
    kit.advance(EXPIRY);
    let promote = || MaintainRequest::promote(4).at(kit.now());
    at_each_poll!("maintain", backend.maintain(promote()), kit.works().await?);
    kit.promote(10).await?;
    let held = kit.claim(kit.worker().await?, 20).await?;
    let taken: Vec<_> = held.iter().map(|job| job.token.job).collect();
    ensure_eq!(taken, ids, "the promoted jobs");
    kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    kit.advance(EXPIRY);
    let zero = Duration::ZERO;
    let prune = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero).limit(4);
    let request = || MaintainRequest::prune(prune.clone()).at(kit.now());
    at_each_poll!("maintain", backend.maintain(request()), {
        let stored = kit.stored().await?;
        ensure_eq!(
            stored.jobs.len(),
            stored.outcomes.len() + stored.live.len(),
            "the number of jobs, against the rows of finished and unfinished jobs"
        );
    });
    while kit.prune(prune.clone()).await?.pruned > 0 {}
    ensure_eq!(kit.stored().await?.jobs.len(), 0, "the number of jobs after the prune");
    kit.works().await
}

/// A retry of ten finished jobs is dropped at each poll. All of them must be ready then, or none.
async fn q22_a_dropped_retry_is_made_or_not(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage: &dyn Manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let ids = kit.insert((0..10).map(|_| kit.spec("job").queue("ended")).collect()).await?;
    for id in &ids {
        kit.cancel(*id).await?;
    }
    let retry = || RetryRequest::new(ids.clone()).at(kit.now());
    at_each_poll!("retry", manage.retry(retry()), {
        kit.works().await?;
        let is_ended = |row: &OutcomeRow| ids.contains(&row.id);
        let ended = kit.stored().await?.outcomes.iter().filter(|row| is_ended(row)).count();
        ensure!(ended == 0 || ended == 10, "{ended} of 10 jobs of one retry are still finished");
        for id in &ids {
            kit.cancel(*id).await?;
        }
    });
    kit.works().await
}

/// A pause or resume is dropped at each poll. The queue may be paused or not, and the next call
/// must decide.
async fn q22_a_dropped_pause_can_be_repeated(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage: &dyn Manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let (name, worker) = (queue("default")?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    at_each_poll!("pause", manage.pause(&name), {
        kit.works().await?;
        manage.resume(&name).await?;
        ensure_eq!(manage.paused().await?, [], "the paused queues after a resume");
    });
    ensure_eq!(kit.claim(worker, 1).await?.len(), 0, "the number of jobs claimed from a paused queue");
    at_each_poll!("paused", manage.paused(), kit.works().await?);
    at_each_poll!("resume", manage.resume(&name), {
        kit.works().await?;
        manage.pause(&name).await?;
        ensure_eq!(manage.paused().await?, std::slice::from_ref(&name), "the paused queues after a pause");
    });
    ensure_eq!(kit.claim(worker, 1).await?.len(), 1, "the number of jobs claimed from a resumed queue");
    kit.works().await
}

/// A worker drops its wait for a wake-up several times. The next wait must return the announcement.
async fn q22_a_wake_up_is_not_lost_with_the_wait_for_it(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    receiver.take();
    // A second poll would only return after the next announcement.
    for polls in 0..=1 {
        drop_after(polls, receiver.recv()).await;
    }
    let job = kit.insert_one(kit.spec("job")).await?;
    drop_after(0, receiver.recv()).await;
    let wakes = next(&mut receiver, "the insert").await?;
    ensure!(wakes.unknown || !wakes.ready.is_empty(), "the insert of {job} was announced as {wakes:?}");
    Ok(())
}
