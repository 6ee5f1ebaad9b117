//! The settings of the backend and their defaults.

use std::path::PathBuf;

use std::time::Duration;

use queue_core::Result;
use tokio_postgres::config::SslMode;

use crate::schema_name::Schema;
use crate::url;

/// Maximum number of connections that the requests of a handle share (default: 6). A handle keeps
/// one more for heartbeats and one to listen for wake-ups. If the server has fewer for the role, a
/// handle works with two: one for heartbeats and one for requests.
pub const DEFAULT_CONNECTIONS: usize = 6;

/// Maximum time to connect to one address, including TCP, TLS and login (default: 5 s).
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum wait of a request for a connection of the pool (default: 10 s).
pub const DEFAULT_POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum wait of a request for the server's answer (default: 30 s).
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum wait of a heartbeat for the server's answer (default: 4 s). Short enough that a
/// heartbeat on a broken connection can be retried before the worker expires.
pub const DEFAULT_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum wait for each lock of an insert with [the claim of an idle
/// worker](queue_core::backend::InsertRequest::claim) (default: 200 ms). After that, the jobs are
/// inserted without the claim, with the timeouts of an insert, and the worker is free.
pub const DEFAULT_PARKED_LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// Maximum wait of an insert for a [unique key](queue_core::Unique) that a transaction has taken
/// and not yet committed (default: 2 s).
pub const DEFAULT_UNIQUE_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Minimum interval between two NOTIFYs of a handle (default: 10 ms). The first hint after a pause
/// is sent at once. Later hints are sent together at the end of the interval.
pub const DEFAULT_NOTIFY_INTERVAL: Duration = Duration::from_millis(10);

/// Interval between two checks of the listening connection, so that a broken one is noticed
/// (default: 10 s).
pub const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which a handle that cannot listen checks for jobs of other processes (default: 1 s).
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum interval between two claims of a worker that read a queue from its head (default: 5 s).
pub const DEFAULT_HEAD_INTERVAL: Duration = Duration::from_secs(5);

/// Additional claims from the head take at most one part in this many of a worker's time (default:
/// 20, that is 5 %).
pub const DEFAULT_HEAD_SHARE: u32 = 20;

/// Idle time before the first TCP keepalive, and the interval of later ones, unless the driver's
/// configuration sets them. A connection is lost after three without an answer.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);

/// The driver's default.
const DRIVERS_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// How the connections reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Directly, or through a pooler that keeps one session per connection.
    #[default]
    None,
    /// Through a pooler that assigns a session per transaction, such as PgBouncer with
    /// `pool_mode = transaction`. Statements are not prepared, and the handle cannot listen. It
    /// checks for jobs of other processes every [`PostgresConfig::poll_interval`].
    Transaction,
}

/// How opening a handle treats the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Migrate {
    /// Migrate it to the version of this program. An up-to-date schema needs no right to change it.
    #[default]
    Automatically,
    /// Only check that its version fits. The operator migrates it with
    /// [`migrations_sql`](crate::migrations_sql).
    Never,
}

/// The database of the jobs, and settings of its use.
///
/// ```
/// use queue_postgres::PostgresConfig;
///
/// let config = PostgresConfig::from_url("postgres://app:secret@db.example/shop?schema=shop_jobs")?
///     .connections(4);
/// # Ok::<(), queue_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresConfig {
    pub(crate) driver: tokio_postgres::Config,
    pub(crate) schema: Schema,
    pub(crate) connections: usize,
    pub(crate) pooler: Pooler,
    pub(crate) migrate: Migrate,
    pub(crate) connect_timeout: Duration,
    pub(crate) pool_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) parked_lock_timeout: Duration,
    pub(crate) unique_lock_timeout: Duration,
    pub(crate) notify_interval: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) head_interval: Duration,
    pub(crate) head_share: u32,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) shared_pool: Option<deadpool_postgres::Pool>,
}

impl PostgresConfig {
    /// Uses the driver's own configuration, with defaults for all other settings.
    pub fn new(driver: tokio_postgres::Config) -> Self {
        Self {
            driver,
            schema: Schema::default(),
            connections: DEFAULT_CONNECTIONS,
            pooler: Pooler::None,
            migrate: Migrate::Automatically,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            pool_timeout: DEFAULT_POOL_TIMEOUT,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            heartbeat_timeout: DEFAULT_HEARTBEAT_TIMEOUT,
            parked_lock_timeout: DEFAULT_PARKED_LOCK_TIMEOUT,
            unique_lock_timeout: DEFAULT_UNIQUE_LOCK_TIMEOUT,
            notify_interval: DEFAULT_NOTIFY_INTERVAL,
            ping_interval: DEFAULT_PING_INTERVAL,
            poll_interval: DEFAULT_POLL_INTERVAL,
            head_interval: DEFAULT_HEAD_INTERVAL,
            head_share: DEFAULT_HEAD_SHARE,
            root_certificates: None,
            shared_pool: None,
        }
    }

