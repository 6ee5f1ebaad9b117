//! A role, and what the server lets it do.

use std::sync::Arc;

use queue_core::Backend;
use queue_postgres::tokio_postgres::{self, Config, error::SqlState};
use queue_postgres::{Rights, rights_sql};

use crate::place::{Place, connect, driver, unique};

/// A role of a test's own that may log in.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) driver: Config,
    pub(crate) session: tokio_postgres::Client,
}

impl Role {
    /// Its name needs quotes, and it has no rights yet.
    pub(crate) async fn new(place: &Place) -> Self {
        let name = format!("{}\" of {{role}}", &unique("r"));
        let mut driver = driver();
        place.run(&format!("CREATE ROLE {} LOGIN PASSWORD 'a password'", quoted(&name))).await;
        driver.user(&name).password("a password");
        let session = connect(&driver).await;
        Self { name, driver, session }
    }

    pub(crate) async fn with(place: &Place, rights: Rights) -> Self {
        let role = Self::new(place).await;
        place.run(&rights_sql(&place.schema, &role.name, [rights]).unwrap()).await;
        role
    }

    pub(crate) async fn open(&self, place: &Place) -> Arc<dyn Backend> {
        place.open(self.driver.clone()).await.unwrap()
    }

    /// The functions of the schema that it may call.
    pub(crate) async fn functions(&self, place: &Place) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = '{s}'::regnamespace";
        place
            .column(&format!("{sql} AND has_function_privilege({name}, oid, 'EXECUTE') ORDER BY proname"))
            .await
    }

    /// The tables and views of the schema with which it may do any of this.
    pub(crate) async fn tables(&self, place: &Place, rights: &str) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT relname FROM pg_class WHERE relnamespace = '{s}'::regnamespace AND relkind IN ('r', 'v', 'S')";
        let may = format!(
            "CASE relkind WHEN 'S' THEN has_sequence_privilege({name}, oid, 'USAGE, SELECT, UPDATE') \
            ELSE has_any_column_privilege({name}, oid, '{rights}') OR has_table_privilege({name}, oid, '{rights}') END"
        );
        place.column(&format!("{sql} AND {may} ORDER BY relname")).await
    }

    /// The server says that a right is missing.
    pub(crate) async fn is_refused(&self, place: &Place, sql: &str) {
        let sql = place.filled(sql);
        let Err(error) = self.session.batch_execute(&sql).await else { panic!("it may: {sql}") };
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}: {sql}");
    }

    pub(crate) async fn remove(self, place: &Place) {
        let name = quoted(&self.name);
        place.run(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}")).await;
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
