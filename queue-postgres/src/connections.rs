//! The connections to the server, and one question on one of them.

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
use crate::connect::{Connector, Unreached};
use crate::error::{Effect, Fault, Outcome};

/// How often a request is made again whose transaction stood in the way of others.
const MOST_TRIES: u32 = 8;

/// The wait before the second of these tries; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(2);

/// How long the connections that a server refused are done without, one after another.
const WITHOUT_REFUSED: Duration = Duration::from_secs(10);

/// The wait between two attempts to get a connection from a server that has none left.
pub(crate) const WHILE_CROWDED: Duration = Duration::from_millis(100);

/// A parameter of a statement.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// One statement: its text, with the name of the schema in it, and the types of its parameters.
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

    /// A statement that is a transaction of its own.
    pub(crate) fn writes(sql: String, types: &[Type]) -> Self {
        Self { sql, types: types.to_vec(), effect: Effect::Writes }
    }

    pub(crate) const fn effect(&self) -> Effect {
        self.effect
    }
}

/// Connections that are shared.
///
/// A server that has no connection left for this role does not fail a request for which one exists:
/// the places of those that it refused are taken away for a while, and requests wait for the
/// others.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool<Sessions>,
    places: Arc<Semaphore>,
    refused: Mutex<Refused>,
    most: usize,
    /// How long a request waits for one of them.
    patience: Duration,
    when_crowded: WhenCrowded,
    pooler: Pooler,
    unless_given_back: fn(Object<Sessions>),
    answer_timeout: Duration,
}

/// What a request does that finds no connection, of a server that has none left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenCrowded {
    /// It waits for one of those that there are.
    Wait,
    Fail,
}

/// Places for which the server had no connection.
#[derive(Debug)]
struct Refused {
    many: usize,
    /// How often, since there was one for each place.
    times: u32,
    again_at: Instant,
}

/// Makes the sessions of a pool.
#[derive(Debug)]
pub(crate) struct Sessions(Arc<Connector>);

impl managed::Manager for Sessions {
    type Type = ClientWrapper;
    type Error = Unreached;

    async fn create(&self) -> Result<ClientWrapper, Unreached> {
        // Rare, and large: otherwise each request would carry room for it.
        Box::pin(self.0.session()).await
    }

    async fn recycle(
        &self,
        session: &mut ClientWrapper,
        _: &managed::Metrics,
    ) -> managed::RecycleResult<Unreached> {
        if session.is_closed() { Err(managed::RecycleError::message("it was closed")) } else { Ok(()) }
    }
}

/// A connection that is in use.
pub(crate) struct Lent {
    session: ScopeGuard<Object<Sessions>, fn(Object<Sessions>)>,
    _place: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.session
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.session
    }
}

impl Connections {
    /// Those of the requests, opened as they are needed.
    pub(crate) fn of_requests(config: &PostgresConfig, connector: &Arc<Connector>) -> Result<Self> {
        let connections = Self::new(config, connector, config.connections.max(1))?;
        Ok(Self { patience: config.pool_timeout, answer_timeout: config.request_timeout, ..connections })
    }

    /// The one of the heartbeats, which must not wait for requests.
    pub(crate) fn of_heartbeats(config: &PostgresConfig, connector: &Arc<Connector>) -> Result<Self> {
        let connections = Self::new(config, connector, 1)?;
        let timeout = config.heartbeat_timeout;
        Ok(Self {
            patience: timeout,
            answer_timeout: timeout,
            when_crowded: WhenCrowded::Fail,
            ..connections
        })
    }

    fn new(config: &PostgresConfig, connector: &Arc<Connector>, most: usize) -> Result<Self> {
        let pool = Pool::builder(Sessions(Arc::clone(connector))).max_size(most).queue_mode(QueueMode::Lifo);
        let pool = pool.build().map_err(|error| {
            Error::new(ErrorKind::Invalid, "open the database", "the pool cannot be built").with_source(error)
        })?;
        let unless_given_back = match config.pooler {
            Pooler::None => drop,
            // If it was cut off, it owes the rest of an answer. PgBouncer takes a session for idle
            // when that comes, whatever was asked since; if this process dies at that moment, it
            // gives the session to somebody else, who gets our answer for theirs:
            // <https://github.com/pgbouncer/pgbouncer/issues/759>.
            Pooler::Transaction => close,
        };
        Ok(Self {
            pool,
            places: Arc::new(Semaphore::new(most)),
            refused: Mutex::new(Refused { many: 0, times: 0, again_at: Instant::now() }),
            most,
            patience: config.pool_timeout,
            when_crowded: WhenCrowded::Wait,
            pooler: config.pooler,
            unless_given_back,
            answer_timeout: config.request_timeout,
        })
    }

    /// The rows of an answer. Transactions that stood in each other's way are made again, and so is
    /// a read whose connection broke.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Outcome<Vec<Row>> {
        let mut wait = FIRST_WAIT;
        for _ in 1..MOST_TRIES {
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
            match timeout(self.answer_timeout, self.ask(&connection, statement, parameters)).await {
                Ok(Ok(whole)) => (whole.map_err(Fault::from), true),
                Ok(Err(error)) => (Err(Fault::from(error)), false),
                Err(_) => (Err(Fault::Silent(self.answer_timeout)), false),
            };
        self.give_back(connection, &answer, is_whole);
        answer
    }