    /// Reads a [URL](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING)
    /// such as `postgres://user:password@host:5432/database`. It may have the parameters of libpq
    /// and sqlx that make sense for a queue. [`database_urls`](crate::database_urls) lists all of
    /// them. These are this library's own:
    ///
    /// | parameter | meaning |
    /// |---|---|
    /// | `schema` | [`schema`](Self::schema) |
    /// | `connections` | [`connections`](Self::connections) |
    /// | `pgbouncer=true` | [`Pooler::Transaction`] |
    /// | `migrate=never` | [`Migrate::Never`] |
    ///
    /// Without a password in the URL, this function reads `PGPASSWORD`, or else the password file.
    ///
    /// # Errors
    /// [`Invalid`](queue_core::ErrorKind::Invalid) names the fault of the URL, but not its
    /// password.
    pub fn from_url(url: &str) -> Result<Self> {
        url::parse(url)
    }

    /// The schema of the tables (default: `queue`). Several schemas in one database are
    /// separate queue storages.
    ///
    /// # Errors
    /// [`Invalid`](queue_core::ErrorKind::Invalid) unless it is 1 to 48 lower-case letters, digits
    /// and underscores, and does not begin with a digit or with `pg_`.
    pub fn schema(mut self, name: &str) -> Result<Self> {
        self.schema = name.parse()?;
        Ok(self)
    }

    /// Maximum number of connections that requests share, at least 1 (default:
    /// [`DEFAULT_CONNECTIONS`]). They are opened on demand.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Uses the application's pool for requests, at most [`connections`](Self::connections) of its
    /// connections at the same time. The handle then has one connection of its own, for heartbeats,
    /// and one more to listen if a worker runs. They are made by the driver's configuration.
    ///
    /// The pool must lead to the same database, by the same [`pooler`](Self::pooler). The handle
    /// must be opened within the runtime that drives the pool. If handlers block that runtime,
    /// requests wait for it; if they hold all connections while they enqueue, requests fail as
    /// `Busy` after [`pool_timeout`](Self::pool_timeout).
    ///
    /// **A connection must come back outside of a transaction and with the default
    /// `synchronous_commit`.** Otherwise a job is acknowledged that a later `ROLLBACK` or a crash
    /// of the server removes. A transaction of the driver rolls back by itself; for a `BEGIN` of
    /// your own, add a `pre_recycle` hook that runs `ROLLBACK`. If the server becomes read-only, or
    /// has no connection for a heartbeat, idle connections of the pool are closed.
    ///
    /// ```no_run
    /// use queue_postgres::deadpool_postgres::{Manager, Pool};
    /// use queue_postgres::tokio_postgres::{Config, NoTls};
    /// use queue_postgres::{PostgresBackend, PostgresConfig};
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let driver: Config = "postgres://app:secret@db.example/shop".parse()?;
    /// let pool = Pool::builder(Manager::new(driver.clone(), NoTls)).max_size(10).build()?;
    /// let config = PostgresConfig::new(driver).shared_pool(pool.clone()).connections(4);
    /// let backend = PostgresBackend::open(config).await?;
    /// # Ok(()) }
    /// ```
    pub fn shared_pool(mut self, pool: deadpool_postgres::Pool) -> Self {
        self.shared_pool = Some(pool);
        self
    }

