//! Measures how fast one worker fires schedules, and what schedules cost that are not due.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use queue::backend::{
    ChangeSchedulesRequest, ScheduleChange, ScheduleStore, ScheduleVersion, StoredSchedule,
};
use queue::{Backend, JobQueue, Schedule, ScheduleName, Timestamp, Worker};
use serde_json::Map;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::Measured;
use super::location::JobsLocation;
use super::parcel::{Parcel, Start, task};
use super::probe::{LOST, elapsed};
use super::store::Store;
use crate::cpu::{CpuMeter, CpuTime};
use crate::floor::Floor;
use crate::plan::Plan;
use crate::postgres::{Server, Session};
use crate::progress;
use crate::samples::{Percentiles, rate};

/// The floor: what one worker must hold at least.
const LEAST_PER_MINUTE: f64 = 10_000.0;
/// From the first stored schedule to the slot of all. Enough to store a million.
const LEAD: Duration = Duration::from_secs(5);
/// The number of schedules that one request stores.
const PAGE: usize = 500;
/// Of schedules that fire, longer than the measurement.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Wait before an idle worker is measured, until it no longer reads its queues more often.
const SETTLING: Duration = Duration::from_secs(6);
/// Duration of the measurement of an idle worker.
const WATCHED: Duration = Duration::from_secs(30);

/// Jobs per second from the slot that all schedules share to the start of the last job.
pub(super) fn fires(plan: &Plan) -> Result<(Floor, Measured)> {
    let location = JobsLocation::new(plan)?;
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Store::open(plan.backend, location.address()))?;
    let bar = progress::bar("fire schedules", plan.jobs)?;
    let (started, mut starts) = unbounded_channel();
    let mut queue = JobQueue::new(store.backend.clone());
    task(move |_, parcel: Parcel| {
        let sent = started.send((parcel.number, SystemTime::now()));
        async move { sent.map_err(Into::into) }
    })
    .register(&mut queue)?;
    let slot = Timestamp::now().saturating_add(LEAD);
    runtime.block_on(store_schedules(plan, &queue, slot))?;
    ensure!(Timestamp::now() < slot, "storing the schedules took longer than {LEAD:?}; use fewer");
    let slot: SystemTime = slot.into();
    let worker = runtime.block_on(async { Worker::new(&queue).start() })?;
    let meter = CpuMeter::new(plan.server().ok().and_then(Server::process_id));
    let (delays, cpu) = meter.measure(|| runtime.block_on(delays(plan.jobs, &mut starts, slot, &bar)))?;
    runtime.block_on(worker.shutdown(LOST));
    bar.finish_and_clear();
    runtime.block_on(store.ensure_completed(plan.jobs))?;
    let last = delays.iter().max().copied().unwrap_or_default();
    let of_all = Percentiles::of(delays);
    let measured = Measured::new(rate(plan.jobs, last))
        .setting("delay_p50_ms", (of_all.p50 / 1e3).round())
        .setting("delay_p99_ms", (of_all.p99 / 1e3).round())
        .setting("cpu_us_per_job", per(cpu, plan.jobs));
    Ok((Floor { value: LEAST_PER_MINUTE / 60.0, settings: Map::new() }, measured))
}

/// Waits for the start of each job, and returns how long after the slot it was.
async fn delays(
    jobs: usize,
    starts: &mut UnboundedReceiver<Start>,
    slot: SystemTime,
    bar: &ProgressBar,
) -> Result<Vec<Duration>> {
    let mut delays = Vec::with_capacity(jobs);
    while delays.len() < jobs {
        let start = timeout(LOST, starts.recv()).await;
        let start = start.with_context(|| format!("{} of {jobs} schedules fired", delays.len()))?;
        let (_, at) = start.context("the worker has ended")?;
        delays.push(elapsed(slot, at)?);
        bar.inc(1);
    }
    Ok(delays)
}

