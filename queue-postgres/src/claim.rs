//! Claims ready jobs for a worker.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, Hint, LeasesRequest};
use queue_core::{ClaimId, ErrorKind, JobSpec, Kind, QueueName, Result, Timestamp};
use tokio_postgres::Row;

use crate::connections::Parameter;
use crate::core::Core;
use crate::damaged::{Refused, skip_unreadable};
use crate::error::{Effect, Outcome, corrupt};
use crate::positions::{Cursor, Start, is_full};
use crate::row;
use crate::types::{After, Id, Interval, Time};

pub(crate) const OPERATION: &str = "claim jobs";

/// Wait before the next claim if a due job was not promoted. Another transaction holds its lock for
/// an unknown time, and an idle worker would claim without a pause.
const WHILE_LOCKED: Duration = Duration::from_millis(100);

/// Claims from the position of the worker's last claim. If it finds nothing there, it claims from
/// the head.
pub(crate) async fn claim(core: &Core, request: ClaimRequest) -> Result<ClaimReply> {
    let start = core.positions.next(&request, Instant::now());
    let mut reply = claim_from(core, &request, &start).await?;
    if reply.jobs.is_empty() && !is_full(&request, &[]) && !start.is_head() {
        let wait = core.positions.wait_for_head(&request, Instant::now());
        if wait.is_zero() {
            let head = core.positions.next(&request, Instant::now());
            return claim_from(core, &request, &head).await;
        }
        reply.next_due = reply.next_due.into_iter().chain([wait]).min();
    }
    Ok(reply)
}

async fn claim_from(core: &Core, request: &ClaimRequest, start: &Start) -> Result<ClaimReply> {
    let reply = try_claim(core, request, start).await;
    reply.map_err(|fault| {
        core.positions.failed(&request.queue, Instant::now());
        let error = fault.into_error(OPERATION, Effect::Writes);
        if error.kind() == ErrorKind::WorkerLost {
            core.positions.forget(request.worker);
        }
        error
    })
}

async fn try_claim(core: &Core, request: &ClaimRequest, start: &Start) -> Outcome<ClaimReply> {
    let mut parameters = ClaimParameters::of(core, request, start);
    match core.query(&core.statements.claim, &parameters.parameters()).await {
        Err(fault) if fault.is_row_fault() => {
            // One row fails the claim. The next claim skips it and claims jobs that the limit
            // excluded from this one.
            parameters.each = true;
            let rows = core.query(&core.statements.claim, &parameters.parameters()).await?;
            let mut reply = reply(core, request, start, &rows)?;
            // If no lease was possible, the next claim may fail too.
            reply.next_due = Some(if reply.jobs.is_empty() { WHILE_LOCKED } else { Duration::ZERO });
            Ok(reply)
        }
        answer => reply(core, request, start, &answer?),
    }
}

/// Reads the rows of a claim. The jobs are claimed already, so an unreadable one must not fail the
/// others.
pub(crate) fn reply(core: &Core, request: &ClaimRequest, start: &Start, rows: &[Row]) -> Outcome<ClaimReply> {
    let claimed = read(core, rows, request)?;
    let next_due = claimed.next_due();
    let ClaimRows { mut jobs, promoted, now, due_at, .. } = claimed;
    jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
    let waiting_after = due_at.is_none_or(|due_at| due_at > now).then_some(now);
    core.positions.claimed(request, start, &jobs, waiting_after, Instant::now());
    core.waker.ready(promoted);
    Ok(ClaimReply::new(jobs, next_due))
}

/// The parameters of the statement of a claim.
pub(crate) struct ClaimParameters<'a> {
    now: Option<Time>,
    worker: Id,
    claim: Id,
    queue: &'a str,
    kinds: Vec<&'a str>,
    limit: i32,
    last_attempts: i32,
    grace: Interval,
    levels: Vec<i16>,
    run_ats: Vec<Time>,
    ids: Vec<Id>,
    waiting_after: After,
    /// Jobs to skip.
    without: Vec<Id>,
    /// Whether each job is leased separately.
    each: bool,
}

