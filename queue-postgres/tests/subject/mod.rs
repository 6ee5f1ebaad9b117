//! A schema of its own for each case, in one database.

mod sweeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::{Backend, JobId, Result};
use queue_postgres::{Pooler, PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{SetupResult, Storage, Subject};

use sweeper::Sweeper;

/// The subject of the suite.
pub(crate) struct Postgres {
    config: PostgresConfig,
    schemas: AtomicU64,
    run: String,
    sweeper: Arc<Sweeper>,
}

impl Postgres {
    /// On the database of this URL, to which `direct` connects without a pooler.
    pub(crate) fn new(url: &str, pooler: Pooler, direct: &str) -> Result<Self> {
        Ok(Self {
            config: PostgresConfig::from_url(url)?.pooler(pooler),
            schemas: AtomicU64::new(0),
            run: JobId::generate().to_string().to_lowercase(),
            sweeper: Arc::new(Sweeper::start(direct)),
        })
    }

    /// What removes the schemas of cases that are over.
    pub(crate) fn sweeper(&self) -> Arc<Sweeper> {
        Arc::clone(&self.sweeper)
    }
}

#[async_trait]
impl Subject for Postgres {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let name = format!("case_{}_{}", self.run, self.schemas.fetch_add(1, Ordering::Relaxed));
        let config = self.config.clone().schema(&name)?;
        Ok(Arc::new(Schema { config, name, sweeper: self.sweeper() }))
    }
}

struct Schema {
    config: PostgresConfig,
    name: String,
    sweeper: Arc<Sweeper>,
}

#[async_trait]
impl Storage for Schema {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(PostgresBackend::open(self.config.clone()).await?))
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.sweeper.remove(&self.name);
    }
}
