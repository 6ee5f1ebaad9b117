//! Q21 on this backend: many at once, old and new programs, scripts, roles with few rights, the application's tables beside ours.

use std::process::{Command, Stdio};

use queue_core::{Backend, ErrorKind};
use queue_postgres::{Migrate, PostgresBackend, PostgresConfig, migrations_sql, tokio_postgres};

use crate::common::{Place, claim, count, insert, register, spec};

const CHILD: &str = "QUEUE_POSTGRES_TEST_OPENS";

async fn versions(place: &Place) -> Vec<i32> {
    let sql = format!("SELECT version FROM {}.migrations ORDER BY version", place.schema());
    let rows = place.connect().await.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn pretend(place: &Place, version: i32, oldest_compatible: i32) {
    let sql = format!(
        "INSERT INTO {}.migrations (version, name, oldest_compatible) VALUES ($1, 'from the future', $2)",
        place.schema()
    );
    place.connect().await.execute(&sql, &[&version, &oldest_compatible]).await.unwrap();
}

/// Takes one job through its life.
async fn works(backend: &PostgresBackend) {
    let worker = register(backend).await;
    insert(backend, vec![spec("1")]).await.unwrap();
    assert_eq!(backend.claim(claim(worker, 1)).await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn a_schema_is_migrated_once_however_often_it_is_opened() {
    let place = Place::new();
    let first = place.open().await;
    insert(&first, vec![spec("1")]).await.unwrap();
    drop(first);
    let second = place.open().await;
    assert_eq!(count(&second).await, 1);
    assert_eq!(versions(&place).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_handles_that_open_at_once_end_at_one_version() {
    let place = Place::new();
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(PostgresBackend::open(place.config()))).collect();
    for opened in opening {
        insert(&opened.await.unwrap().unwrap(), vec![spec("1")]).await.unwrap();
    }
    assert_eq!(versions(&place).await, [1]);
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
async fn processes_that_open_at_once_end_at_one_version() {
    let place = Place::new();
    let program = std::env::current_exe().unwrap();
    let url = format!("{}?schema={}", place.url(), place.schema());
    let start = || {
        let arguments = ["--exact", "migration::child_that_opens"];
        Command::new(&program).args(arguments).env(CHILD, &url).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in [start(), start(), start()] {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(versions(&place).await, [1]);
    assert_eq!(count(&place.open().await).await, 3);
}

#[tokio::test]
async fn a_newer_schema_that_is_compatible_is_served() {
    let place = Place::new();
    drop(place.open().await);
    pretend(&place, 2, 1).await;
    works(&place.open().await).await;
    assert_eq!(versions(&place).await, [1, 2]);
}

#[tokio::test]
async fn a_newer_schema_that_is_not_compatible_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    pretend(&place, 7, 5).await;
    let error = PostgresBackend::open(place.config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(
        text.contains("version 7") && text.contains("version 5") && text.contains(place.schema()),
        "{text}"
    );
}

#[tokio::test]
async fn the_script_makes_a_schema_that_is_served_as_it_is() {
    let place = Place::new();
    let script = migrations_sql(place.schema()).unwrap();
    place.connect().await.batch_execute(&script).await.unwrap();
    works(&PostgresBackend::open(place.config().migrate(Migrate::Never)).await.unwrap()).await;
    assert_eq!(versions(&place).await, [1]);
}

#[tokio::test]
async fn the_script_can_be_run_again_and_changes_nothing() {
    let place = Place::new();
    let client = place.connect().await;
    let script = migrations_sql(place.schema()).unwrap();
    client.batch_execute(&script).await.unwrap();
    let backend = place.open().await;
    works(&backend).await;
    // All that the schema has, and which versions of it.
    let catalog = "SELECT (SELECT string_agg(oid || relname, ',' ORDER BY oid) FROM pg_class
                               WHERE relnamespace = $1::text::regnamespace),
                          (SELECT string_agg(oid || ':' || xmin, ',' ORDER BY oid) FROM pg_proc
                               WHERE pronamespace = $1::text::regnamespace)";
    let state = async || {
        let row = client.query_one(catalog, &[&place.schema()]).await.unwrap();
        [row.get::<_, String>(0), row.get(1)]
    };
    let before = state().await;
    client.batch_execute(&script).await.unwrap();
    assert_eq!(state().await, before);
    assert_eq!((versions(&place).await, count(&backend).await), (vec![1], 1));
    works(&backend).await;
}

#[tokio::test]
async fn the_script_and_the_program_make_the_same_schema() {
    let (by_script, by_program) = (Place::new(), Place::new());
    let client = by_script.connect().await;
    client.batch_execute(&migrations_sql(by_script.schema()).unwrap()).await.unwrap();
    drop(by_program.open().await);
    let described = async |place: &Place| -> Vec<String> {
        let sql =
            "SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
                   FROM information_schema.columns WHERE table_schema = $1
                   UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = $1
                   UNION ALL SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '')
                   FROM pg_proc WHERE pronamespace = $1::text::regnamespace
                   ORDER BY 1";
        let rows = client.query(sql, &[&place.schema()]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0).replace(place.schema(), "SCHEMA")).collect()
    };
    let ours = described(&by_script).await;
    assert!(ours.len() > 50, "{}", ours.len());
    assert_eq!(ours, described(&by_program).await);
}

#[tokio::test]
async fn who_may_not_migrate_says_what_to_do_about_an_empty_database() {
    let place = Place::new();
    let error = PostgresBackend::open(place.config().migrate(Migrate::Never)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    for part in [
        "is not there",
        "version 1",
        "told not to migrate",
        "`migrations_sql` gives the script",
        place.schema(),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    let many: i64 = place.connect().await.query_one(schemas, &[&place.schema()]).await.unwrap().get(0);
    assert_eq!(many, 0, "it left no trace");
}

#[tokio::test]
async fn two_schemas_are_two_queues() {
    let (one, two) = (Place::new(), Place::new());
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
async fn a_role_that_may_create_nothing_works_on_a_schema_that_is_up_to_date() {
    let place = Place::new();
    drop(place.open().await);
    let (client, role) = (place.connect().await, format!("{}_role", place.schema()));
    let schema = place.schema();
    client
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'of the test';
             GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}"
        ))
        .await
        .unwrap();
    let config = |schema: &str| {
        let mut driver: tokio_postgres::Config = place.url().parse().unwrap();
        driver.user(&role).password("of the test");
        PostgresConfig::new(driver).schema(schema).unwrap()
    };
    let backend = PostgresBackend::open(config(schema)).await.unwrap();
    works(&backend).await;
    drop(backend);
    // And says clearly what it may not.
    let error = PostgresBackend::open(config("not_there")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("the role lacks a right that this needs"), "{error}");
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn the_application_keeps_what_is_its_own() {
    let place = Place::new();
    let (client, schema) = (place.connect().await, place.schema());
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.customers AS SELECT 1 AS id;
             CREATE TYPE {schema}.mood AS ENUM ('glad')"
        ))
        .await
        .unwrap();
    works(&place.open().await).await;
    let customers: i64 =
        client.query_one(&format!("SELECT count(*) FROM {schema}.customers"), &[]).await.unwrap().get(0);
    assert_eq!(customers, 1);
}
