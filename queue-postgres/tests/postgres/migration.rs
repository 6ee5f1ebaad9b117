//! Q21 on this backend: concurrent opens, old and new programs, scripts, roles with few rights, and
//! tables of the application in the same schema.

use std::process::{Command, Stdio};

use queue_core::{Backend, ErrorKind};
use queue_postgres::{Migrate, PostgresBackend, PostgresConfig, migrations_sql, tokio_postgres};

use crate::common::{TestSchema, claim, count, insert, register, spec};

const CHILD: &str = "QUEUE_POSTGRES_TEST_OPENS";

async fn versions(schema: &TestSchema) -> Vec<i32> {
    let sql = format!("SELECT version FROM {}.migrations ORDER BY version", schema.name());
    let rows = schema.connect().await.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn pretend(schema: &TestSchema, version: i32, oldest_compatible: i32) {
    let sql = format!(
        "INSERT INTO {}.migrations (version, name, oldest_compatible) VALUES ($1, 'from the future', $2)",
        schema.name()
    );
    schema.connect().await.execute(&sql, &[&version, &oldest_compatible]).await.unwrap();
}

/// Inserts and claims one job.
async fn works(backend: &PostgresBackend) {
    let worker = register(backend).await;
    insert(backend, vec![spec("1")]).await.unwrap();
    assert_eq!(backend.claim(claim(worker, 1)).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn schema_is_migrated_once() {
    let schema = TestSchema::new();
    let first = schema.open().await;
    insert(&first, vec![spec("1")]).await.unwrap();
    drop(first);
    let second = schema.open().await;
    assert_eq!(count(&second).await, 1);
    assert_eq!(versions(&schema).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_opens_migrate_once() {
    let schema = TestSchema::new();
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(PostgresBackend::open(schema.config()))).collect();
    for opened in opening {
        insert(&opened.await.unwrap().unwrap(), vec![spec("1")]).await.unwrap();
    }
    assert_eq!(versions(&schema).await, [1]);
}

/// Run by the test below, in processes of their own.
#[tokio::test]
async fn child_that_opens() {
    if let Ok(url) = std::env::var(CHILD) {
        let backend = PostgresBackend::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap();
        insert(&backend, vec![spec("1")]).await.unwrap();
    }
}

#[tokio::test]
async fn concurrent_processes_migrate_once() {
    let schema = TestSchema::new();
    let program = std::env::current_exe().unwrap();
    let url = format!("{}?schema={}", schema.url(), schema.name());
    let start = || {
        let arguments = ["--exact", "migration::child_that_opens"];
        Command::new(&program).args(arguments).env(CHILD, &url).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(versions(&schema).await, [1]);
    assert_eq!(count(&schema.open().await).await, 3);
}

#[tokio::test]
async fn compatible_newer_schema_is_served() {
    let schema = TestSchema::new();
    drop(schema.open().await);
    pretend(&schema, 2, 1).await;
    works(&schema.open().await).await;
    assert_eq!(versions(&schema).await, [1, 2]);
}

#[tokio::test]
async fn incompatible_newer_schema_is_refused() {
    let schema = TestSchema::new();
    drop(schema.open().await);
    pretend(&schema, 7, 5).await;
    let error = PostgresBackend::open(schema.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(
        text.contains("version 7") && text.contains("version 5") && text.contains(schema.name()),
        "{text}"
    );
}

#[tokio::test]
async fn schema_of_the_script_is_served() {
    let schema = TestSchema::new();
    let script = migrations_sql(schema.name()).unwrap();
    schema.connect().await.batch_execute(&script).await.unwrap();
    works(&PostgresBackend::open(schema.config().migrate(Migrate::Never)).await.unwrap()).await;
    assert_eq!(versions(&schema).await, [1]);
}

#[tokio::test]
async fn second_script_run_changes_nothing() {
    let schema = TestSchema::new();
    let client = schema.connect().await;
    let script = migrations_sql(schema.name()).unwrap();
    client.batch_execute(&script).await.unwrap();
    let backend = schema.open().await;
    works(&backend).await;
    // All objects of the schema with their row versions.
    let catalog = "SELECT (SELECT string_agg(oid || relname, ',' ORDER BY oid) FROM pg_class
                               WHERE relnamespace = $1::text::regnamespace),
                          (SELECT string_agg(oid || ':' || xmin, ',' ORDER BY oid) FROM pg_proc
                               WHERE pronamespace = $1::text::regnamespace)";
    let state = async || {
        let row = client.query_one(catalog, &[&schema.name()]).await.unwrap();
        [row.get::<_, String>(0), row.get(1)]
    };
    let before = state().await;
    client.batch_execute(&script).await.unwrap();
    assert_eq!(state().await, before);
    assert_eq!((versions(&schema).await, count(&backend).await), (vec![1], 1));
    works(&backend).await;
}

#[tokio::test]
async fn script_and_program_create_the_same_schema() {
    let (by_script, by_program) = (TestSchema::new(), TestSchema::new());
    let client = by_script.connect().await;
    client.batch_execute(&migrations_sql(by_script.name()).unwrap()).await.unwrap();
    drop(by_program.open().await);
    let described = async |schema: &TestSchema| -> Vec<String> {
        let sql =
            "SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
                   FROM information_schema.columns WHERE table_schema = $1
                   UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = $1
                   UNION ALL SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '')
                   FROM pg_proc WHERE pronamespace = $1::text::regnamespace
                   ORDER BY 1";
        let rows = client.query(sql, &[&schema.name()]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0).replace(schema.name(), "SCHEMA")).collect()
    };
    let ours = described(&by_script).await;
    assert!(ours.len() > 50, "{}", ours.len());
    assert_eq!(ours, described(&by_program).await);
}

#[tokio::test]
async fn migrate_never_names_the_script() {
    let schema = TestSchema::new();
    let error = PostgresBackend::open(schema.config().migrate(Migrate::Never)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for part in [
        "does not exist",
        "version 1",
        "its configuration forbids to migrate",
        "run the script of `migrations_sql`",
        schema.name(),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    let many: i64 = schema.connect().await.query_one(schemas, &[&schema.name()]).await.unwrap().get(0);
    assert_eq!(many, 0, "it created nothing");
}

#[tokio::test]
async fn two_schemas_are_separate_storages() {
    let (one, two) = (TestSchema::new(), TestSchema::new());
    let (first, second) = (one.open().await, two.open().await);
    let job = spec("1");
    assert!(insert(&first, vec![job.clone()]).await.unwrap()[0].is_new());
    let worker = register(&second).await;
    assert!(second.claim(claim(worker, 10)).await.unwrap().jobs.is_empty());
    assert_eq!(second.extensions().inspect.unwrap().jobs(&[job.id]).await.unwrap(), [None]);
    assert!(insert(&second, vec![job]).await.unwrap()[0].is_new(), "the same id is another job there");
    assert_eq!((count(&first).await, count(&second).await), (1, 1));
}

#[tokio::test]
async fn role_without_create_uses_a_current_schema() {
    let schema = TestSchema::new();
    drop(schema.open().await);
    let (client, role) = (schema.connect().await, format!("{}_role", schema.name()));
    let name = schema.name();
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'of the test';
             GRANT USAGE ON SCHEMA {name} TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {name} TO {role}"
        ))
        .await
        .unwrap();
    let config = |name: &str| {
        let mut driver: tokio_postgres::Config = schema.url().parse().unwrap();
        driver.user(&role).password("of the test");
        PostgresConfig::new(driver).schema(name).unwrap()
    };
    let backend = PostgresBackend::open(config(name)).await.unwrap();
    works(&backend).await;
    drop(backend);
    // The error names the missing right.
    let error = PostgresBackend::open(config("not_there")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("the role lacks a required right"), "{error}");
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn objects_of_the_application_are_kept() {
    let schema = TestSchema::new();
    let (client, name) = (schema.connect().await, schema.name());
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {name}; CREATE TABLE {name}.customers AS SELECT 1 AS id;
             CREATE TYPE {name}.mood AS ENUM ('glad')"
        ))
        .await
        .unwrap();
    works(&schema.open().await).await;
    let customers: i64 =
        client.query_one(&format!("SELECT count(*) FROM {name}.customers"), &[]).await.unwrap().get(0);
    assert_eq!(customers, 1);
}
