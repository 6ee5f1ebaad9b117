//! What a user may set, with its defaults.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use queue_core::{Error, Result};
use tokio_postgres::config::SslMode;

use crate::url;

/// The schema of the tables unless set otherwise.
pub const DEFAULT_SCHEMA: &str = "queue";

/// The most connections that a handle shares among its requests, unless set otherwise. One more is
/// kept for heartbeats, and one to listen for wake-ups. Where the server has fewer for the role, a
/// handle does with two: one for heartbeats, and one for requests.
pub const DEFAULT_CONNECTIONS: usize = 6;

/// How long a new connection may take to come up at one address, TCP, TLS and login together,
/// unless set otherwise.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for one of the connections, unless set otherwise.
pub const DEFAULT_POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request waits for the server's answer, unless set otherwise.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a heartbeat waits for the server's answer, unless set otherwise: a connection that is
/// silent is given up early enough for another try before the worker expires.
pub const DEFAULT_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an insert with [the claim of an idle worker](queue_core::backend::InsertRequest::claim)
/// waits for each lock, unless set otherwise. Then its jobs are entered without the claim, with all
/// the patience of an insert, and the worker is free.
pub const DEFAULT_PARKED_LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// The least time between two notifications of a handle, unless set otherwise. The first after a
/// pause goes out at once, and what comes meanwhile goes out together at the end.
pub const DEFAULT_NOTIFY_INTERVAL: Duration = Duration::from_millis(10);

/// How often the connection that listens is tried, so that one that is cut off is noticed, unless
/// set otherwise.
pub const DEFAULT_PING_INTERVAL: Duration = Duration::from_secs(10);

/// How often a handle that cannot listen looks for jobs that other processes entered, unless set
/// otherwise.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two claims of a worker that look at a whole queue, unless set
/// otherwise.
pub const DEFAULT_HEAD_INTERVAL: Duration = Duration::from_secs(5);

/// Between these, claims that look at a whole queue take at most one part in this many of a
/// worker's time, unless set otherwise.
pub const DEFAULT_HEAD_SHARE: u32 = 20;

/// After how long a silent connection is tried by TCP, and how long after that again, unless the
/// driver's configuration says otherwise; it is lost after three of them.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);

/// What the driver's configuration has unless it is set.
const DRIVERS_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// How the connections reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Directly, or by a pooler that keeps a session for a connection.
    #[default]
    None,
    /// By a pooler that hands a session over after each transaction, such as PgBouncer with
    /// `pool_mode = transaction`. Statements are not prepared, and nobody listens: jobs of other
    /// processes are looked for every [`PostgresConfig::poll_interval`].
    Transaction,
}

/// What to do about the schema when a handle is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Migrate {
    /// Bring it to the version of this program. If there is nothing to do, no right to change it is
    /// needed.
    #[default]
    Automatically,
    /// Only check that it can be served; [`migrations_sql`](crate::migrations_sql) is for whoever
    /// changes it.
    Never,
}

/// Where the jobs are stored, and how.
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
    pub(crate) notify_interval: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) head_interval: Duration,
    pub(crate) head_share: u32,
    pub(crate) root_certificates: Option<PathBuf>,
}

