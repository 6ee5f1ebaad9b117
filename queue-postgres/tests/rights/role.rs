//! A role and its rights.

use std::sync::Arc;

use queue_core::Backend;
use queue_postgres::tokio_postgres::{self, Config, error::SqlState};
use queue_postgres::{Rights, rights_sql};

use crate::test_schema::{TestSchema, connect, driver, unique};

/// A role for one test that may log in.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) driver: Config,
    pub(crate) session: tokio_postgres::Client,
}

impl Role {
    /// Creates a role without rights, with a name that needs quotes.
    pub(crate) async fn new(schema: &TestSchema) -> Self {
        let name = format!("{}\" of {{role}}", &unique("r"));
        let mut driver = driver();
        schema.run(&format!("CREATE ROLE {} LOGIN PASSWORD 'a password'", quoted(&name))).await;
        driver.user(&name).password("a password");
        let session = connect(&driver).await;
        Self { name, driver, session }
    }

    pub(crate) async fn with(schema: &TestSchema, rights: Rights) -> Self {
        let role = Self::new(schema).await;
        schema.run(&rights_sql(&schema.name, &role.name, [rights]).unwrap()).await;
        role
    }

    pub(crate) async fn open(&self, schema: &TestSchema) -> Arc<dyn Backend> {
        schema.open(self.driver.clone()).await.unwrap()
    }

    /// The functions of the schema that the role may call.
    pub(crate) async fn functions(&self, schema: &TestSchema) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = '{s}'::regnamespace";
        schema
            .column(&format!("{sql} AND has_function_privilege({name}, oid, 'EXECUTE') ORDER BY proname"))
            .await
    }

    /// The tables and views of the schema on which the role has any of these rights.
    pub(crate) async fn tables(&self, schema: &TestSchema, rights: &str) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT relname FROM pg_class WHERE relnamespace = '{s}'::regnamespace AND relkind IN ('r', 'v', 'S')";
        let may = format!(
            "CASE relkind WHEN 'S' THEN has_sequence_privilege({name}, oid, 'USAGE, SELECT, UPDATE') \
            ELSE has_any_column_privilege({name}, oid, '{rights}') OR has_table_privilege({name}, oid, '{rights}') END"
        );
        schema.column(&format!("{sql} AND {may} ORDER BY relname")).await
    }

    /// Asserts that the server refuses the statement for lack of a right.
    pub(crate) async fn is_refused(&self, schema: &TestSchema, sql: &str) {
        let sql = schema.filled(sql);
        let Err(error) = self.session.batch_execute(&sql).await else { panic!("it may: {sql}") };
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}: {sql}");
    }

    pub(crate) async fn remove(self, schema: &TestSchema) {
        let name = quoted(&self.name);
        schema.run(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}")).await;
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
