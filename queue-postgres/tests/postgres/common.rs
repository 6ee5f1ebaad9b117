//! What the tests share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue_core::backend::{ClaimRequest, InsertRequest, RegisterRequest};
use queue_core::{Backend, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, Result, Submitted, WorkerId};
use queue_postgres::tokio_postgres::{self, Client, Config as DriverConfig, NoTls};
use queue_postgres::{PostgresBackend, PostgresConfig};

/// Far more than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long a test looks away before it looks again.
const PAUSE: Duration = Duration::from_millis(5);

/// A schema that goes with the test.
pub(crate) struct Place {
    url: String,
    schema: String,
}

impl Place {
    /// On the server that all tests share.
    pub(crate) fn new() -> Self {
        Self::on(&queue_testserver::url().unwrap())
    }

    /// On another one.
    pub(crate) fn on(url: &str) -> Self {
        let schema = format!("test_{}", JobId::generate().to_string().to_lowercase());
        Self { url: url.to_owned(), schema }
    }

    /// The name of the schema, and of the application in the sessions of its handles.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        self.config_of(&self.url)
    }

    /// Through something that listens there.
    pub(crate) fn config_at(&self, address: SocketAddr) -> PostgresConfig {
        self.config_of(&self.url_at(address))
    }

    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        self.url.replacen(self.server(), &address.to_string(), 1)
    }

    pub(crate) fn config_of(&self, url: &str) -> PostgresConfig {
        let mut driver: DriverConfig = url.parse().unwrap();
        driver.application_name(&self.schema);
        PostgresConfig::new(driver).schema(&self.schema).unwrap()
    }

    /// `host:port` of the server.
    pub(crate) fn server(&self) -> &str {
        self.url.split('/').nth(2).unwrap().rsplit('@').next().unwrap()
    }

    pub(crate) async fn open(&self) -> PostgresBackend {
        PostgresBackend::open(self.config()).await.unwrap()
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that fails may leave its locks to us: its runtime waits here.
        let sql = format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
        let url = self.url.clone();
        // On a runtime of its own, since that of the test may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A server that is gone took the schema along.
                if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
                    tokio::spawn(connection);
                    client.batch_execute(&sql).await.ok();
                }
            });
        });
        dropping.join().ok();
    }
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Ends every session whose application has this name, and says how many there were.
pub(crate) async fn terminate(client: &Client, application: &str) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    client.query_one(sql, &[&application]).await.unwrap().get(0)
}

/// Looks again and again until it is so; fails if that takes too long.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + LONG;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The answer, or a failure if it does not come.
pub(crate) async fn in_time<T>(what: &str, answer: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(LONG, answer).await;
    assert!(answer.is_ok(), "waited too long for {what}");
    answer.unwrap()
}

pub(crate) fn kind() -> Kind {
    Kind::new("send-email").unwrap()
}

pub(crate) fn spec(payload: &str) -> JobSpec {
    JobSpec::new(JobId::generate(), kind(), Payload::json(payload).unwrap())
        .max_retries(3)
        .priority(0)
        .timeout(Duration::from_secs(60))
        .queue(QueueName::default())
}

pub(crate) async fn insert(backend: &dyn Backend, batch: Vec<JobSpec>) -> Result<Vec<Submitted>> {
    backend.insert(InsertRequest::new(vec![batch])).await?.remove(0)
}

pub(crate) async fn register(backend: &dyn Backend) -> WorkerId {
    let worker = WorkerId::generate();
    backend.register(RegisterRequest::new(worker, "test", Duration::from_secs(60))).await.unwrap();
    worker
}

pub(crate) fn claim(worker: WorkerId, limit: u32) -> ClaimRequest {
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), Arc::from([kind()]), limit)
}

pub(crate) async fn count(backend: &dyn Backend) -> usize {
    backend.extensions().audit.unwrap().stored().await.unwrap().jobs.len()
}
