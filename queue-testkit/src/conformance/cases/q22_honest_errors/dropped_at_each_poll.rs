//! Q22: every operation of a handle, dropped before its first poll, after its first, … until it answers, leaves
//! nothing in the way of the next.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelRequest, ClaimRequest, HeartbeatRequest, InsertRequest, Inspect, LeasesRequest, ListRequest,
    MaintainRequest, Manage, Prune, ReadyQueuesRequest, RegisterRequest, RetireRequest, SettleRequest,
    Settlement,
};
use queue_core::testing::drop_after;
use queue_core::{Kind, QueueName, State, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, queue};

cases! {
    Fast q22_an_operation_dropped_at_any_poll_lets_the_handle_work,
    Fast q22_a_read_dropped_at_any_poll_changes_nothing,
    Fast q22_a_dropped_upkeep_can_be_repeated,
    Fast q22_a_dropped_pause_can_be_repeated [Manage],
    Fast q22_a_wake_up_is_not_lost_with_the_wait_for_it,
}

/// No future of a backend asks for more; one that always asks again hangs.
const MOST_POLLS: u32 = 1000;

/// Drops what `$make` makes at each of its polls, and does `$after` each time, until it answers.
macro_rules! at_each_poll {
    ($name:literal, $make:expr, $after:expr) => {{
        let mut polls = 0;
        while drop_after(polls, $make).await.is_none() {
            $after;
            polls += 1;
            ensure!(polls < MOST_POLLS, "{} does not end within {polls} polls", $name);
        }
    }};
}

/// Each of the nine, while another worker's jobs and leases stand beside.
async fn q22_an_operation_dropped_at_any_poll_lets_the_handle_work(kit: &Kit) -> CaseResult {
    let backend = &*kit.backend()?;
    let (worker, now) = (kit.worker().await?, kit.now());
    let insert = || -> anyhow::Result<InsertRequest> {
        Ok(InsertRequest::new(vec![vec![kit.spec("job").build()?, kit.spec("job").build()?]]).at(now))
    };
    at_each_poll!("insert", backend.insert(insert()?), kit.works().await?);
    // Those of the inserts that were dropped may be more.
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
    ensure_eq!(kit.state(id).await?, State::Completed, "the job that was settled");
    let entry = |worker| RegisterRequest::new(worker, "kit", EXPIRY).at(now);
    at_each_poll!("register", backend.register(entry(kit.new_worker_id())), kit.works().await?);
    at_each_poll!("retire", backend.retire(RetireRequest::new(worker)), kit.works().await?);
    at_each_poll!("maintain", backend.maintain(MaintainRequest::rescue(9).at(now)), kit.works().await?);
    Ok(())
}

/// Each is of a worker that is registered, who is told of all of them.
async fn every_lease_has_an_owner(kit: &Kit) -> CaseResult {
    let stored = kit.stored().await?;
    let mut leases: BTreeMap<WorkerId, u64> = BTreeMap::new();
    for worker in stored.live.iter().filter_map(|row| row.worker) {
        ensure!(stored.workers.contains(&worker), "a lease of {worker}, which is not registered");
        *leases.entry(worker).or_default() += 1;
    }
    for (worker, many) in leases {
        ensure_eq!(kit.heartbeat(worker).await?.leases, many, "the leases that {worker} is told of");
    }
    Ok(())
}

/// The rows are the same afterwards, whoever looked.
async fn q22_a_read_dropped_at_any_poll_changes_nothing(kit: &Kit) -> CaseResult {
    let ids = kit.insert((0..20).map(|_| kit.spec("job")).collect()).await?;
    kit.claim(kit.worker().await?, 5).await?;
    let backend = kit.backend()?;
    let inspect: &dyn Inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
    let audit = backend.extensions().audit.context("the backend offers no `audit`")?;
    let before = kit.stored().await?;
    at_each_poll!("jobs", inspect.jobs(&ids), kit.works().await?);
    at_each_poll!("list", inspect.list(ListRequest::new(50)), kit.works().await?);
    at_each_poll!("stored", audit.stored(), kit.works().await?);
    let look = || ReadyQueuesRequest::new(vec![QueueName::default()], kit.kinds()).at(kit.now());
    at_each_poll!("ready_queues", backend.ready_queues(look()), kit.works().await?);
    ensure_eq!(kit.stored().await?.live, before.live, "the live rows");
    Ok(())
}

/// Promotion and pruning do each job once, whichever call it was.
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
    ensure_eq!(taken, ids, "the jobs that were promoted");
    kit.settle(held.iter().map(|job| (job.token, complete())).collect()).await?;
    kit.advance(EXPIRY);
    let zero = Duration::ZERO;
    let prune = Prune::default().completed(zero).cancelled(zero).dead(zero).idempotency_window(zero).limit(4);
    let request = || MaintainRequest::prune(prune.clone()).at(kit.now());
    at_each_poll!("maintain", backend.maintain(request()), {
        let stored = kit.stored().await?;
        ensure_eq!(stored.jobs.len(), stored.outcomes.len() + stored.live.len(), "jobs with a row");
    });
    while kit.prune(prune.clone()).await?.pruned > 0 {}
    ensure_eq!(kit.stored().await?.jobs.len(), 0, "jobs");
    kit.works().await
}

/// A queue whose pause was given up is paused or not; the second call decides.
async fn q22_a_dropped_pause_can_be_repeated(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage: &dyn Manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    let (name, worker) = (queue("default")?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    at_each_poll!("pause", manage.pause(&name), {
        kit.works().await?;
        manage.resume(&name).await?;
        ensure_eq!(manage.paused().await?, [], "the paused queues");
    });
    ensure_eq!(kit.claim(worker, 1).await?.len(), 0, "jobs of a paused queue");
    at_each_poll!("paused", manage.paused(), kit.works().await?);
    at_each_poll!("resume", manage.resume(&name), {
        kit.works().await?;
        manage.pause(&name).await?;
        ensure_eq!(manage.paused().await?, std::slice::from_ref(&name), "the paused queues");
    });
    ensure_eq!(kit.claim(worker, 1).await?.len(), 1, "jobs of a queue that was resumed");
    kit.works().await
}

/// A worker looks away in the middle of its wait, again and again: what was announced is there when it looks next.
async fn q22_a_wake_up_is_not_lost_with_the_wait_for_it(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    receiver.take();
    // A second poll would come with the next announcement alone.
    for polls in 0..=1 {
        drop_after(polls, receiver.recv()).await;
    }
    let job = kit.insert_one(kit.spec("job")).await?;
    drop_after(0, receiver.recv()).await;
    let wakes = receiver.recv().await;
    ensure!(wakes.unknown || !wakes.ready.is_empty(), "the insert of {job} was announced as {wakes:?}");
    Ok(())
}
