//! Registers workers, sends heartbeats and retires workers.

use queue_core::backend::{
    Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest,
};
use queue_core::{Error, ErrorKind, JobId, Result};
use tokio::time::sleep;
use tokio_postgres::Row;

use crate::connections::{CROWDED_WAIT, Parameter};
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::row;
use crate::types::{Id, Interval, Time};

/// Maximum number of attempts of a heartbeat while the server has no connection left. They take at
/// most two seconds.
const MAX_ATTEMPTS_WHILE_CROWDED: u32 = 10;

/// Registers a worker.
pub(crate) async fn register(core: &Core, request: &RegisterRequest) -> Result<()> {
    let operation = "register a worker";
    let register = async {
        let (now, worker) = (request.now.map(Time), Id::from(request.worker));
        let parameters: &[Parameter<'_>] = &[&now, &worker, &request.name, &Interval(request.expiry)];
        let rows = core.query(&core.statements.register, parameters).await?;
        row::get::<bool>(row::only(&rows)?, 0)
    };
    match register.await.map_err(|fault: Fault| fault.into_error(operation, Effect::Writes))? {
        true => Ok(()),
        false => {
            let message = format!("the worker {} was registered before", request.worker);
            Err(Error::new(ErrorKind::Conflict, operation, message))
        }
    }
}

/// Sends a heartbeat on its own connection.
pub(crate) async fn heartbeat(core: &Core, request: &HeartbeatRequest) -> Result<HeartbeatReply> {
    let reply = beat(core, request).await;
    reply.map_err(|fault| {
        let error = fault.into_error("send a heartbeat", Effect::Writes);
        if error.kind() == ErrorKind::WorkerLost {
            core.positions.forget(request.worker);
        }
        error
    })
}

async fn beat(core: &Core, request: &HeartbeatRequest) -> Outcome<HeartbeatReply> {
    // In the order of the ids, like each operation that locks several rows, because another order
    // could deadlock.
    let mut reports: Vec<&ProgressReport> = request.progress.iter().collect();
    reports.sort_by_key(|report| report.token.job);
    let jobs: Vec<Id> = reports.iter().map(|report| report.token.job.into()).collect();
    let claims: Vec<Id> = reports.iter().map(|report| report.token.claim.into()).collect();
    let done: Vec<String> = reports.iter().map(|report| report.progress.done.to_string()).collect();
    let total: Vec<String> = reports.iter().map(|report| report.progress.total.to_string()).collect();
    let (now, worker) = (request.now.map(Time), Id::from(request.worker));
    let parameters: [Parameter<'_>; 6] = [&now, &worker, &jobs, &claims, &done, &total];
    let rows = send(core, &parameters).await?;
    let row = row::only(&rows)?;
    let beat = if row::get(row, 0)? { Beat::Late } else { Beat::InTime };
    let cancels: Option<Vec<Id>> = row::get(row, 2)?;
    let cancels = cancels.unwrap_or_default().into_iter().map(|id| JobId::from_bytes(id.0)).collect();
    let (due_at, now) = (row::time_if_any(row, 3)?, row::time(row, 4)?);
    Ok(HeartbeatReply::new(beat, cancels, row::count(row, 1)?, due_at.map(|due_at| now.until(due_at))))
}

/// Sends the heartbeat. If the server has no connection left, closes one of the requests'
/// connections, because requests can wait for the others. Then waits until the server has noticed.
async fn send(core: &Core, parameters: &[Parameter<'_>]) -> Outcome<Vec<Row>> {
    let mut has_closed_one = false;
    for _ in 1..MAX_ATTEMPTS_WHILE_CROWDED {
        match core.heartbeats.query(&core.statements.heartbeat, parameters).await {
            Err(fault) if fault.is_crowded() => {
                has_closed_one = has_closed_one || core.connections.close_one().await;
                sleep(CROWDED_WAIT).await;
            }
            answer => return answer,
        }
    }
    core.heartbeats.query(&core.statements.heartbeat, parameters).await
}

/// Retires a worker.
pub(crate) async fn retire(core: &Core, request: &RetireRequest) -> Result<()> {
    core.positions.forget(request.worker);
    let worker = Id::from(request.worker);
    let answer = core.query(&core.statements.retire, &[&worker]).await;
    answer.map(drop).map_err(|fault| fault.into_error("retire a worker", Effect::Writes))
}