impl<'a> ClaimParameters<'a> {
    pub(crate) fn of(core: &Core, request: &'a ClaimRequest, start: &Start) -> Self {
        let mut kinds: Vec<&str> = request.kinds.iter().map(Kind::as_str).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let (mut levels, mut run_ats, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for (level, (run_at, id)) in start.cursor.iter().flat_map(Cursor::positions) {
            levels.push(level);
            run_ats.push(Time(run_at));
            ids.push(Id::from(id));
        }
        Self {
            now: request.now.map(Time),
            worker: request.worker.into(),
            claim: request.claim.into(),
            queue: request.queue.as_str(),
            kinds,
            limit: i32::try_from(request.limit).unwrap_or(i32::MAX),
            last_attempts: i32::try_from(request.last_attempts).unwrap_or(i32::MAX),
            grace: Interval(request.grace),
            levels,
            run_ats,
            ids,
            waiting_after: After(start.waiting_after),
            without: core.refused.skipped(),
            each: false,
        }
    }

    pub(crate) fn parameters(&self) -> [Parameter<'_>; 14] {
        [
            &self.now,
            &self.worker,
            &self.claim,
            &self.queue,
            &self.kinds,
            &self.limit,
            &self.last_attempts,
            &self.grace,
            &self.levels,
            &self.run_ats,
            &self.ids,
            &self.waiting_after,
            &self.without,
            &self.each,
        ]
    }
}

struct ClaimRows {
    jobs: Vec<ClaimedJob>,
    promoted: Vec<Hint>,
    /// Number of unreadable rows.
    unreadable: usize,
    now: Timestamp,
    due_at: Option<Timestamp>,
}

impl ClaimRows {
    /// The time until another claim may return more jobs.
    fn next_due(&self) -> Option<Duration> {
        if self.unreadable > 0 {
            // The limit may have excluded other jobs, although this claim returned fewer.
            return Some(Duration::ZERO);
        }
        let due_in = self.now.until(self.due_at?);
        let is_locked = due_in.is_zero() && self.promoted.is_empty();
        Some(if is_locked { WHILE_LOCKED } else { due_in })
    }
}

fn read(core: &Core, rows: &[Row], request: &ClaimRequest) -> Outcome<ClaimRows> {
    let Some((last, rows)) = rows.split_last() else {
        return Err(corrupt("a claim returned no rows"));
    };
    let (now, due_at) = (row::time(last, 2)?, row::time_if_any(last, 11)?);
    let (mut jobs, mut promoted) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut refused = 0;
    for row in rows {
        if row::get::<Option<Id>>(row, 0)?.is_none() {
            promoted.extend(skip_unreadable(row, hint(row, &request.queue)));
        } else if row::get::<Option<&str>>(row, 10)?.is_none() {
            // The job could not be promoted or leased.
            core.refused.note(Refused::Job(row::job_id(row, 0)?), row::get(row, 9)?);
            refused += 1;
        } else {
            jobs.extend(skip_unreadable(row, job(row, request.claim, &request.queue)));
        }
    }
    let unreadable = rows.len() - jobs.len() - promoted.len() - refused;
    Ok(ClaimRows { jobs, promoted, unreadable, now, due_at })
}

fn hint(row: &Row, queue: &QueueName) -> Outcome<Hint> {
    Ok(Hint::new(queue.clone(), row::get(row, 1)?, row::time(row, 2)?))
}

fn job(row: &Row, claim: ClaimId, queue: &QueueName) -> Outcome<ClaimedJob> {
    let job = JobSpec::new(row::job_id(row, 0)?, row::kind(row, 10)?, row::payload(row, 9)?)
        .queue(queue.clone())
        .priority(row::get(row, 1)?)
        .max_retries(row::max_retries(row, 4)?)
        .timeout(row::get::<Interval>(row, 5)?.0)
        .backoff(row::backoff(row, 6)?)
        .attributes(row::attributes(row, 12)?);
    Ok(ClaimedJob::new(claim, row::attempt(row, 3)?, row::time(row, 2)?, job))
}

/// The live leases of a claim, in claim order.
pub(crate) async fn leases(core: &Core, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
    let (worker, claim) = (Id::from(request.worker), Id::from(request.claim));
    let read = async {
        let rows = core.query(&core.statements.leases, &[&worker, &claim]).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            let lease = row::queue(row, 11).and_then(|queue| job(row, request.claim, &queue));
            jobs.extend(skip_unreadable(row, lease));
        }
        jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
        Ok(jobs)
    };
    read.await
        .map_err(|fault: crate::error::Fault| fault.into_error("list the leases of a claim", Effect::Reads))
}
