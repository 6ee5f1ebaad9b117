//! A schema of a test's own, seen by the server's superuser.

use std::sync::Arc;

use queue_core::{Backend, JobId};
use queue_postgres::tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use queue_postgres::{PostgresBackend, PostgresConfig};
use queue_testserver::url;

/// A migrated schema, with a session of its owner.
pub(crate) struct Place {
    pub(crate) schema: String,
    pub(crate) owner: Client,
}

impl Place {
    pub(crate) async fn new(name: &str) -> Self {
        Self::on(driver(), name).await
    }

    /// On this server.
    pub(crate) async fn on(driver: Config, name: &str) -> Self {
        let place = Self { schema: unique(name), owner: connect(&driver).await };
        drop(place.open(driver).await.unwrap());
        place
    }

    /// A handle on the schema, connected in this way.
    pub(crate) async fn open(&self, driver: Config) -> queue_core::Result<Arc<dyn Backend>> {
        let config = PostgresConfig::new(driver).schema(&self.schema)?;
        Ok(Arc::new(PostgresBackend::open(config).await?))
    }

    /// The statement with the name of the schema in it.
    pub(crate) fn filled(&self, sql: &str) -> String {
        sql.replace("{s}", &self.schema)
    }

    /// Does it as the owner.
    #[track_caller]
    pub(crate) fn run(&self, sql: &str) -> impl Future<Output = ()> {
        let sql = self.filled(sql);
        async move { self.owner.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}")) }
    }

    /// The first column of the answer, as the owner sees it.
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

/// How the superuser connects.
pub(crate) fn driver() -> Config {
    url().unwrap().parse().unwrap()
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}_{}", JobId::generate().to_string().to_lowercase())
}

/// A session.
pub(crate) async fn connect(driver: &Config) -> Client {
    let (client, connection) = driver.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
