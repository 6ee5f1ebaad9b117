//! The life of a worker.

use queue_core::backend::{
    Beat, HeartbeatReply, HeartbeatRequest, ProgressReport, RegisterRequest, RetireRequest,
};
use queue_core::{Error, ErrorKind, JobId, Result};
use tokio::time::sleep;
use tokio_postgres::Row;

use crate::connections::{Parameter, WHILE_CROWDED};
use crate::core::Core;
use crate::error::{Effect, Fault, Outcome};
use crate::row;
use crate::types::{Id, Interval, Time};

/// How often a heartbeat is tried on a server that has no connection left: within two seconds.
const MOST_TRIES_WHILE_CROWDED: u32 = 10;

/// Enters a worker.
pub(crate) async fn register(core: &Core, request: &RegisterRequest) -> Result<()> {
    let operation = "register a worker";
    let register = async {
        let (now, worker) = (request.now.map(Time), Id::from(request.worker));
        let parameters: &[Parameter<'_>] = &[&now, &worker, &request.name, &Interval(request.expiry)];
        let rows = core.connections.query(&core.statements.register, parameters).await?;
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

/// On its own connection.
pub(crate) async fn heartbeat(core: &Core, request: &HeartbeatRequest) -> Result<HeartbeatReply> {
    beat(core, request).await.map_err(|fault| fault.into_error("show that a worker lives", Effect::Writes))
}

async fn beat(core: &Core, request: &HeartbeatRequest) -> Outcome<HeartbeatReply> {
    // In the order of the ids, as all do who lock several rows.
    let mut reports: Vec<&ProgressReport> = request.progress.iter().collect();
    reports.sort_by_key(|report| report.token.job);
    let jobs: Vec<Id> = reports.iter().map(|report| report.token.job.into()).collect();
    let claims: Vec<Id> = reports.iter().map(|report| report.token.claim.into()).collect();
    let done: Vec<String> = reports.iter().map(|report| report.progress.done.to_string()).collect();
    let total: Vec<String> = reports.iter().map(|report| report.progress.total.to_string()).collect();
    let (now, worker) = (request.now.map(Time), Id::from(request.worker));
    let parameters: [Parameter<'_>; 6] = [&now, &worker, &jobs, &claims, &done, &total];
    let rows = ask(core, &parameters).await?;
    let row = row::only(&rows)?;
    let beat = if row::get(row, 0)? { Beat::Late } else { Beat::InTime };
    let cancels: Option<Vec<Id>> = row::get(row, 2)?;
    let cancels = cancels.unwrap_or_default().into_iter().map(|id| JobId::from_bytes(id.0)).collect();
    let (due_at, now) = (row::time_if_any(row, 3)?, row::time(row, 4)?);
    Ok(HeartbeatReply::new(beat, cancels, row::count(row, 1)?, due_at.map(|due_at| now.until(due_at))))
}

/// Sends the heartbeat on its own connection. If the server has no connection left, one of the
/// requests' connections is closed, because requests can wait for the others. The server needs a
/// moment to notice.
async fn ask(core: &Core, parameters: &[Parameter<'_>]) -> Outcome<Vec<Row>> {
    let mut was_given_up = false;
    for _ in 1..MOST_TRIES_WHILE_CROWDED {
        match core.heartbeats.query(&core.statements.heartbeat, parameters).await {
            Err(fault) if fault.is_crowded() => {
                was_given_up = was_given_up || core.connections.give_one_up().await;
                sleep(WHILE_CROWDED).await;
            }
            answer => return answer,
        }
    }
    core.heartbeats.query(&core.statements.heartbeat, parameters).await
}

/// Takes a worker's leave.
pub(crate) async fn retire(core: &Core, request: &RetireRequest) -> Result<()> {
    core.positions.forget(request.worker);
    let worker = Id::from(request.worker);
    let answer = core.connections.query(&core.statements.retire, &[&worker]).await;
    answer.map(drop).map_err(|fault| fault.into_error("retire a worker", Effect::Writes))
}