/// Processor time per second of an idle worker, without schedules and with many that are not due.
pub(super) fn idle(plan: &Plan) -> Result<(Floor, Measured)> {
    let bar = progress::bar("an idle worker", 3)?;
    let watched = |schedules| {
        let cpu = watch(plan, schedules);
        bar.inc(1);
        cpu
    };
    // The first one on a new server costs less than later ones, whatever is stored.
    watched(false)?;
    let (none, many) = (watched(false)?, watched(true)?);
    bar.finish_and_clear();
    let seconds = usize::try_from(WATCHED.as_secs())?;
    Ok((Floor { value: per(none, seconds), settings: Map::new() }, Measured::new(per(many, seconds))))
}

fn watch(plan: &Plan, has_schedules: bool) -> Result<CpuTime> {
    let location = JobsLocation::new(plan)?;
    let runtime = Runtime::new()?;
    let store = runtime.block_on(Store::open(plan.backend, location.address()))?;
    let mut queue = JobQueue::new(store.backend);
    task(|_, _| async { Ok(()) }).register(&mut queue)?;
    if has_schedules {
        runtime.block_on(store_schedules(plan, &queue, Timestamp::now().saturating_add(HOUR)))?;
    }
    if let JobsLocation::Schema(schema) = &location {
        // Otherwise the server does it in the middle of the measurement.
        let session = Session::open(schema.server(), "")?;
        for chore in ["VACUUM ANALYZE", "CHECKPOINT"] {
            session.wait(session.client.batch_execute(chore))?;
        }
    }
    let worker = runtime.block_on(async { Worker::new(&queue).start() })?;
    std::thread::sleep(SETTLING);
    let meter = CpuMeter::new(plan.server().ok().and_then(Server::process_id));
    let ((), cpu) = meter.measure(|| {
        std::thread::sleep(WATCHED);
        Ok(())
    })?;
    runtime.block_on(worker.shutdown(LOST));
    Ok(cpu)
}

/// Stores the schedules, all with this slot. One is put, and the others are copies of it, because
/// to put them one by one would take longer than to fire them.
async fn store_schedules(plan: &Plan, queue: &JobQueue, slot: Timestamp) -> Result<()> {
    let schedule = Schedule::every(HOUR).starting(slot);
    let parcel = Parcel::new(0, plan.payload_bytes);
    let job = queue::NewJob::new("parcel".parse()?, queue::Payload::encode(&parcel)?);
    queue.schedules().put(&name(0), schedule, job).await?;
    let backend: Arc<dyn Backend> = Arc::clone(queue.backend());
    let store = backend.extensions().schedules.context("the backend stores no schedules")?;
    let first = store.get(&[ScheduleName::new(name(0))?]).await?.pop().flatten();
    let first = first.context("the first schedule is not stored")?;
    let rest: Vec<usize> = (1..plan.jobs).collect();
    for page in rest.chunks(PAGE) {
        let copies = page.iter().map(|number| copy(&first, *number));
        store_page(store, copies.collect::<Result<Vec<_>>>()?).await?;
    }
    Ok(())
}

fn copy(first: &StoredSchedule, number: usize) -> Result<ScheduleChange> {
    let mut copy = first.clone();
    copy.name = ScheduleName::new(name(number))?;
    copy.version = ScheduleVersion::generate()?;
    Ok(ScheduleChange::create(copy))
}

async fn store_page(store: &dyn ScheduleStore, page: Vec<ScheduleChange>) -> Result<()> {
    for reply in store.change(ChangeSchedulesRequest::new(page)).await? {
        reply?;
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("schedule-{number:07}")
}

/// Microseconds of processor time in both programs.
fn per(cpu: CpuTime, divisor: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of jobs are far below 2^53")]
    let divisor = divisor as f64;
    (cpu.program + cpu.server.unwrap_or_default()).as_secs_f64() * 1e6 / divisor
}
