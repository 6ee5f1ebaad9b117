//! Prepares a target for each operation.

use queue_core::backend::{CancelRequest, ClaimRequest, InsertRequest, ScheduleChange};
use queue_core::{JobId, JobSpec, QueueName, WorkerId};

use super::Act;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, Session};

/// Number of jobs of most operations.
const FEW: usize = 5;
/// Number and size of the inserted jobs. Together they need more space than a nearly full storage
/// has left.
const MANY: usize = 40;
const LARGE: usize = 4096;

/// Returns one operation of each kind, all independent of each other. Advances the clock by the
/// expiry of a worker.
pub(crate) async fn one_of_each(kit: &Kit) -> anyhow::Result<Vec<Act>> {
    Ok(some_of_each(kit, 1).await?.pop().unwrap_or_default())
}

/// Returns this many sets of one operation of each kind.
pub(crate) async fn some_of_each(kit: &Kit, many: usize) -> anyhow::Result<Vec<Vec<Act>>> {
    let mut left_behind = Vec::with_capacity(many);
    for _ in 0..many {
        let (dead, jobs) = (kit.worker().await?, insert(kit, &unique_queue(kit)?).await?);
        claim(kit, dead, &queue_of(&jobs), FEW).await?;
        left_behind.push(jobs);
    }
    kit.advance(EXPIRY);
    let mut sets = Vec::with_capacity(many);
    for jobs in left_behind {
        sets.push(prepare(kit, &jobs).await?);
    }
    Ok(sets)
}

async fn prepare(kit: &Kit, left_behind: &[JobSpec]) -> anyhow::Result<Vec<Act>> {
    let worker = kit.worker().await?;
    let mut acts = vec![Act::Insert(large_batch(kit)?)];
    let waiting = insert(kit, &unique_queue(kit)?).await?;
    let queue = queue_of(&waiting);
    acts.push(Act::Claim { worker, claim: kit.new_claim_id(), queue, jobs: ids(&waiting) });
    let held = insert(kit, &unique_queue(kit)?).await?;
    let claimed = claim(kit, worker, &queue_of(&held), FEW).await?;
    acts.push(Act::Leases { worker, claim: claimed.0, jobs: ids(&held) });
    let running = insert(kit, &unique_queue(kit)?).await?;
    let (_, tokens) = claim(kit, worker, &queue_of(&running), FEW).await?;
    acts.push(Act::Settle { worker, tokens });
    acts.push(Act::Cancel(ids(&insert(kit, &unique_queue(kit)?).await?)));
    acts.push(Act::Register(kit.new_worker_id()));
    acts.push(Act::Heartbeat(kit.worker().await?));
    acts.push(Act::Retire(kit.worker().await?));
    acts.push(Act::Rescue { by: kit.worker().await?, jobs: ids(left_behind) });
    acts.extend([Act::Promote, Act::Read(held[0].id), Act::List]);
    if kit.backend()?.extensions().schedules.is_some() {
        let name = format!("fired-{:08}", kit.new_number());
        let old = kit.create_due(&name).await?;
        acts.push(Act::Fire(
            ScheduleChange::replace(old.version, kit.new_schedule(&name)?).jobs(large_batch(kit)?),
        ));
    }
    if let Some(manage) = kit.backend()?.extensions().manage {
        let ended = ids(&insert(kit, &unique_queue(kit)?).await?);
        kit.backend()?.cancel(CancelRequest::new(ended.clone()).at(kit.now())).await?;
        acts.push(Act::Retry(ended));
        let paused = unique_queue(kit)?;
        manage.pause(&paused).await?;
        acts.extend([Act::Pause(unique_queue(kit)?), Act::Resume(paused), Act::Paused]);
    }
    Ok(acts)
}

/// Returns a queue that the case has not used.
pub(crate) fn unique_queue(session: &Session) -> queue_core::Result<QueueName> {
    QueueName::new(format!("queue-of-its-own-{:08}", session.new_number()))
}

fn large_batch(kit: &Kit) -> queue_core::Result<Vec<JobSpec>> {
    let payload = format!("\"{}\"", "x".repeat(LARGE));
    (0..MANY).map(|_| kit.spec("large").queue("large").payload(payload.clone()).build()).collect()
}

async fn insert(kit: &Kit, queue: &QueueName) -> anyhow::Result<Vec<JobSpec>> {
    let specs = (0..FEW).map(|_| kit.spec("job").build()).collect::<queue_core::Result<Vec<_>>>()?;
    let specs: Vec<JobSpec> = specs.into_iter().map(|spec| spec.queue(queue.clone())).collect();
    let reply = kit.backend()?.insert(InsertRequest::new(vec![specs.clone()]).at(kit.now())).await?;
    reply.batches.into_iter().collect::<queue_core::Result<Vec<_>>>()?;
    kit.knows_kind(&specs[0].kind);
    Ok(specs)
}

async fn claim(
    kit: &Kit,
    worker: WorkerId,
    queue: &QueueName,
    many: usize,
) -> anyhow::Result<(queue_core::ClaimId, Vec<queue_core::Token>)> {
    let claim = kit.new_claim_id();
    let limit = u32::try_from(many)?;
    let request = ClaimRequest::new(worker, claim, queue.clone(), kit.kinds(), limit).at(kit.now());
    let jobs = kit.backend()?.claim(request).await?.jobs;
    anyhow::ensure!(
        jobs.len() == many,
        "a claim of the {many} jobs of an unused queue returned {}",
        jobs.len()
    );
    Ok((claim, jobs.iter().map(|job| job.token).collect()))
}

fn ids(specs: &[JobSpec]) -> Vec<JobId> {
    specs.iter().map(|spec| spec.id).collect()
}

fn queue_of(specs: &[JobSpec]) -> QueueName {
    specs.first().map_or_else(QueueName::default, |spec| spec.queue.clone())
}
