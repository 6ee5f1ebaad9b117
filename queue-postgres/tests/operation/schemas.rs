//! The schema beside objects of other programs: of the application, of a DBA, of a restore.

use queue_core::backend::ListRequest;
use queue_core::{Backend, EnqueuerExt as _, ErrorKind, JobQueue};
use queue_postgres::tokio_postgres::error::SqlState;
use queue_postgres::{Migrate, PostgresBackend, PostgresConfig, Rights, migrations_sql};

use crate::database::{Database, column, connect, insert, spec};

fn in_public(database: &Database) -> PostgresConfig {
    PostgresConfig::new(database.as_superuser()).schema("public").unwrap()
}

#[tokio::test]
async fn functions_of_the_application_keep_their_rights() {
    let database = Database::empty().await;
    let client = database.session().await;
    // One has the name of a queue function, but other parameters.
    client
        .batch_execute(
            "CREATE FUNCTION price(integer) RETURNS integer LANGUAGE sql AS 'SELECT $1';
             CREATE FUNCTION claim(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        )
        .await
        .unwrap();
    drop(PostgresBackend::open(in_public(&database)).await.unwrap());
    let script = queue_postgres::rights_sql("public", &database.role, [Rights::Worker]).unwrap();
    client.batch_execute(&script).await.unwrap();
    let application = connect(&database.as_role()).await;
    assert_eq!(column(&application, "SELECT price(7)").await, ["7"]);
    assert_eq!(column(&application, "SELECT claim('mine')").await, ["mine"]);
    let ours = "SELECT has_function_privilege('public.enqueue(text, json, text, integer, timestamptz, integer, interval, boolean)', 'EXECUTE')";
    assert_eq!(column(&application, ours).await, ["f"]);
    database.remove().await;
}

#[tokio::test]
async fn only_functions_that_read_no_job_are_public() {
    let database = Database::new().await;
    let client = database.session().await;
    // Only these three functions are public, so each other one is in the catalog.
    let open = "SELECT proname FROM pg_proc WHERE pronamespace = 'queue'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE') ORDER BY proname";
    assert_eq!(column(&client, open).await, ["id", "storage_id", "ulid"]);
    database.remove().await;
}

#[tokio::test]
async fn schema_of_a_dba_needs_no_database_right() {
    for by_script in [false, true] {
        let database = Database::empty().await;
        let client = database.session().await;
        client
            .batch_execute(&format!(
                "REVOKE CREATE ON DATABASE {} FROM PUBLIC; CREATE SCHEMA queue AUTHORIZATION {}",
                database.name, database.role
            ))
            .await
            .unwrap();
        let mut config = database.config();
        if by_script {
            let script = migrations_sql("queue").unwrap();
            connect(&database.as_role()).await.batch_execute(&script).await.unwrap();
            config = config.migrate(Migrate::Never);
        }
        let backend = PostgresBackend::open(config).await.unwrap();
        insert(&backend, vec![spec()]).await.unwrap();
        drop(backend);
        database.remove().await;
    }
}

#[tokio::test]
async fn hidden_rows_are_an_error() {
    let database = Database::new().await;
    let backend = database.open().await;
    insert(&backend, vec![spec()]).await.unwrap();
    let client = database.session().await;
    let list = || backend.extensions().inspect.unwrap().list(ListRequest::new(10));
    assert_eq!(list().await.unwrap().len(), 1);
    client.batch_execute("ALTER TABLE queue.jobs ENABLE ROW LEVEL SECURITY").await.unwrap();
    let error = list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("row level security"), "{error}");
    let error =
        backend.extensions().inspect.unwrap().jobs(&[queue_core::JobId::generate()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    // Operations on jobs act with the owner's rights, so they still work.
    insert(&backend, vec![spec()]).await.unwrap();
    client.batch_execute("ALTER TABLE queue.migrations ENABLE ROW LEVEL SECURITY").await.unwrap();
    let error = PostgresBackend::open(database.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("row level security"), "{error}");
    client
        .batch_execute(
            "ALTER TABLE queue.jobs DISABLE ROW LEVEL SECURITY; ALTER TABLE queue.migrations DISABLE ROW LEVEL SECURITY",
        )
        .await
        .unwrap();
    assert_eq!(list().await.unwrap().len(), 2);
    drop(backend);
    database.remove().await;
}

#[tokio::test]
async fn rights_script_revokes_all_other_rights() {
    let database = Database::new().await;
    let client = database.session().await;
    // As after a restore without privileges, and with one grant made by hand.
    client
        .batch_execute(&format!(
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA queue TO PUBLIC; GRANT SELECT ON queue.jobs TO PUBLIC;
             REVOKE ALL ON queue.migrations FROM PUBLIC; GRANT DELETE ON queue.outcomes TO {0}; GRANT USAGE ON SCHEMA queue TO PUBLIC",
            database.role
        ))
        .await
        .unwrap();
    database.grant(&[Rights::Enqueuer]).await;
    let role = connect(&database.as_role()).await;
    for refused in
        ["SELECT queue.pause('default')", "DELETE FROM queue.outcomes", "SELECT payload FROM queue.jobs"]
    {
        let error = role.batch_execute(refused).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}: {error:?}");
    }
    role.batch_execute("SELECT queue.enqueue('greet', '1')").await.unwrap();
    JobQueue::new(std::sync::Arc::new(database.open().await)).enqueue_value("greet", "ada").await.unwrap();
    // The owner would lose rights that its functions need.
    let owner = column(&client, "SELECT current_user").await.remove(0);
    let script = queue_postgres::rights_sql("queue", &owner, [Rights::Worker]).unwrap();
    let error = client.batch_execute(&script).await.unwrap_err();
    assert!(format!("{error:?}").contains("owns the schema"), "{error:?}");
    database.remove().await;
}

#[tokio::test]
async fn tables_of_the_same_name_are_a_conflict() {
    for (theirs, name) in [
        ("CREATE TABLE jobs (id integer)", "jobs"),
        ("CREATE TABLE migrations (id integer, version text)", "migrations"),
        ("CREATE TYPE job_state AS ENUM ('idle')", "job_state"),
    ] {
        let database = Database::empty().await;
        database.session().await.batch_execute(theirs).await.unwrap();
        let error = PostgresBackend::open(in_public(&database)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let text = format!("{error:?}");
        assert!(text.contains(name) && text.contains("`public") && text.contains("schema="), "{text}");
        assert!(!text.contains("CREATE") && text.lines().count() == 1, "{text}");
        let tables =
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
        let left = column(&database.session().await, tables).await;
        assert_eq!(left, [if theirs.contains("TABLE") { "1" } else { "0" }], "nothing was created");
        database.remove().await;
    }
}

/// A dump was restored under an open handle, and functions have other result columns since.
#[tokio::test]
async fn open_handle_serves_a_recreated_schema() {
    let database = Database::new().await;
    let backend = PostgresBackend::open(PostgresConfig::new(database.as_superuser())).await.unwrap();
    for _ in 0..20 {
        insert(&backend, vec![spec()]).await.unwrap();
    }
    let client = database.session().await;
    client.batch_execute("SET client_min_messages = 'warning'; DROP SCHEMA queue CASCADE").await.unwrap();
    let error = insert(&backend, vec![spec()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    client.batch_execute(&migrations_sql("queue").unwrap()).await.unwrap();
    for _ in 0..20 {
        insert(&backend, vec![spec()]).await.unwrap();
    }
    assert_eq!(backend.extensions().inspect.unwrap().list(ListRequest::new(100)).await.unwrap().len(), 20);
    drop(backend);
    database.remove().await;
}
