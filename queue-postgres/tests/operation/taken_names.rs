//! Functions and views of the application with the name of a queue object.

use queue_core::ErrorKind;
use queue_postgres::{PostgresBackend, PostgresConfig, migrations_sql};

use crate::database::{Database, column};

/// The application's statement, the name in the error, and the SQLSTATE of the script.
const THEIRS: &[(&str, &str, &str)] = &[
    // The same signature, so that CREATE OR REPLACE would replace it.
    ("CREATE FUNCTION pause(text) RETURNS void LANGUAGE sql AS ''", "pause(text)", "42723"),
    // Other names of parameters, and another result type.
    ("CREATE FUNCTION id(its text) RETURNS text LANGUAGE sql AS 'SELECT $1'", "id(text)", "42723"),
    ("CREATE PROCEDURE retire(uuid) LANGUAGE sql AS ''", "retire(uuid)", "42723"),
    ("CREATE VIEW overview AS SELECT 1 AS theirs", "overview", "42P07"),
    ("CREATE TABLE overview (theirs integer)", "overview", "42P07"),
];

/// All objects of the schema with their row versions.
const CATALOG: &str = "
    SELECT 'function ' || oid || ':' || xmin FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'relation ' || oid || ':' || xmin FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    ORDER BY 1";

#[tokio::test]
async fn functions_and_views_of_same_name_are_conflicts() {
    for (theirs, name, _) in THEIRS {
        let database = Database::empty().await;
        let client = database.session().await;
        client.batch_execute(theirs).await.unwrap();
        let before = column(&client, CATALOG).await;
        let config = PostgresConfig::new(database.as_superuser()).schema("public").unwrap();
        let error = PostgresBackend::open(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{theirs}: {error}");
        let text = error.to_string();
        assert!(text.contains("`public`") && text.contains("schema="), "{text}");
        assert!(text.contains(name), "{text}");
        assert_eq!(column(&client, CATALOG).await, before, "{theirs}");
        database.remove().await;
    }
}

#[tokio::test]
async fn script_replaces_nothing_of_the_application() {
    for (theirs, name, state) in THEIRS {
        let database = Database::empty().await;
        let client = database.session().await;
        client.batch_execute(theirs).await.unwrap();
        let before = column(&client, CATALOG).await;
        let error = client.batch_execute(&migrations_sql("public").unwrap()).await.unwrap_err();
        let refusal = error.as_db_error().unwrap();
        assert_eq!(refusal.code().code(), *state, "{theirs}: {error:?}");
        assert!(refusal.message().contains(name), "{error:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(column(&client, CATALOG).await, before, "{theirs}");
        database.remove().await;
    }
}
