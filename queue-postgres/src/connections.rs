//! The connection pool, and one request on one connection.

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Object, Pool, QueueMode};
use deadpool_postgres::ClientWrapper;
use futures_util::StreamExt as _;
use queue_core::backend::ignore_poison;
use queue_core::{Error, ErrorKind, Result};
use scopeguard::ScopeGuard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::config::{Pooler, PostgresConfig};
use crate::connect::Connector;
use crate::error::{Effect, Fault, Outcome};
use crate::sessions::{Session, Sessions, close, give_back};

/// Maximum number of attempts for a request whose transaction conflicted with another.
const MAX_ATTEMPTS: u32 = 8;

/// Wait before the second of these attempts; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(2);

/// Time for which the pool does without connections that the server refused. They are then tried
/// one after another.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// Wait between two attempts to connect to a server that has no connection left.
pub(crate) const CROWDED_WAIT: Duration = Duration::from_millis(100);

/// A parameter of a statement.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// One statement: its text with the name of the schema, and the types of its parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    sql: String,
    types: Vec<Type>,
    effect: Effect,
}

impl Statement {
    /// A statement that changes nothing.
    pub(crate) fn reads(sql: String, types: &[Type]) -> Self {
        Self { sql, types: types.to_vec(), effect: Effect::Reads }
    }

    /// A statement that writes; each call is one transaction.
    pub(crate) fn writes(sql: String, types: &[Type]) -> Self {
        Self { sql, types: types.to_vec(), effect: Effect::Writes }
    }

    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }
}

/// A pool of connections.
///
/// If the server has no connection left for this role, a request waits for one of the pool. For a
/// while, the pool withholds the permits of connections that the server refused.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool<Sessions>,
    permits: Arc<Semaphore>,
    refused: Mutex<RefusedConnections>,
    max_connections: usize,
    /// Maximum wait of a request for a connection.
    wait_timeout: Duration,
    when_crowded: WhenCrowded,
    pooler: Pooler,
    unless_returned: fn(Object<Sessions>),
    answer_timeout: Duration,
}

/// How a request waits if the server has no connection left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenCrowded {
    /// Waits for a connection of the pool.
    Wait,
    Fail,
}

/// Permits that are withheld because the server had no connection for them.
#[derive(Debug)]
struct RefusedConnections {
    count: usize,
    /// Number of refusals since no permit was withheld.
    times: u32,
    again_at: Instant,
}