    /// The inner result is that of a whole answer, after which nothing more comes.
    async fn ask(
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
            // Parsed, run and forgotten in one go: the next request may meet another session.
            Pooler::Transaction => {
                let typed = parameters.zip(statement.types.iter().cloned());
                Ok(whole(connection.query_typed_raw(&statement.sql, typed).await?).await)
            }
        }
    }

    /// Makes the first connection, however long all addresses of all hosts take.
    pub(crate) async fn connect(&self) -> Outcome<()> {
        match self.pool.get().await {
            Ok(session) => {
                drop(session);
                Ok(())
            }
            Err(managed::PoolError::Backend(error)) => Err(Fault::Unreached(error)),
            Err(_) => Err(Fault::Occupied),
        }
    }

    /// One of the connections, for more than one question; to be [given back](Self::give_back).
    pub(crate) async fn connection(&self) -> Outcome<Lent> {
        self.connection_within(self.patience).await
    }

    async fn connection_within(&self, patience: Duration) -> Outcome<Lent> {
        let deadline = tokio::time::Instant::now() + patience;
        self.try_refused_again();
        let mut refusal = None;
        loop {
            // First, what is free at once.
            let place = match Arc::clone(&self.places).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => match timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) | Err(_) => return Err(Fault::Occupied),
                },
            };
            // An attempt that is dropped here has the next one begin with the next address.
            match timeout_at(deadline, self.pool.get()).await {
                Ok(Ok(session)) => {
                    let session = scopeguard::guard(session, self.unless_given_back);
                    return Ok(Lent { session, _place: place });
                }
                Err(_) => return Err(refusal.map_or(Fault::NotConnected(patience), Fault::Unreached)),
                Ok(Err(managed::PoolError::Backend(error))) => {
                    let waits = error.is_crowded() && self.when_crowded == WhenCrowded::Wait;
                    if !waits || tokio::time::Instant::now() >= deadline {
                        return Err(Fault::Unreached(error));
                    }
                    if let Some(place) = self.do_without(place) {
                        drop(place);
                        sleep(WHILE_CROWDED).await;
                    }
                    refusal = Some(error);
                }
                // It has a place for each of ours, and no hooks.
                Ok(Err(_)) => return Err(Fault::Occupied),
            }
        }
    }

    /// Takes a place away, unless it is the last one.
    fn do_without(&self, place: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let mut refused = ignore_poison(self.refused.lock());
        refused.again_at = Instant::now() + WITHOUT_REFUSED;
        if refused.many + 1 >= self.most {
            return Some(place);
        }
        refused.many += 1;
        refused.times = refused.times.saturating_add(1);
        if refused.times.is_power_of_two() {
            let (left, times) = (self.most - refused.many, refused.times);
            tracing::warn!(
                left,
                times,
                "the server has no more connections for this role; requests share those that there are"
            );
        }
        place.forget();
        None
    }

    /// Gives back one of the places that were taken away, once in a while.
    fn try_refused_again(&self) {
        let mut refused = ignore_poison(self.refused.lock());
        if refused.many > 0 && refused.again_at <= Instant::now() {
            refused.many -= 1;
            if refused.many == 0 {
                refused.times = 0;
            }
            refused.again_at = Instant::now() + WITHOUT_REFUSED;
            self.places.add_permits(1);
        }
    }

    /// Closes one of the connections, so that the server has one for a heartbeat. Waits at most
    /// [`WHILE_CROWDED`] for it. Returns whether it closed one.
    pub(crate) async fn give_one_up(&self) -> bool {
        let Ok(connection) = self.connection_within(WHILE_CROWDED).await else { return false };
        let Lent { session, _place: place } = connection;
        close(ScopeGuard::into_inner(session));
        drop(self.do_without(place));
        true
    }

    /// Closes those that are not in use: they lead to a server that takes no writes any more.
    pub(crate) fn close_idle(&self) {
        drop(self.pool.retain(|_, _| false));
    }

    /// Takes a connection back after the last answer on it, which is whole if nothing more comes
    /// after it.
    pub(crate) fn give_back<T>(&self, connection: Lent, answer: &Outcome<T>, is_whole: bool) {
        if answer.as_ref().is_err_and(Fault::is_read_only) {
            self.close_idle();
        }
        if answer.as_ref().is_err_and(Fault::breaks_connection) {
            close(ScopeGuard::into_inner(connection.session));
        } else if is_whole {
            drop(ScopeGuard::into_inner(connection.session));
        }
    }
}

/// The rows of an answer, or its error, once nothing more comes: only then a transaction that
/// failed has let go of its locks.
async fn whole(stream: RowStream) -> Result<Vec<Row>, tokio_postgres::Error> {
    let mut stream = pin!(stream);
    let mut answer = Ok(Vec::new());
    while let Some(next) = stream.next().await {
        match (next, &mut answer) {
            (Ok(row), Ok(rows)) => rows.push(row),
            (Ok(_), Err(_)) => {}
            (Err(error), Ok(_)) => answer = Err(error),
            // It is broken: there is no end.
            (Err(_), Err(_)) => break,
        }
    }
    answer
}

/// Takes a connection from the others, and closes it.
fn close(connection: Object<Sessions>) {
    drop(Object::take(connection));
}
