//! Q12: what a storage remembers of its workers.

use std::time::Duration;

use queue_core::backend::{MaintainRequest, Prune};
use queue_core::{ErrorKind, JobState, WorkerId};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, TICK, complete};

cases! {
    Fast q12_lost_and_retired_workers_outlive_the_handle [Durable],
    Fast q12_each_workers_expiry_outlives_the_handle [Durable],
    Fast q12_the_id_of_a_lost_worker_is_kept_for_a_day,
    Fast q12_a_lost_worker_that_retires_stays_lost,
    Fast q12_an_expiry_counts_each_microsecond,
    Fast q12_a_late_worker_promotes_and_prunes,
}

const HOUR: Duration = Duration::from_secs(3600);

/// Fails unless the requests of the worker fail.
async fn is_gone(kit: &Kit, worker: WorkerId) -> CaseResult {
    fails_with(kit.try_heartbeat(worker).await?, ErrorKind::WorkerLost)?;
    fails_with(kit.claiming(worker, 1).attempt().await?, ErrorKind::WorkerLost)?;
    Ok(())
}

/// Fails unless the worker is lost for good, so that its id cannot be registered again. That of a
/// retired worker can, if the backend forgets it.
async fn is_lost(kit: &Kit, worker: WorkerId) -> CaseResult {
    is_gone(kit, worker).await?;
    fails_with(kit.try_register(worker).await?, ErrorKind::Conflict)?;
    Ok(())
}

/// One worker was lost and one has retired. The handle is reopened, and both must stay gone.
async fn q12_lost_and_retired_workers_outlive_the_handle(kit: &Kit) -> CaseResult {
    let lost = kit.worker().await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the number of workers lost");
    let (retired, live) = (kit.worker().await?, kit.worker().await?);
    kit.retire(retired).await?;
    kit.reopen().await?;
    is_lost(kit, lost).await?;
    is_gone(kit, retired).await?;
    fails_with(kit.try_register(live).await?, ErrorKind::Conflict)?;
    ensure_eq!(kit.stored().await?.workers, [live], "the registered workers");
    Ok(())
}

/// Two workers have different expiries. The handle is reopened, and their next heartbeats must
/// extend each by its own.
async fn q12_each_workers_expiry_outlives_the_handle(kit: &Kit) -> CaseResult {
    let (short, long) = (Duration::from_millis(1500), HOUR);
    let workers = [kit.worker_expiring_after(short).await?, kit.worker_expiring_after(long).await?];
    kit.reopen().await?;
    kit.advance(TICK);
    let start = kit.now();
    for worker in workers {
        kit.heartbeat(worker).await?;
    }
    for (expiry, worker) in [short, long].into_iter().zip(workers) {
        kit.set_clock(start.saturating_add(expiry).saturating_sub(TICK));
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "the workers lost one tick before {expiry:?}");
        kit.advance(TICK);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the workers lost after {expiry:?}");
        is_lost(kit, worker).await?;
    }
    Ok(())
}

/// A worker was lost. Upkeep of all kinds runs for a day, and the id must stay taken.
async fn q12_the_id_of_a_lost_worker_is_kept_for_a_day(kit: &Kit) -> CaseResult {
    let lost = kit.worker().await?;
    kit.advance(EXPIRY);
    for _ in 0..24 {
        let mut upkeep = MaintainRequest::prune(Prune::default());
        (upkeep.promote, upkeep.rescue) = (100, 100);
        kit.maintain(upkeep).await?;
        is_lost(kit, lost).await?;
        kit.advance(HOUR);
    }
    Ok(())
}

/// A rescue with limit 1 marks a worker lost and takes one of its two leases. The worker retires
/// then, and the next rescue must take the other lease.
async fn q12_a_lost_worker_that_retires_stays_lost(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    ensure_eq!(kit.claim(worker, 2).await?.len(), 2, "the number of claimed jobs");
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(1).await?.rescued, 1, "the number of jobs rescued with limit 1");
    kit.retire(worker).await?;
    ensure_eq!(kit.rescue(10).await?.rescued, 1, "the number of jobs rescued after the retirement");
    for job in jobs {
        ensure_eq!(kit.state(job).await?, JobState::Ready, "the state of job {job}");
    }
    is_lost(kit, worker).await
}

/// Expiries are longer or shorter than whole seconds and milliseconds by one microsecond. Each
/// worker must be lost at its own microsecond.
async fn q12_an_expiry_counts_each_microsecond(kit: &Kit) -> CaseResult {
    for (micros, has_beaten) in [1, 999, 1_001, 999_999, 1_000_001].into_iter().zip([true, false].repeat(3)) {
        let worker = kit.worker_expiring_after(Duration::from_micros(micros)).await?;
        if has_beaten {
            kit.heartbeat(worker).await?;
        }
        let start = kit.now();
        kit.set_clock(start.saturating_add(Duration::from_micros(micros - 1)));
        ensure_eq!(kit.rescue(10).await?.workers_lost, 0, "the workers lost one tick before {micros} µs");
        kit.advance(TICK);
        ensure_eq!(kit.rescue(10).await?.workers_lost, 1, "the workers lost after {micros} µs");
    }
    Ok(())
}

/// The upkeep of a worker whose own expiry has come takes no leases, but promotes and prunes.
async fn q12_a_late_worker_promotes_and_prunes(kit: &Kit) -> CaseResult {
    let (late, dead) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    kit.settle_one(kit.claim_one(dead).await?.token, complete()).await?;
    kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(dead).await?;
    kit.insert_one(kit.spec("job").run_at(kit.now().saturating_add(HOUR))).await?;
    kit.advance(HOUR * 2);
    let prune = Prune::default().completed(HOUR).idempotency_window(HOUR);
    let mut upkeep = MaintainRequest::prune(prune).by(late);
    (upkeep.promote, upkeep.rescue) = (100, 100);
    let reply = kit.maintain(upkeep).await?;
    ensure_eq!(
        (reply.promoted, reply.pruned, reply.rescued, reply.workers_lost),
        (1, 1, 0, 0),
        "the numbers of jobs promoted, pruned and rescued, and of workers lost"
    );
    Ok(())
}
