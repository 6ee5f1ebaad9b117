//! A schema of its own for each case, in one database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::{Backend, JobId};
use queue_postgres::{Pooler, PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{SetupResult, Storage, Subject};

/// The server of the tests.
pub(crate) fn server_url() -> String {
    queue_testserver::url().expect("a PostgreSQL server for the tests")
}

/// The subject of the suite.
pub(crate) struct Postgres {
    config: PostgresConfig,
    schemas: AtomicU64,
    run: String,
}

impl Postgres {
    /// On the database of this URL.
    pub(crate) fn new(url: &str, pooler: Pooler) -> Self {
        let config = PostgresConfig::from_url(url).expect("the URL of the tests' server").pooler(pooler);
        Self { config, schemas: AtomicU64::new(0), run: JobId::generate().to_string().to_lowercase() }
    }
}

#[async_trait]
impl Subject for Postgres {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let name = format!("case_{}_{}", self.run, self.schemas.fetch_add(1, Ordering::Relaxed));
        Ok(Arc::new(Schema(self.config.clone().schema(&name)?)))
    }
}

struct Schema(PostgresConfig);

#[async_trait]
impl Storage for Schema {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(PostgresBackend::open(self.0.clone()).await?))
    }
}
