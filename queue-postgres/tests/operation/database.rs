//! A database for one test, and a role that works in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use queue_core::backend::{ClaimRequest, ClaimedJob, InsertRequest, RegisterRequest};
use queue_core::{Backend, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, Result, Submitted, WorkerId};
use queue_postgres::tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use queue_postgres::{PostgresBackend, PostgresConfig, Rights, rights_sql};
use queue_testserver::url;

/// Longer than any operation of these tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

/// A database with a migrated schema `queue`, and a role that may use it but owns nothing.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) role: String,
    /// A superuser's session in another database.
    pub(crate) outside: Client,
}

impl Database {
    /// Creates a database without a schema, and a role without rights.
    pub(crate) async fn empty() -> Self {
        let name = format!("operation_{}", JobId::generate().to_string().to_lowercase());
        let outside = connect(&superuser()).await;
        let database = Self { role: format!("{name}_role"), name, outside };
        database.run("CREATE DATABASE {d}").await;
        database.run("CREATE ROLE {r} LOGIN").await;
        database
    }

    pub(crate) async fn new() -> Self {
        let database = Self::empty().await;
        drop(PostgresBackend::open(PostgresConfig::new(database.as_superuser())).await.unwrap());
        database.grant(&[Rights::Worker, Rights::Enqueuer, Rights::Reader]).await;
        database
    }

    /// Grants the role exactly these rights.
    pub(crate) async fn grant(&self, rights: &[Rights]) {
        let script = rights_sql("queue", &self.role, rights.iter().copied()).unwrap();
        self.session().await.batch_execute(&script).await.unwrap();
    }

    pub(crate) fn as_superuser(&self) -> Config {
        let mut driver = superuser();
        driver.dbname(&self.name);
        driver
    }

    pub(crate) fn as_role(&self) -> Config {
        let mut driver = self.as_superuser();
        driver.user(&self.role).application_name(&self.name);
        driver
    }

    /// A superuser's session in the database.
    pub(crate) async fn session(&self) -> Client {
        connect(&self.as_superuser()).await
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        PostgresConfig::new(self.as_role())
    }

    pub(crate) async fn open(&self) -> PostgresBackend {
        PostgresBackend::open(self.config()).await.unwrap()
    }

    /// Runs a statement from outside of the database, as a transaction.
    #[track_caller]
    pub(crate) fn run(&self, sql: &str) -> impl Future<Output = ()> {
        let sql = sql.replace("{d}", &self.name).replace("{r}", &self.role);
        async move {
            let done = self.outside.batch_execute(&sql).await;
            assert!(done.is_ok(), "{done:?}: {sql}");
        }
    }

    /// Ends the role's sessions.
    pub(crate) async fn terminate(&self) {
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{r}'").await;
        until("the sessions have ended", || async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND query NOT LIKE '%never%'";
            let row = self.outside.query_one(sql, &[&self.role]).await.unwrap();
            row.get::<_, i64>(0) == 0
        })
        .await;
    }

    pub(crate) async fn remove(self) {
        self.run("DROP DATABASE {d} WITH (FORCE)").await;
        self.run("DROP ROLE {r}").await;
    }
}

/// The first column of an answer.
pub(crate) async fn column(client: &Client, sql: &str) -> Vec<String> {
    let answer = client.simple_query(sql).await.unwrap();
    let first = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    };
    answer.iter().filter_map(first).collect()
}

pub(crate) fn superuser() -> Config {
    url().unwrap().parse().unwrap()
}

pub(crate) async fn connect(driver: &Config) -> Client {
    let (client, connection) = driver.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Checks repeatedly until the condition is true; fails if that takes too long.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + LONG;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The answer; fails if it takes too long.
pub(crate) async fn in_time<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(LONG, answer).await;
    assert!(answer.is_ok(), "waited too long for {what}");
    answer.unwrap()
}

pub(crate) fn kind() -> Kind {
    Kind::new("send-email").unwrap()
}

pub(crate) fn spec() -> JobSpec {
    JobSpec::new(JobId::generate(), kind(), Payload::json("1").unwrap())
        .max_retries(3)
        .priority(0)
        .timeout(Duration::from_secs(60))
        .queue(QueueName::default())
}

pub(crate) async fn insert(backend: &dyn Backend, batch: Vec<JobSpec>) -> Result<Vec<Submitted>> {
    backend.insert(InsertRequest::new(vec![batch])).await?.batches.remove(0)
}

pub(crate) async fn register(backend: &dyn Backend) -> WorkerId {
    let worker = WorkerId::generate();
    backend.register(RegisterRequest::new(worker, "test", LONG)).await.unwrap();
    worker
}

pub(crate) fn claim(worker: WorkerId, limit: u32) -> ClaimRequest {
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), Arc::from([kind()]), limit)
}

/// Inserts and claims this number of jobs.
pub(crate) async fn leased(backend: &dyn Backend, worker: WorkerId, many: u32) -> Vec<ClaimedJob> {
    insert(backend, (0..many).map(|_| spec()).collect()).await.unwrap();
    let jobs = backend.claim(claim(worker, many)).await.unwrap().jobs;
    assert_eq!(jobs.len(), many as usize);
    jobs
}