/// A connection in use, which counts against the permits.
pub(crate) struct PooledConnection {
    session: ScopeGuard<Object<Sessions>, fn(Object<Sessions>)>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for PooledConnection {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Connections {
    /// The connections of requests, opened on demand.
    pub(crate) fn of_requests(config: &PostgresConfig, connector: &Arc<Connector>) -> Result<Self> {
        let sessions = Sessions::of_requests(config, connector)?;
        let connections = Self::new(config, sessions, config.connections.max(1))?;
        Ok(Self { wait_timeout: config.pool_timeout, answer_timeout: config.request_timeout, ..connections })
    }

    /// The connection of heartbeats, which must not wait for requests.
    pub(crate) fn of_heartbeats(config: &PostgresConfig, connector: &Arc<Connector>) -> Result<Self> {
        let connections = Self::new(config, Sessions::Own(Arc::clone(connector)), 1)?;
        let timeout = config.heartbeat_timeout;
        Ok(Self {
            wait_timeout: timeout,
            answer_timeout: timeout,
            when_crowded: WhenCrowded::Fail,
            ..connections
        })
    }

    fn new(config: &PostgresConfig, sessions: Sessions, max_connections: usize) -> Result<Self> {
        let pool = Pool::builder(sessions).max_size(max_connections).queue_mode(QueueMode::Lifo);
        let pool = pool.build().map_err(|error| {
            Error::new(ErrorKind::Invalid, "open the database", "the pool cannot be built").with_source(error)
        })?;
        let unless_returned = match config.pooler {
            Pooler::None => give_back,
            // The server may still send the rest of an answer. PgBouncer treats the session as idle
            // when it arrives, even if the client has sent another request. If this process dies at
            // that moment, PgBouncer assigns the session to another client, which gets our answer:
            // <https://github.com/pgbouncer/pgbouncer/issues/759>.
            Pooler::Transaction => close,
        };
        Ok(Self {
            pool,
            permits: Arc::new(Semaphore::new(max_connections)),
            refused: Mutex::new(RefusedConnections { count: 0, times: 0, again_at: Instant::now() }),
            max_connections,
            wait_timeout: config.pool_timeout,
            when_crowded: WhenCrowded::Wait,
            pooler: config.pooler,
            unless_returned,
            answer_timeout: config.request_timeout,
        })
    }

    /// Runs a statement and returns its rows. Retries transactions that conflicted with others, and
    /// reads whose connection broke.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Outcome<Vec<Row>> {
        let mut wait = FIRST_WAIT;
        for _ in 1..MAX_ATTEMPTS {
            match self.query_once(statement, parameters).await {
                Err(fault) if fault.is_transient() => {
                    sleep(wait).await;
                    wait *= 2;
                }
                Err(fault) if fault.is_lost_connection() && statement.effect == Effect::Reads => {}
                Err(fault) if self.pooler == Pooler::None && fault.is_stale_plan() => {}
                answer => return answer,
            }
        }
        self.query_once(statement, parameters).await
    }

    async fn query_once(&self, statement: &Statement, parameters: &[Parameter<'_>]) -> Outcome<Vec<Row>> {
        let connection = self.connection().await?;
        let (answer, is_whole) =
            match timeout(self.answer_timeout, self.send(&connection, statement, parameters)).await {
                Ok(Ok(whole)) => (whole.map_err(Fault::from), true),
                Ok(Err(error)) => (Err(Fault::from(error)), false),
                Err(_) => (Err(Fault::TimedOut(self.answer_timeout)), false),
            };
        self.return_connection(connection, &answer, is_whole);
        answer
    }

    /// The inner result is that of a complete answer.
    async fn send(
        &self,
        connection: &ClientWrapper,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, tokio_postgres::Error> {
        let parameters = parameters.iter().copied();
        match self.pooler {
            Pooler::None => {
                let prepared = connection.prepare_typed_cached(&statement.sql, &statement.types).await?;
                Ok(whole(connection.query_raw(&prepared, parameters).await?).await)
            }
            // Parses and runs in one request, because the next request may use another session.
            Pooler::Transaction => {
                let typed = parameters.zip(statement.types.iter().cloned());
                Ok(whole(connection.query_typed_raw(&statement.sql, typed).await?).await)
            }
        }
    }

    /// Makes the first connection. Waits until all addresses of all hosts were tried.
    pub(crate) async fn connect(&self) -> Outcome<()> {
        match self.pool.get().await {
            Ok(session) => {
                give_back(session);
                Ok(())
            }
            Err(managed::PoolError::Backend(error)) => Err(Fault::Unreached(error)),
            Err(_) => Err(Fault::Occupied),
        }
    }

    /// Takes a connection for more than one statement. The caller must [return
    /// it](Self::return_connection).
    pub(crate) async fn connection(&self) -> Outcome<PooledConnection> {
        self.connection_within(self.wait_timeout).await
    }

    async fn connection_within(&self, wait_timeout: Duration) -> Outcome<PooledConnection> {
        let deadline = tokio::time::Instant::now() + wait_timeout;
        self.retry_refused();
        let mut refusal = None;
        // What the request ran out of time for: it may get a permit only at its deadline.
        let mut timed_out = if self.pool.manager().are_shared() {
            Fault::Occupied
        } else {
            Fault::NotConnected(wait_timeout)
        };
        loop {
            // Tries without waiting first.
            let permit = match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => match timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await {
                    Ok(Ok(permit)) => {
                        timed_out = Fault::Occupied;
                        permit
                    }
                    Ok(Err(_)) | Err(_) => return Err(Fault::Occupied),
                },
            };
            // If this attempt is dropped, the next one begins with the next address.
            match timeout_at(deadline, self.pool.get()).await {
                Ok(Ok(session)) => {
                    let session = scopeguard::guard(session, self.unless_returned);
                    return Ok(PooledConnection { session, _permit: permit });
                }
                Err(_) => return Err(refusal.map_or(timed_out, Fault::Unreached)),
                Ok(Err(managed::PoolError::Backend(error))) => {
                    let waits = error.is_crowded() && self.when_crowded == WhenCrowded::Wait;
                    if !waits || tokio::time::Instant::now() >= deadline {
                        return Err(Fault::Unreached(error));
                    }
                    if let Some(permit) = self.withhold(permit) {
                        drop(permit);
                        sleep(CROWDED_WAIT).await;
                    }
                    refusal = Some(error);
                }
                // The pool has room for each permit and has no hooks.
                Ok(Err(_)) => return Err(Fault::Occupied),
            }
        }
    }

    /// Withholds a permit, unless it is the last one.
    fn withhold(&self, permit: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let mut refused = ignore_poison(self.refused.lock());
        refused.again_at = Instant::now() + REFUSED_WAIT;
        if refused.count + 1 >= self.max_connections {
            return Some(permit);
        }
        refused.count += 1;
        refused.times = refused.times.saturating_add(1);
        if refused.times.is_power_of_two() {
            let (left, times) = (self.max_connections - refused.count, refused.times);
            tracing::warn!(
                left,
                times,
                "no connection is left for this role; requests share the open connections"
            );
        }
        permit.forget();
        None
    }

    /// Returns one withheld permit per [`REFUSED_WAIT`].
    fn retry_refused(&self) {
        let mut refused = ignore_poison(self.refused.lock());
        if refused.count > 0 && refused.again_at <= Instant::now() {
            refused.count -= 1;
            if refused.count == 0 {
                refused.times = 0;
            }
            refused.again_at = Instant::now() + REFUSED_WAIT;
            self.permits.add_permits(1);
        }
    }

    /// Closes a connection, so that the server has one for a heartbeat. Waits at most
    /// [`CROWDED_WAIT`] for a free one. Returns whether it closed one.
    pub(crate) async fn close_one(&self) -> bool {
        let Ok(connection) = self.connection_within(CROWDED_WAIT).await else { return false };
        let PooledConnection { session, _permit: permit } = connection;
        close(ScopeGuard::into_inner(session));
        drop(self.withhold(permit));
        true
    }

    /// Closes idle connections, because their server is read-only now.
    pub(crate) fn close_idle(&self) {
        drop(self.pool.retain(|_, _| false));
        self.pool.manager().close_idle();
    }

    /// Returns a connection to the pool after its last answer. `is_whole` means that the server
    /// sends nothing more.
    pub(crate) fn return_connection<T>(
        &self,
        connection: PooledConnection,
        answer: &Outcome<T>,
        is_whole: bool,
    ) {
        if answer.as_ref().is_err_and(Fault::is_read_only) {
            self.close_idle();
        }
        if answer.as_ref().is_err_and(Fault::breaks_connection) {
            close(ScopeGuard::into_inner(connection.session));
        } else if is_whole {
            give_back(ScopeGuard::into_inner(connection.session));
        }
    }
}

/// Returns the rows or the error after the whole answer has arrived. Only then has a failed
/// transaction released its locks.
async fn whole(stream: RowStream) -> Result<Vec<Row>, tokio_postgres::Error> {
    let mut stream = pin!(stream);
    let mut answer = Ok(Vec::new());
    while let Some(next) = stream.next().await {
        match (next, &mut answer) {
            (Ok(row), Ok(rows)) => rows.push(row),
            (Ok(_), Err(_)) => {}
            (Err(error), Ok(_)) => answer = Err(error),
            // The connection is broken, so the answer has no end.
            (Err(_), Err(_)) => break,
        }
    }
    answer
}
