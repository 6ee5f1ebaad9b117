//! The connections to the server, and one question on one of them.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use futures_util::StreamExt as _;
use queue_core::{Error, ErrorKind, Result};
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};

use crate::config::{Pooler, PostgresConfig};
use crate::error::{Effect, Fault, Outcome};
use crate::tls::Tls;

/// How often a request is made again whose transaction stood in the way of others.
const MOST_TRIES: u32 = 8;

/// The wait before the second of these tries; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(2);

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
#[derive(Debug)]
pub(crate) struct Connections {
    pool: Pool,
    pooler: Pooler,
    unless_given_back: fn(Object),
    answer_timeout: Duration,
}

/// A connection that is in use.
pub(crate) type Lent = ScopeGuard<Object, fn(Object)>;

impl Connections {
    /// Up to `most` of them, opened as they are needed.
    pub(crate) fn new(
        config: &PostgresConfig,
        tls: &Tls,
        most: usize,
        answer_timeout: Duration,
    ) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let driver = config.for_connections();
        let manager = match tls {
            Tls::Off(connector) => Manager::from_config(driver, *connector, recycling),
            #[cfg(feature = "tls")]
            Tls::Rustls(connector) => Manager::from_config(driver, connector.clone(), recycling),
        };
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .max_size(most.max(1))
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(config.pool_timeout))
            .create_timeout(Some(config.connect_timeout))
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Invalid, "open the database", "the pool cannot be built")
                    .with_source(error)
            })?;
        let unless_given_back = match config.pooler {
            Pooler::None => drop,
            // If it was cut off, it owes the rest of an answer. PgBouncer takes a session for idle when that comes,
            // whatever was asked since; if this process dies at that moment, it gives the session to somebody else, who gets our
            // answer for theirs: <https://github.com/pgbouncer/pgbouncer/issues/759>.
            Pooler::Transaction => close,
        };
        Ok(Self { pool, pooler: config.pooler, unless_given_back, answer_timeout })
    }

    /// The rows of an answer. Transactions that stood in each other's way are made again, and so is a
    /// read whose connection broke.
    pub(crate) async fn query(
        &self,
        statement: &Statement,
        parameters: &[Parameter<'_>],
    ) -> Outcome<Vec<Row>> {
        let mut wait = FIRST_WAIT;
        for _ in 1..MOST_TRIES {
            match self.query_once(statement, parameters).await {
                Err(fault) if fault.is_transient() => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(fault) if fault.is_lost_connection() && statement.effect == Effect::Reads => {}
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
        Self::give_back(connection, &answer, is_whole);
        answer
    }

    /// The inner result is that of a whole answer, after which nothing more comes.
    async fn ask(
        &self,
        connection: &Object,
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

    /// One of the connections, for more than one question; to be [given back](Self::give_back).
    pub(crate) async fn connection(&self) -> Outcome<Lent> {
        let connection = self.pool.get().await.map_err(Fault::Unreached)?;
        Ok(scopeguard::guard(connection, self.unless_given_back))
    }

    /// Takes a connection back after the last answer on it, which is whole if nothing more comes after it.
    pub(crate) fn give_back<T>(connection: Lent, answer: &Outcome<T>, is_whole: bool) {
        if answer.as_ref().is_err_and(Fault::breaks_connection) {
            close(ScopeGuard::into_inner(connection));
        } else if is_whole {
            drop(ScopeGuard::into_inner(connection));
        }
    }
}

/// The rows of an answer, or its error, once nothing more comes: only then a transaction that failed has let go of its locks.
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
fn close(connection: Object) {
    drop(Object::take(connection));
}
