//! Taking ready jobs for a worker.

use std::cmp::Reverse;
use std::time::Duration;

use queue_core::backend::{ClaimReply, ClaimRequest, ClaimedJob, Cursor, Hint, LeasesRequest};
use queue_core::{ClaimId, Kind, QueueName, Result, Timestamp, Token};
use tokio_postgres::Row;

use crate::core::Core;
use crate::error::{Effect, Outcome, corrupt};
use crate::row;
use crate::types::{After, Id, Interval, Time};

/// Takes jobs, and remembers how far that came.
pub(crate) async fn claim(core: &Core, request: ClaimRequest) -> Result<ClaimReply> {
    let operation = "claim jobs";
    let rows = ask(core, &request).await.map_err(|fault| fault.into_error(operation, Effect::Writes))?;
    // The jobs are taken: a row that cannot be read leaves them to `leases`.
    let taken = read(&rows, &request).map_err(|fault| fault.into_error(operation, Effect::Writes))?;
    let Taken { mut jobs, promoted, now, due_at } = taken;
    jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
    core.waker.ready(promoted);
    if due_at.is_none_or(|due_at| due_at > now) {
        core.waits.promoted(&request.queue, now);
    }
    let mut cursor = request.cursor.unwrap_or_default();
    for job in &jobs {
        cursor.advance(job.priority, (job.run_at, job.token.job));
    }
    Ok(ClaimReply::new(jobs, Some(cursor), due_at.map(|due_at| now.until(due_at))))
}

async fn ask(core: &Core, request: &ClaimRequest) -> Outcome<Vec<Row>> {
    let mut kinds: Vec<&str> = request.kinds.iter().map(Kind::as_str).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let (mut levels, mut run_ats, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (level, (run_at, id)) in request.cursor.iter().flat_map(Cursor::levels) {
        levels.push(level);
        run_ats.push(Time(run_at));
        ids.push(Id::from(id));
    }
    // A claim from the head looks at everything that waits, too.
    let waiting_after = request.cursor.as_ref().and_then(|_| core.waits.after(&request.queue));
    let limit = i32::try_from(request.limit).unwrap_or(i32::MAX);
    let last_attempts = i32::try_from(request.last_attempts).unwrap_or(i32::MAX);
    let statement = &core.statements.claim;
    core.connections
        .query(
            statement,
            &[
                &request.now.map(Time),
                &Id::from(request.worker),
                &Id::from(request.claim),
                &request.queue.as_str(),
                &kinds,
                &limit,
                &last_attempts,
                &Interval(request.grace),
                &levels,
                &run_ats,
                &ids,
                &After(waiting_after),
            ],
        )
        .await
}

struct Taken {
    jobs: Vec<ClaimedJob>,
    promoted: Vec<Hint>,
    now: Timestamp,
    due_at: Option<Timestamp>,
}

fn read(rows: &[Row], request: &ClaimRequest) -> Outcome<Taken> {
    let Some((last, rows)) = rows.split_last() else {
        return Err(corrupt("a claim was answered nothing"));
    };
    let (now, due_at) = (row::time(last, 2)?, row::time_if_any(last, 11)?);
    let mut taken = Taken { jobs: Vec::with_capacity(rows.len()), promoted: Vec::new(), now, due_at };
    for row in rows {
        if row::get::<Option<Id>>(row, 0)?.is_some() {
            taken.jobs.push(job(row, request.claim, &request.queue)?);
        } else {
            taken.promoted.push(Hint {
                queue: request.queue.clone(),
                priority: row::get(row, 1)?,
                run_at: row::time(row, 2)?,
                due_in: Duration::ZERO,
            });
        }
    }
    Ok(taken)
}

fn job(row: &Row, claim: ClaimId, queue: &QueueName) -> Outcome<ClaimedJob> {
    Ok(ClaimedJob {
        token: Token { job: row::job_id(row, 0)?, claim },
        kind: row::kind(row, 10)?,
        queue: queue.clone(),
        priority: row::get(row, 1)?,
        run_at: row::time(row, 2)?,
        attempt: row::attempt(row, 3)?,
        max_retries: row::max_retries(row, 4)?,
        timeout: row::get::<Interval>(row, 5)?.0,
        backoff: row::backoff(row, 6)?,
        payload: row::payload(row, 9)?,
    })
}

/// The live leases of a claim, in the order of a claim.
pub(crate) async fn leases(core: &Core, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
    let (worker, claim) = (Id::from(request.worker), Id::from(request.claim));
    let read = async {
        let rows = core.connections.query(&core.statements.leases, &[&worker, &claim]).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            jobs.push(job(row, request.claim, &row::queue(row, 11)?)?);
        }
        jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.token.job));
        Ok(jobs)
    };
    read.await
        .map_err(|fault: crate::error::Fault| fault.into_error("list the leases of a claim", Effect::Reads))
}
