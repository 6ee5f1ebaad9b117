//! A schema of its own for each case, in one database.

mod faulty;
mod sweeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::{Backend, JobId, Result};
use queue_postgres::{Pooler, PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{Fault, FaultyStorage, SetupResult, Storage, Subject};

use faulty::{DIRECT, FaultySchema, POOLED};
use sweeper::Sweeper;

/// The subject of the suite.
pub(crate) struct Postgres {
    config: PostgresConfig,
    direct: String,
    pooler: Pooler,
    schemas: AtomicU64,
    run: String,
    sweeper: Arc<Sweeper>,
}

impl Postgres {
    /// On the database of this URL, to which `direct` connects without a pooler.
    pub(crate) fn new(url: &str, pooler: Pooler, direct: &str) -> Result<Self> {
        Ok(Self {
            config: PostgresConfig::from_url(url)?.pooler(pooler),
            direct: direct.to_owned(),
            pooler,
            schemas: AtomicU64::new(0),
            run: JobId::generate().to_string().to_lowercase(),
            sweeper: Arc::new(Sweeper::start(direct)),
        })
    }

    fn new_schema(&self) -> Result<Schema> {
        let name = format!("case_{}_{}", self.run, self.schemas.fetch_add(1, Ordering::Relaxed));
        let config = self.config.clone().schema(&name)?;
        Ok(Schema { config, name, sweeper: self.sweeper() })
    }

    /// What removes the schemas of cases that are over.
    pub(crate) fn sweeper(&self) -> Arc<Sweeper> {
        Arc::clone(&self.sweeper)
    }
}

#[async_trait]
impl Subject for Postgres {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(self.new_schema()?))
    }

    fn faults(&self) -> &'static [Fault] {
        match self.pooler {
            Pooler::None => DIRECT,
            Pooler::Transaction => POOLED,
        }
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        let schema = self.new_schema()?;
        Ok(Arc::new(FaultySchema::new(fault, schema, &self.direct, self.pooler).await?))
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
