//! A schema for one test, with a session of the superuser.

use std::sync::Arc;

use queue_core::{Backend, JobId};
use queue_postgres::tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use queue_postgres::{PostgresBackend, PostgresConfig};
use queue_testserver::url;

/// A migrated schema with a session of its owner.
pub(crate) struct TestSchema {
    pub(crate) name: String,
    pub(crate) owner: Client,
}

impl TestSchema {
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(driver(), name).await
    }

    /// Creates a schema on this server.
    pub(crate) async fn on(driver: Config, name: &str) -> Self {
        let schema = Self { name: unique(name), owner: connect(&driver).await };
        drop(schema.open(driver).await.unwrap());
        schema
    }

    /// Opens a handle on the schema with this configuration.
    pub(crate) async fn open(&self, driver: Config) -> queue_core::Result<Arc<dyn Backend>> {
        let config = PostgresConfig::new(driver).schema(&self.name)?;
        Ok(Arc::new(PostgresBackend::open(config).await?))
    }

    /// The statement with the name of the schema.
    pub(crate) fn filled(&self, sql: &str) -> String {
        sql.replace("{s}", &self.name)
    }

    /// Runs statements as the owner.
    #[track_caller]
    pub(crate) fn run(&self, sql: &str) -> impl Future<Output = ()> {
        let sql = self.filled(sql);
        async move { self.owner.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}")) }
    }

    /// The first column of an answer to the owner.
    pub(crate) async fn column(&self, sql: &str) -> Vec<String> {
        let answer = self.owner.simple_query(&self.filled(sql)).await.unwrap();
        let first = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        };
        answer.iter().filter_map(first).collect()
    }

    pub(crate) async fn remove(self) {
        self.run("SET client_min_messages = 'warning'; DROP SCHEMA {s} CASCADE").await;
    }
}

/// The configuration of the superuser.
pub(crate) fn driver() -> Config {
    url().unwrap().parse().unwrap()
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}_{}", JobId::generate().to_string().to_lowercase())
}

/// Opens a session.
pub(crate) async fn connect(driver: &Config) -> Client {
    let (client, connection) = driver.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
