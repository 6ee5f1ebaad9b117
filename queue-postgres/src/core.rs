//! State that the requests of a handle share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue_core::Result;
use tokio_postgres::Row;

use crate::config::PostgresConfig;
use crate::connect::Connector;
use crate::connections::{Connections, Parameter, Statement};
use crate::damaged::RefusedRows;
use crate::error::{Effect, Fault, Outcome};
use crate::positions::Positions;
use crate::prune::SweepPosition;
use crate::statements::Statements;
use crate::wake::{LocalWaker, Waker};

/// The connections, the statements, and the state kept between requests. Dropped with the handle,
/// or with its last request.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) connections: Arc<Connections>,
    /// One connection apart from those of requests, which may all be in use. It is opened first and
    /// kept open.
    pub(crate) heartbeats: Connections,
    pub(crate) statements: Statements,
    pub(crate) positions: Arc<Positions>,
    pub(crate) sweep_position: Mutex<SweepPosition>,
    pub(crate) refused: RefusedRows,
    pub(crate) waker: Waker,
    /// In the form of the server, such as `200ms`.
    pub(crate) parked_lock_timeout: String,
    pub(crate) unique_lock_timeout: String,
}

impl Core {
    pub(crate) fn new(
        config: &PostgresConfig,
        connector: &Arc<Connector>,
        local: LocalWaker,
        positions: Arc<Positions>,
    ) -> Result<(Self, crate::wake::Unsent)> {
        let (waker, unsent) = Waker::new(local);
        let core = Self {
            connections: Arc::new(Connections::of_requests(config, connector)?),
            heartbeats: Connections::of_heartbeats(config, connector)?,
            statements: Statements::new(&config.schema),
            positions,
            sweep_position: Mutex::default(),
            refused: RefusedRows::default(),
            waker,
            parked_lock_timeout: milliseconds(config.parked_lock_timeout),
            unique_lock_timeout: milliseconds(config.unique_lock_timeout),
        };
        Ok((core, unsent))
    }

    /// Sends a request's statement. After a write of unknown outcome all workers are woken, because
    /// the write may have made jobs ready that no hint names.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Outcome<Vec<Row>> {
        let answer = self.connections.query(statement, parameters).await;
        let is_unknown = answer.as_ref().is_err_and(Fault::leaves_outcome_unknown);
        if is_unknown && statement.effect() == Effect::Writes {
            self.waker.unknown();
        }
        answer
    }
}

/// A timeout for the server. To it, 0 means no limit, and it refuses more than an `i32`.
fn milliseconds(timeout: Duration) -> String {
    format!("{}ms", timeout.as_millis().clamp(1, i32::MAX as u128))
}