    /// How the connections reach the server (default: [`Pooler::None`]).
    pub const fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// How opening treats the schema (default: [`Migrate::Automatically`]).
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// Maximum time to connect to each address of each host (default: [`DEFAULT_CONNECT_TIMEOUT`]).
    /// A limit in the driver's configuration, or `connect_timeout` in a URL, takes precedence.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Maximum wait of a request for a connection (default: [`DEFAULT_POOL_TIMEOUT`]). It then
    /// fails with [`Busy`](queue_core::ErrorKind::Busy) if all are in use. It fails with
    /// [`Unavailable`](queue_core::ErrorKind::Unavailable) if a new connection was not established;
    /// the next attempt begins with the next address.
    pub const fn pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool_timeout = timeout;
        self
    }

    /// Maximum wait of a request for the server's answer (default: [`DEFAULT_REQUEST_TIMEOUT`]). A
    /// request that writes then fails with
    /// [`UnknownOutcome`](queue_core::ErrorKind::UnknownOutcome).
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Maximum wait of a heartbeat for its connection, and again for the server's answer (default:
    /// [`DEFAULT_HEARTBEAT_TIMEOUT`]).
    pub const fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Maximum wait for each lock of an insert with the claim of an idle worker (default:
    /// [`DEFAULT_PARKED_LOCK_TIMEOUT`]). The insert is then sent again without the claim. The time
    /// is in whole milliseconds, from 1 to [`i32::MAX`]. Choose it far below
    /// [`request_timeout`](Self::request_timeout), at which the insert itself times out.
    pub const fn parked_lock_timeout(mut self, timeout: Duration) -> Self {
        self.parked_lock_timeout = timeout;
        self
    }

    /// Maximum wait of an insert for a unique key that another transaction has taken and not yet
    /// committed, such as a transaction of an application (default:
    /// [`DEFAULT_UNIQUE_LOCK_TIMEOUT`]). The insert then fails with
    /// [`Busy`](queue_core::ErrorKind::Busy). It also limits the wait of a settle for a transaction
    /// that completes the same job; the worker then settles that job later, apart from the others.
    /// The time is in whole milliseconds, from 1 to [`i32::MAX`].
    pub const fn unique_lock_timeout(mut self, timeout: Duration) -> Self {
        self.unique_lock_timeout = timeout;
        self
    }

    /// Minimum interval between two NOTIFYs (default: [`DEFAULT_NOTIFY_INTERVAL`]).
    pub const fn notify_interval(mut self, interval: Duration) -> Self {
        self.notify_interval = interval;
        self
    }

    /// Interval between two checks of the listening connection (default:
    /// [`DEFAULT_PING_INTERVAL`]).
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Interval of checks for jobs of other processes behind a [`Pooler::Transaction`] (default:
    /// [`DEFAULT_POLL_INTERVAL`]).
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Maximum interval between two claims of a worker that read a queue from its head (default:
    /// [`DEFAULT_HEAD_INTERVAL`]). The claims between them start after the last job that the worker
    /// claimed. Otherwise, while another transaction holds an old snapshot, each claim would read
    /// the index entries of all jobs claimed since. If the wake-up of a job before that position is
    /// lost, a busy worker skips the job for at most this interval. An idle worker finds it at its
    /// next poll.
    pub const fn head_interval(mut self, interval: Duration) -> Self {
        self.head_interval = interval;
        self
    }

    /// Limits additional claims from the head, between those of each
    /// [`head_interval`](Self::head_interval), to one part in `share` of a worker's time (default:
    /// [`DEFAULT_HEAD_SHARE`]). `share` must be at least 1. With 1, each claim that finds nothing
    /// after the worker's position reads the whole queue.
    pub const fn head_share(mut self, share: u32) -> Self {
        self.head_share = share;
        self
    }

    /// Requires TLS and a server certificate signed by one of the certificates in this PEM file,
    /// instead of those that the system trusts. Needs the feature `tls`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Requires TLS and a server certificate that is valid for the host name and signed by a
    /// certificate that the system trusts.
    #[cfg(feature = "tls")]
    pub fn require_tls(mut self) -> Self {
        self.driver.ssl_mode(SslMode::Require);
        self
    }

    /// The driver's configuration, completed for the connections of a handle.
    pub(crate) fn for_connections(&self) -> tokio_postgres::Config {
        let mut driver = self.driver.clone();
        if driver.get_application_name().is_none() {
            driver.application_name("queue");
        }
        // Finds an idle connection that was cut silently before a request waits on it.
        if driver.get_keepalives_idle() == DRIVERS_KEEPALIVES_IDLE {
            let interval = driver.get_keepalives_interval().unwrap_or(KEEPALIVES_INTERVAL);
            let retries = driver.get_keepalives_retries().unwrap_or(3);
            driver.keepalives_idle(KEEPALIVES_IDLE).keepalives_interval(interval).keepalives_retries(retries);
        }
        if self.requires_tls() {
            driver.ssl_mode(SslMode::Require);
        }
        driver
    }

    /// Whether the connection must be by TLS.
    pub(crate) fn requires_tls(&self) -> bool {
        self.driver.get_ssl_mode() == SslMode::Require || self.root_certificates.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_keepalives_are_kept() {
        let driver = "host=a keepalives_interval=3".parse().unwrap();
        let driver = PostgresConfig::new(driver).for_connections();
        assert_eq!(driver.get_keepalives_idle(), KEEPALIVES_IDLE);
        assert_eq!(driver.get_keepalives_interval(), Some(Duration::from_secs(3)));
        assert_eq!(driver.get_keepalives_retries(), Some(3));
    }
}
