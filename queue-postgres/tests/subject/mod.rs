//! One schema per case in one database.
//!
//! The first case starts the server, so that children of the suite, which attach to a schema of
//! their parent, start none.

mod backup;
mod faulty;
mod sweeper;
mod transaction;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use queue_core::{Backend, JobId};
use queue_postgres::tokio_postgres::{self, NoTls};
use queue_postgres::{PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{
    self, ApplicationTransaction, Backup, Fault, FaultyStorage, SetupResult, Storage, Subject,
};
use queue_testserver::PgBouncer;

use backup::Copy;
use faulty::{FaultySchema, POOLED};
use sweeper::Sweeper;
use transaction::OpenTransaction;

/// How the backend reaches the server.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "each of the two programs has its own way")]
pub(crate) enum Way {
    Direct,
    Pooled,
}

/// Runs the suite, and then removes its schemas.
pub(crate) fn run(way: Way) -> ExitCode {
    let sweeper = Arc::new(Sweeper::new());
    let subject = Postgres {
        way,
        database: OnceLock::new(),
        schemas: AtomicU64::new(0),
        run: JobId::generate().to_string().to_lowercase(),
        sweeper: Arc::clone(&sweeper),
    };
    let code = conformance::main(subject);
    sweeper.finish();
    code
}

/// The subject of the suite.
struct Postgres {
    way: Way,
    database: OnceLock<Result<Database, String>>,
    schemas: AtomicU64,
    run: String,
    sweeper: Arc<Sweeper>,
}

/// A database and the pooler before it.
struct Database {
    url: String,
    /// The URL without the pooler.
    direct: String,
    _pooled: Option<PgBouncer>,
}

impl Postgres {
    fn database(&self) -> Result<&Database, String> {
        let database = self.database.get_or_init(|| self.start().map_err(|error| error.to_string()));
        database.as_ref().map_err(Clone::clone)
    }

    fn start(&self) -> SetupResult<Database> {
        let direct = queue_testserver::url()?;
        self.sweeper.start(&direct);
        match self.way {
            Way::Direct => Ok(Database { url: direct.clone(), direct, _pooled: None }),
            Way::Pooled => {
                let pooled = PgBouncer::start(&direct)?;
                Ok(Database {
                    url: with_parameter(pooled.url(), "pgbouncer=true"),
                    direct,
                    _pooled: Some(pooled),
                })
            }
        }
    }

    fn new_schema(&self) -> SetupResult<Schema> {
        let name = format!("case_{}_{}", self.run, self.schemas.fetch_add(1, Ordering::Relaxed));
        let url = with_parameter(&self.database()?.url, &format!("schema={name}"));
        let direct = self.database()?.direct.clone();
        Ok(Schema { url, direct, name, sweeper: Arc::clone(&self.sweeper) })
    }
}

fn with_parameter(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

#[async_trait]
impl Subject for Postgres {
    async fn create(&self) -> SetupResult<Arc<dyn Storage>> {
        Ok(Arc::new(self.new_schema()?))
    }

    async fn attach(&self, address: &str) -> SetupResult<Arc<dyn Backend>> {
        open(address).await
    }

    async fn begin(&self, address: &str) -> SetupResult<Option<Box<dyn ApplicationTransaction>>> {
        Ok(Some(Box::new(OpenTransaction::begin(&for_the_driver(address)).await?)))
    }

    fn faults(&self) -> &'static [Fault] {
        match self.way {
            Way::Direct => Fault::ALL,
            Way::Pooled => POOLED,
        }
    }

    async fn create_faulty(&self, fault: Fault) -> SetupResult<Arc<dyn FaultyStorage>> {
        let schema = self.new_schema()?;
        Ok(Arc::new(FaultySchema::new(fault, schema, &self.database()?.direct, self.way).await?))
    }
}

/// The URL without the parameters that the driver does not know.
fn for_the_driver(url: &str) -> String {
    let (server, parameters) = url.split_once('?').unwrap_or((url, ""));
    let is_known =
        |parameter: &&str| !["schema=", "pgbouncer="].iter().any(|ours| parameter.starts_with(ours));
    let known: Vec<&str> = parameters.split('&').filter(is_known).collect();
    format!("{server}?{}", known.join("&"))
}

/// Makes a claim that returns no jobs read the whole queue, even on a slow machine, because cases
/// rely on empty claims.
pub(crate) fn looking_at_all(config: PostgresConfig) -> PostgresConfig {
    config.head_share(1)
}

async fn open(url: &str) -> SetupResult<Arc<dyn Backend>> {
    Ok(Arc::new(PostgresBackend::open(looking_at_all(PostgresConfig::from_url(url)?)).await?))
}

struct Schema {
    url: String,
    /// The URL without the pooler.
    direct: String,
    name: String,
    sweeper: Arc<Sweeper>,
}

#[async_trait]
impl Storage for Schema {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        open(&self.url).await
    }

    fn address(&self) -> Option<String> {
        Some(self.url.clone())
    }

    async fn back_up(&self) -> SetupResult<Option<Box<dyn Backup>>> {
        Ok(Some(Box::new(Copy::of(&self.direct, &self.name, Arc::clone(&self.sweeper)).await?)))
    }

    /// Leaves a backoff without its jitter.
    async fn damage(&self, job: JobId) -> SetupResult<bool> {
        let (client, connection) = tokio_postgres::connect(&self.direct, NoTls).await?;
        tokio::spawn(connection);
        let (schema, second) = (&self.name, "'1 s'");
        let damage = format!(
            "UPDATE {schema}.jobs SET backoff_base = {second}, backoff_cap = {second}, backoff_jitter = NULL
            WHERE id = {schema}.id('{job}')"
        );
        client.batch_execute(&damage).await?;
        Ok(true)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        self.sweeper.remove(&self.name);
    }
}