impl PostgresConfig {
    /// From the driver's own configuration, with the defaults for all else.
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
            notify_interval: DEFAULT_NOTIFY_INTERVAL,
            ping_interval: DEFAULT_PING_INTERVAL,
            poll_interval: DEFAULT_POLL_INTERVAL,
            head_interval: DEFAULT_HEAD_INTERVAL,
            head_share: DEFAULT_HEAD_SHARE,
            root_certificates: None,
        }
    }

    /// From a [URL](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING)
    /// such as `postgres://user:password@host:5432/database`, with the parameters of libpq and sqlx
    /// as far as they make sense for a queue. [`database_urls`](crate::database_urls) lists all of
    /// them. These are this library's own:
    ///
    /// | parameter | meaning |
    /// |---|---|
    /// | `schema` | [`schema`](Self::schema) |
    /// | `connections` | [`connections`](Self::connections) |
    /// | `pgbouncer=true` | [`Pooler::Transaction`] |
    /// | `migrate=never` | [`Migrate::Never`] |
    ///
    /// A URL without a password takes it from `PGPASSWORD`, or else from the password file, when
    /// this function is called.
    ///
    /// # Errors
    /// [`Invalid`](queue_core::ErrorKind::Invalid) says what is wrong with it, without its
    /// password.
    pub fn from_url(url: &str) -> Result<Self> {
        url::parse(url)
    }

    /// The schema that holds the tables, [`DEFAULT_SCHEMA`] unless said. Several work side by side
    /// in one database, each a queue of its own.
    ///
    /// # Errors
    /// [`Invalid`](queue_core::ErrorKind::Invalid) unless it is 1 to 48 lower-case letters, digits
    /// and underscores, and begins with none of the digits.
    pub fn schema(mut self, name: &str) -> Result<Self> {
        self.schema = name.parse()?;
        Ok(self)
    }

    /// The most connections that requests share, at least 1; [`DEFAULT_CONNECTIONS`] unless said.
    /// They are opened as they are needed.
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How the connections reach the server; directly unless said.
    pub const fn pooler(mut self, pooler: Pooler) -> Self {
        self.pooler = pooler;
        self
    }

    /// What to do about the schema; it is migrated unless said.
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// How long a new connection may take at each address of each host; [`DEFAULT_CONNECT_TIMEOUT`]
    /// unless said. A limit in the driver's configuration, or `connect_timeout` in a URL, comes
    /// first.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a request waits for a connection (default: [`DEFAULT_POOL_TIMEOUT`]). Then it fails
    /// with [`Busy`](queue_core::ErrorKind::Busy) if all are in use, and with
    /// [`Unavailable`](queue_core::ErrorKind::Unavailable) if a new one did not come up; the next
    /// attempt begins with the next address.
    pub const fn pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool_timeout = timeout;
        self
    }

    /// How long a request waits for the server's answer; [`DEFAULT_REQUEST_TIMEOUT`] unless said.
    /// One that would have changed something is of unknown outcome then.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long a heartbeat waits for its connection, and then for the server's answer (default:
    /// [`DEFAULT_HEARTBEAT_TIMEOUT`]).
    pub const fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// How long an insert with the claim of an idle worker waits for each lock that it needs before
    /// it is sent again without the claim; [`DEFAULT_PARKED_LOCK_TIMEOUT`] unless said. In whole
    /// milliseconds, from 1 to [`i32::MAX`]. To be far below
    /// [`request_timeout`](Self::request_timeout), at which the insert itself is given up.
    pub const fn parked_lock_timeout(mut self, timeout: Duration) -> Self {
        self.parked_lock_timeout = timeout;
        self
    }

    /// The least time between two notifications; [`DEFAULT_NOTIFY_INTERVAL`] unless said.
    pub const fn notify_interval(mut self, interval: Duration) -> Self {
        self.notify_interval = interval;
        self
    }

    /// How often the connection that listens is tried; [`DEFAULT_PING_INTERVAL`] unless said.
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How often jobs of other processes are looked for behind a [`Pooler::Transaction`];
    /// [`DEFAULT_POLL_INTERVAL`] unless said.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the longest time between two claims of a worker that look at a whole queue (default:
    /// [`DEFAULT_HEAD_INTERVAL`]). The claims between them start behind the last job that the
    /// worker claimed. Otherwise, while another transaction holds an old snapshot, each claim would
    /// walk over the index entries of all jobs that were claimed since. This interval bounds how
    /// long a job is passed over that became ready before that position, if its wake-up was lost.
    pub const fn head_interval(mut self, interval: Duration) -> Self {
        self.head_interval = interval;
        self
    }

    /// Sets which part of a worker's time claims that look at a whole queue may take between these:
    /// one in `share`, at least 1 (default: [`DEFAULT_HEAD_SHARE`]). With 1, each claim that finds
    /// nothing behind the worker's position looks at the whole queue.
    pub const fn head_share(mut self, share: u32) -> Self {
        self.head_share = share;
        self
    }

    /// Connects only by TLS, to a server whose certificate is signed by one of those in this file,
    /// in PEM form, instead of those that the system trusts. Needs the feature `tls`.
    pub fn root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Connects only by TLS, to a server whose certificate is valid for its name and signed by one
    /// that the system trusts.
    #[cfg(feature = "tls")]
    pub fn require_tls(mut self) -> Self {
        self.driver.ssl_mode(SslMode::Require);
        self
    }

    /// The driver's configuration with what a connection of ours needs besides.
    pub(crate) fn for_connections(&self) -> tokio_postgres::Config {
        let mut driver = self.driver.clone();
        if driver.get_application_name().is_none() {
            driver.application_name("queue");
        }
        // An idle connection that was cut without a word is to be found before a request waits on
        // it.
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

/// The checked name of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    /// As it stands in a statement.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The channel of its notifications.
    pub(crate) fn channel(&self) -> String {
        format!("{}_wake", self.0)
    }

    /// The setting of a session, a role or a database by which jobs that SQL enqueues wake nobody.
    pub(crate) fn wake_setting(&self) -> String {
        format!("{}.wake", self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self(DEFAULT_SCHEMA.to_owned())
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_sound = (1..=48).contains(&name.len())
            && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.starts_with("pg_");
        if is_sound {
            return Ok(Self(name.to_owned()));
        }
        let message = format!(
            "`{}` is not 1 to 48 lower-case letters, digits and underscores, or begins with a digit or `pg_`",
            name.escape_debug()
        );
        Err(Error::invalid("read the name of a schema", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        assert_eq!("shop_jobs2".parse::<Schema>().unwrap().quoted(), "\"shop_jobs2\"");
        for name in ["", "Jobs", "1st", "a-b", "a\"b", "pg_jobs", &"x".repeat(49)] {
            assert!(name.parse::<Schema>().is_err(), "{name}");
        }
    }

    #[test]
    fn keepalives_that_are_set_are_kept() {
        let driver = "host=a keepalives_interval=3".parse().unwrap();
        let driver = PostgresConfig::new(driver).for_connections();
        assert_eq!(driver.get_keepalives_idle(), KEEPALIVES_IDLE);
        assert_eq!(driver.get_keepalives_interval(), Some(Duration::from_secs(3)));
        assert_eq!(driver.get_keepalives_retries(), Some(3));
    }
}
