//! Helpers of the tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queue_core::backend::{ClaimRequest, InsertRequest, RegisterRequest};
use queue_core::{Backend, ClaimId, JobId, JobSpec, Kind, Payload, QueueName, Result, Submitted, WorkerId};
use queue_postgres::tokio_postgres::{self, Client, Config as DriverConfig, NoTls};
use queue_postgres::{PostgresBackend, PostgresConfig};

/// Longer than any operation of these tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

/// A schema that is removed at the end of the test.
pub(crate) struct TestSchema {
    url: String,
    name: String,
}

impl TestSchema {
    /// On the server that all tests share.
    pub(crate) fn new() -> Self {
        Self::on(&queue_testserver::url().unwrap())
    }

    /// On another server.
    pub(crate) fn on(url: &str) -> Self {
        let name = format!("test_{}", JobId::generate().to_string().to_lowercase());
        Self { url: url.to_owned(), name }
    }

    /// The name of the schema, and of the application in the sessions of its handles.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        self.config_of(&self.url)
    }

    /// Through a proxy at this address.
    pub(crate) fn config_at(&self, address: SocketAddr) -> PostgresConfig {
        self.config_of(&self.url_at(address))
    }

    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        self.url.replacen(self.server(), &address.to_string(), 1)
    }

    pub(crate) fn config_of(&self, url: &str) -> PostgresConfig {
        let mut driver: DriverConfig = url.parse().unwrap();
        driver.application_name(&self.name);
        PostgresConfig::new(driver).schema(&self.name).unwrap()
    }

    /// `host:port` of the server.
    pub(crate) fn server(&self) -> &str {
        self.url.split('/').nth(2).unwrap().rsplit('@').next().unwrap()
    }

    pub(crate) async fn open(&self) -> PostgresBackend {
        PostgresBackend::open(self.config()).await.unwrap()
    }

    /// A separate connection.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await
    }
}

impl Drop for TestSchema {
    fn drop(&mut self) {
        // A failed test may still hold locks, because its runtime waits here.
        let sql = format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let url = self.url.clone();
        // On another runtime, because that of the test may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // A stopped server needs no removal.
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

/// Ends every session of this application name, and returns their number.
pub(crate) async fn terminate(client: &Client, application: &str) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    client.query_one(sql, &[&application]).await.unwrap().get(0)
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

pub(crate) fn spec(payload: &str) -> JobSpec {
    JobSpec::new(JobId::generate(), kind(), Payload::json(payload).unwrap())
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
    backend.register(RegisterRequest::new(worker, "test", Duration::from_secs(60))).await.unwrap();
    worker
}

pub(crate) fn claim(worker: WorkerId, limit: u32) -> ClaimRequest {
    ClaimRequest::new(worker, ClaimId::generate().unwrap(), QueueName::default(), Arc::from([kind()]), limit)
}

pub(crate) async fn count(backend: &dyn Backend) -> usize {
    backend.extensions().audit.unwrap().stored().await.unwrap().jobs.len()
}
