//! A copy of the rows, like a dump of the data, which can be restored under open handles.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use queue_postgres::tokio_postgres::{self, Client, NoTls};
use queue_testkit::conformance::{Backup, SetupResult};

use super::sweeper::Sweeper;

const TABLES: [&str; 6] = ["jobs", "live", "outcomes", "attempt_errors", "workers", "queues"];

/// A schema with the same rows.
pub(super) struct Copy {
    client: Client,
    schema: String,
    copy: String,
    sweeper: Arc<Sweeper>,
}

impl Copy {
    pub(super) async fn of(url: &str, schema: &str, sweeper: Arc<Sweeper>) -> SetupResult<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let copy = format!("{schema}_copy");
        let mut sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; DROP SCHEMA IF EXISTS {copy} CASCADE; CREATE SCHEMA {copy}"
        );
        for table in TABLES {
            // Writing to a string cannot fail.
            let _ = write!(sql, "; CREATE TABLE {copy}.{table} AS TABLE {schema}.{table}");
        }
        client.batch_execute(&format!("SET client_min_messages = 'warning'; {sql}; COMMIT")).await?;
        Ok(Self { client, schema: schema.to_owned(), copy, sweeper })
    }
}

#[async_trait]
impl Backup for Copy {
    async fn restore(&self) -> SetupResult<()> {
        let Self { schema, copy, .. } = self;
        let all = TABLES.map(|table| format!("{schema}.{table}")).join(", ");
        let mut sql = format!("BEGIN; TRUNCATE {all}");
        for table in TABLES {
            let _ = write!(sql, "; INSERT INTO {schema}.{table} SELECT * FROM {copy}.{table}");
        }
        Ok(self.client.batch_execute(&format!("{sql}; COMMIT")).await?)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.sweeper.remove(&self.copy);
    }
}
