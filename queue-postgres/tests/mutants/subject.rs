//! A broken schema per case.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use queue_core::Backend;
use queue_postgres::{Migrate, PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{ApplicationTransaction, SetupResult, Storage, Subject};
use tokio::sync::OnceCell;

use crate::migrating::migrate_without_the_lock;
use crate::mutation::Mutation;
use crate::sweeper::Sweeper;
use crate::test_schema::{connect, driver};
use crate::transaction::OpenTransaction;
use queue_testserver::url;

/// The fault of the schemas.
#[derive(Clone, Copy)]
pub(crate) enum Wrong {
    Nothing,
    Function(Mutation),
    /// The script of the migrations creates them, without the line that takes the lock.
    Migrations,
}

/// One function: each fragment and its replacement.
pub(crate) const fn function(
    function: &'static str,
    replaced: &'static [(&'static str, &'static str)],
) -> Wrong {
    Wrong::Function(Mutation { function, replaced })
}

/// A mutant, as a subject of the suite.
pub(crate) struct Mutant {
    pub(crate) wrong: Wrong,
    /// The schema of the sequence `reached`, and the prefix of the names of the other schemas.
    pub(crate) name: String,
    schemas: AtomicU64,
    sweeper: Arc<Sweeper>,
}

impl Mutant {
    pub(crate) fn new(wrong: Wrong, name: String, sweeper: Arc<Sweeper>) -> Self {
        Self { wrong, name, schemas: AtomicU64::new(0), sweeper }
    }
}

/// The sequence in the schema of this name that counts how often a mutation was reached.
pub(crate) fn sequence(name: &str) -> String {
    format!("{name}.reached")
}

#[async_trait]
impl Subject for Mutant {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        let name = format!("{}_{}", self.name, self.schemas.fetch_add(1, Ordering::Relaxed));
        Ok(Arc::new(Schema {
            config: PostgresConfig::new(driver()).head_share(1).schema(&name)?,
            name,
            wrong: self.wrong,
            sequence: sequence(&self.name),
            is_wrong: OnceCell::new(),
            sweeper: Arc::clone(&self.sweeper),
        }))
    }

    async fn begin(&self, _: &str) -> SetupResult<Option<Box<dyn ApplicationTransaction>>> {
        Ok(Some(Box::new(OpenTransaction::begin(&url()?).await?)))
    }
}

/// The schema of a case.
struct Schema {
    config: PostgresConfig,
    name: String,
    wrong: Wrong,
    sequence: String,
    /// Set once the function was changed, because several handles may open the schema concurrently.
    is_wrong: OnceCell<()>,
    sweeper: Arc<Sweeper>,
}

#[async_trait]
impl Storage for Schema {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        if let Wrong::Migrations = self.wrong {
            migrate_without_the_lock(&self.name, &self.sequence).await?;
            let config = self.config.clone().migrate(Migrate::Never);
            return Ok(Arc::new(PostgresBackend::open(config).await?));
        }
        let backend = PostgresBackend::open(self.config.clone()).await?;
        if let Wrong::Function(mutation) = self.wrong {
            let change = async || mutation.apply(&connect(&driver()).await, &self.name, &self.sequence).await;
            self.is_wrong.get_or_init(change).await;
        }
        Ok(Arc::new(backend))
    }

    fn address(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.sweeper.remove(&self.name);
    }
}
