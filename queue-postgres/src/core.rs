//! What the requests of a handle share.

use std::sync::{Arc, Mutex};

use queue_core::Result;

use crate::config::PostgresConfig;
use crate::connect::Connector;
use crate::connections::Connections;
use crate::damaged::RefusedRows;
use crate::positions::Positions;
use crate::prune::Place;
use crate::statements::Statements;
use crate::wake::{LocalWaker, Waker};

/// The connections, the statements, and what is remembered between requests. Lives as long as the
/// handle, or a request that it made.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) connections: Arc<Connections>,
    /// One connection, apart from the others, which may all be in use. It is the first that is opened, and kept.
    pub(crate) heartbeats: Connections,
    pub(crate) statements: Statements,
    pub(crate) positions: Arc<Positions>,
    pub(crate) swept: Mutex<Place>,
    pub(crate) refused: RefusedRows,
    pub(crate) waker: Waker,
    /// As the server reads it.
    pub(crate) parked_lock_timeout: String,
}

impl Core {
    pub(crate) fn new(
        config: &PostgresConfig,
        connector: &Arc<Connector>,
        local: LocalWaker,
        positions: Arc<Positions>,
    ) -> Result<(Self, crate::wake::Unsent)> {
        let (waker, unsent) = Waker::new(local);
        // 0 would be no limit at all, and more than an i32 is refused.
        let parked_lock_timeout = config.parked_lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        let core = Self {
            connections: Arc::new(Connections::of_requests(config, connector)?),
            heartbeats: Connections::of_heartbeats(config, connector)?,
            statements: Statements::new(&config.schema),
            positions,
            swept: Mutex::default(),
            refused: RefusedRows::default(),
            waker,
            parked_lock_timeout: format!("{parked_lock_timeout}ms"),
        };
        Ok((core, unsent))
    }
}
