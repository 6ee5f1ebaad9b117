//! Roles with the least rights can do their own work, and nothing else.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod place;

use std::sync::Arc;
use std::time::Duration;

use place::{Place, connect, driver, unique};
use queue_core::backend::{CancelReply, CancelRequest, Inspect, ListRequest, RegisterRequest, RetireRequest};
use queue_core::{
    Backend, Client, Dequeued, Enqueuer, EnqueuerExt, Error, ErrorKind, HandlerResult, JobId, JobQueue, Kind,
    NewJob, Payload, State, TaskDefinition, Worker, WorkerId,
};
use queue_postgres::tokio_postgres::{self, Config, error::SqlState};
use queue_postgres::{Rights, rights_sql};
use tokio::time::timeout;

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What only a program that runs jobs calls.
const OF_WORKERS: &[&str] = &["claim", "heartbeat", "leases", "maintain", "register", "retire", "settle"];

/// What only a program that enqueues jobs calls.
const OF_ENQUEUERS: &[&str] = &["cancel", "enqueue", "insert_jobs", "known_jobs"];

/// What everybody may call: it converts ids.
const OF_ALL: &[&str] = &["id", "ulid"];

const TO_READ: &[&str] = &["attempt_errors", "jobs", "live", "outcomes", "overview", "workers"];

/// A role of a test's own that may log in.
struct Role {
    name: String,
    driver: Config,
    session: tokio_postgres::Client,
}

impl Role {
    /// Its name needs quotes, and it has no rights yet.
    async fn new(place: &Place) -> Self {
        let name = format!("{}\" of {{role}}", &unique("r"));
        let mut driver = driver();
        place.run(&format!("CREATE ROLE {} LOGIN PASSWORD 'a password'", quoted(&name))).await;
        driver.user(&name).password("a password");
        let session = connect(&driver).await;
        Self { name, driver, session }
    }

    async fn with(place: &Place, rights: Rights) -> Self {
        let role = Self::new(place).await;
        place.run(&rights_sql(&place.schema, &role.name, rights).unwrap()).await;
        role
    }

    async fn open(&self, place: &Place) -> Arc<dyn Backend> {
        place.open(self.driver.clone()).await.unwrap()
    }

    /// The functions of the schema that it may call.
    async fn functions(&self, place: &Place) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = '{s}'::regnamespace";
        place
            .column(&format!("{sql} AND has_function_privilege({name}, oid, 'EXECUTE') ORDER BY proname"))
            .await
    }

    /// The tables and views of the schema with which it may do any of this.
    async fn tables(&self, place: &Place, rights: &str) -> Vec<String> {
        let name = literal(&self.name);
        let sql = "SELECT relname FROM pg_class WHERE relnamespace = '{s}'::regnamespace AND relkind IN ('r', 'v', 'S')";
        let may = format!(
            "CASE relkind WHEN 'S' THEN has_sequence_privilege({name}, oid, 'USAGE, SELECT, UPDATE') \
            ELSE has_any_column_privilege({name}, oid, '{rights}') OR has_table_privilege({name}, oid, '{rights}') END"
        );
        place.column(&format!("{sql} AND {may} ORDER BY relname")).await
    }

    /// The server says that a right is missing.
    async fn is_refused(&self, place: &Place, sql: &str) {
        let sql = place.filled(sql);
        let Err(error) = self.session.batch_execute(&sql).await else { panic!("it may: {sql}") };
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{error:?}: {sql}");
    }

    async fn remove(self, place: &Place) {
        let name = quoted(&self.name);
        place.run(&format!("DROP OWNED BY {name} CASCADE; DROP ROLE {name}")).await;
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sorted(lists: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = lists.iter().copied().flatten().map(ToString::to_string).collect();
    all.sort();
    all
}

#[track_caller]
fn lacks_a_right<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("the role lacks a right that this needs"), "{error}");
}

async fn lists_no_jobs(backend: &dyn Backend) {
    lacks_a_right(backend.inspect().unwrap().list(ListRequest::new(1)).await);
    lacks_a_right(backend.audit().unwrap().stored().await);
}

async fn enqueues_nothing(backend: &Arc<dyn Backend>, known: JobId) {
    let client = Client::new(Arc::clone(backend));
    lacks_a_right(client.enqueue_value("greet", "ada").await);
    lacks_a_right(client.dequeue(known).await);
}

async fn works_nothing(backend: &dyn Backend) {
    let worker = WorkerId::generate();
    lacks_a_right(backend.register(RegisterRequest::new(worker, "nobody", PATIENCE)).await);
    lacks_a_right(backend.retire(RetireRequest::new(worker)).await);
}

/// Whatever the functions are granted, none of these may touch the tables or the schema itself.
async fn changes_nothing_directly(role: &Role, place: &Place) {
    for sql in [
        "INSERT INTO {s}.migrations (version, name, oldest_compatible) VALUES (99, 'mine', 99)",
        "DELETE FROM {s}.live",
        "TRUNCATE {s}.jobs",
        "UPDATE {s}.outcomes SET result = NULL",
        "CREATE TABLE {s}.mine ()",
        "CREATE FUNCTION {s}.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE {s}.jobs ADD COLUMN mine text",
        "ALTER FUNCTION {s}.enqueue SECURITY INVOKER",
        "CREATE TRIGGER mine AFTER INSERT ON {s}.jobs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP VIEW {s}.overview",
        "DROP SCHEMA {s} CASCADE",
    ] {
        role.is_refused(place, sql).await;
    }
    assert_eq!(role.tables(place, "INSERT, UPDATE, REFERENCES").await, sorted(&[]));
    // These are no rights of columns.
    let whole =
        "SELECT relname FROM pg_class WHERE relnamespace = '{s}'::regnamespace AND relkind IN ('r', 'v')";
    let name = literal(&role.name);
    let may = format!("has_table_privilege({name}, oid, 'DELETE, TRUNCATE, TRIGGER')");
    assert_eq!(place.column(&format!("{whole} AND {may}")).await, sorted(&[]));
}

#[tokio::test]
async fn a_worker_runs_jobs_and_is_refused_everything_else() {
    let place = Place::new("rights_worker").await;
    let role = Role::with(&place, Rights::Worker).await;
    let owner = place.open(driver()).await.unwrap();
    let job = Client::new(owner.clone()).enqueue_value("greet", "ada").await.unwrap();

    let backend = role.open(&place).await;
    let (done, mut runs) = tokio::sync::mpsc::unbounded_channel();
    let greet = TaskDefinition::from_fn("greet", move |_, name: String| {
        let done = done.clone();
        async move {
            done.send(name)?;
            HandlerResult::Ok(())
        }
    });
    let mut queue = JobQueue::new(backend.clone());
    greet.register(&mut queue).unwrap();
    let worker = Worker::new().serve(&queue).start().unwrap();
    assert_eq!(timeout(PATIENCE, runs.recv()).await.unwrap().unwrap(), "ada");
    worker.shutdown(PATIENCE).await;
    let record = owner.inspect().unwrap().jobs(&[job]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.state, State::Completed);
    assert_eq!(place.column("SELECT state FROM {s}.workers").await, ["retired"], "it could do all it wanted");

    enqueues_nothing(&backend, job).await;
    lists_no_jobs(&*backend).await;
    role.is_refused(&place, "SELECT {s}.enqueue('greet', '1')").await;
    role.is_refused(&place, "SELECT payload FROM {s}.overview").await;
    changes_nothing_directly(&role, &place).await;
    assert_eq!(role.functions(&place).await, sorted(&[OF_WORKERS, OF_ALL]));
    assert_eq!(role.tables(&place, "SELECT").await, ["migrations"]);
    role.remove(&place).await;
    place.remove().await;
}

#[tokio::test]
async fn an_enqueuer_enqueues_and_cancels_and_is_refused_everything_else() {
    let place = Place::new("rights_enqueuer").await;
    let role = Role::with(&place, Rights::Enqueuer).await;
    let backend = role.open(&place).await;
    let client = Client::new(backend.clone());

    let job = |payload: &str| NewJob::new(Kind::new("greet").unwrap(), Payload::json(payload).unwrap());
    let id = JobId::generate();
    assert!(client.submit(vec![job("1").id(id)]).await.unwrap()[0].inserted);
    assert!(!client.submit(vec![job("1").id(id)]).await.unwrap()[0].inserted, "it is there once");
    let other = client.submit(vec![job("2").id(id)]).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(client.dequeue(id).await.unwrap(), Dequeued::Cancelled);
    let ids = client.enqueue_values("greet", &[1, 2]).await.unwrap();
    assert_eq!(
        backend.cancel(CancelRequest::new(ids)).await.unwrap(),
        [CancelReply::Cancelled, CancelReply::Cancelled]
    );
    let enqueue = place.filled("SELECT {s}.ulid({s}.enqueue('greet', '3'))");
    let row = role.session.query_one(&enqueue, &[]).await.unwrap();
    let by_sql: JobId = row.get::<_, &str>(0).parse().unwrap();

    works_nothing(&*backend).await;
    lists_no_jobs(&*backend).await;
    role.is_refused(&place, "SELECT payload FROM {s}.overview").await;
    changes_nothing_directly(&role, &place).await;
    assert_eq!(role.functions(&place).await, sorted(&[OF_ENQUEUERS, OF_ALL]));
    assert_eq!(role.tables(&place, "SELECT").await, ["migrations"]);
    let stored = place.open(driver()).await.unwrap();
    assert!(stored.inspect().unwrap().jobs(&[by_sql]).await.unwrap()[0].is_some());
    role.remove(&place).await;
    place.remove().await;
}

#[tokio::test]
async fn an_enqueuer_reads_no_payload_of_a_job_that_it_can_name() {
    let place = Place::new("rights_payload").await;
    let role = Role::with(&place, Rights::Enqueuer).await;
    let owner = Client::new(place.open(driver()).await.unwrap());
    let id = owner.enqueue_value("greet", "a secret").await.unwrap();
    let ask = place.filled("SELECT payload FROM {s}.known_jobs(ARRAY[{s}.id($1)], ARRAY[$2])");
    for (guess, answer) in [("\"a guess\"", ""), ("", ""), ("\"a secret\"", "\"a secret\"")] {
        let row = role.session.query_one(&ask, &[&id.to_string(), &guess]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), answer);
    }
    role.remove(&place).await;
    place.remove().await;
}

#[tokio::test]
async fn a_reader_sees_jobs_and_changes_none() {
    let place = Place::new("rights_reader").await;
    let role = Role::with(&place, Rights::Reader).await;
    let owner = Client::new(place.open(driver()).await.unwrap());
    let id = owner.enqueue_value("greet", "ada").await.unwrap();

    let backend = role.open(&place).await;
    let jobs: &dyn Inspect = backend.inspect().unwrap();
    assert_eq!(jobs.list(ListRequest::new(10)).await.unwrap()[0].job.id, id);
    let record = jobs.jobs(&[id]).await.unwrap().pop().flatten().unwrap();
    assert_eq!(record.job.payload.as_str(), "\"ada\"");
    let overview = place.filled("SELECT ulid, payload::text FROM {s}.overview WHERE state = 'ready'");
    let row = role.session.query_one(&overview, &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (&*id.to_string(), "\"ada\""));

    works_nothing(&*backend).await;
    enqueues_nothing(&backend, id).await;
    role.is_refused(&place, "SELECT {s}.enqueue('greet', '1')").await;
    changes_nothing_directly(&role, &place).await;
    assert_eq!(role.functions(&place).await, sorted(&[OF_ALL]));
    assert_eq!(role.tables(&place, "SELECT").await, sorted(&[TO_READ, &["migrations"]]));
    role.remove(&place).await;
    place.remove().await;
}

#[tokio::test]
async fn a_role_without_rights_is_told_so_when_it_opens_the_schema() {
    let place = Place::new("rights_none").await;
    let role = Role::new(&place).await;
    lacks_a_right(place.open(role.driver.clone()).await);
    let missing = queue_postgres::PostgresConfig::new(role.driver.clone()).schema(&unique("absent")).unwrap();
    lacks_a_right(queue_postgres::PostgresBackend::open(missing).await);
    role.remove(&place).await;
    place.remove().await;
}

/// Everything that a function could take for PostgreSQL's or ours, if it looked where the caller does.
const TRAPS: &str = "
    CREATE SCHEMA {t};
    CREATE FUNCTION {t}.trapped() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped as %', current_user; END $$;
    CREATE FUNCTION {t}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT {t}.trapped()::text::timestamptz $$;
    CREATE FUNCTION {t}.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT {t}.trapped()::text::timestamptz $$;
    CREATE FUNCTION {t}.octet_length(text) RETURNS integer LANGUAGE sql AS $$ SELECT {t}.trapped()::integer $$;
    CREATE FUNCTION {t}.cardinality(anyarray) RETURNS integer LANGUAGE sql AS $$ SELECT {t}.trapped()::integer $$;
    CREATE FUNCTION {t}.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$ SELECT {t}.trapped()::text::uuid $$;
    CREATE FUNCTION {t}.pg_notify(text, text) RETURNS void LANGUAGE sql AS $$ SELECT {t}.trapped() $$;
    CREATE FUNCTION {t}.new_id(timestamptz) RETURNS uuid LANGUAGE sql AS $$ SELECT {t}.trapped()::text::uuid $$;
    CREATE FUNCTION {t}.json_depth(text) RETURNS integer LANGUAGE sql AS $$ SELECT {t}.trapped()::integer $$;
    CREATE FUNCTION {t}.next_due() RETURNS timestamptz LANGUAGE sql AS $$ SELECT {t}.trapped()::text::timestamptz $$;
    CREATE FUNCTION {t}.same(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT {t}.trapped() $$;
    CREATE FUNCTION {t}.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT {t}.trapped() $$;
    CREATE OPERATOR {t}.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = {t}.same);
    CREATE OPERATOR {t}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {t}.same);
    CREATE OPERATOR {t}.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = {t}.same);
    CREATE TYPE {t}.job_state AS ENUM ('trapped');
    CREATE TYPE pg_temp.job_state AS ENUM ('trapped');
    CREATE TABLE {t}.jobs (LIKE {s}.jobs); CREATE TEMP TABLE jobs (LIKE {s}.jobs);
    CREATE TABLE {t}.live (LIKE {s}.live); CREATE TEMP TABLE live (LIKE {s}.live);
    CREATE TABLE {t}.outcomes (LIKE {s}.outcomes); CREATE TEMP TABLE outcomes (LIKE {s}.outcomes);
    CREATE TABLE {t}.workers (LIKE {s}.workers); CREATE TEMP TABLE workers (LIKE {s}.workers);
    SET search_path = {t}, pg_temp, pg_catalog";

/// A function of the owner's acts with the owner's rights, so it must find nothing that the caller made.
#[tokio::test]
async fn no_schema_of_the_callers_gets_between_a_function_and_what_it_means() {
    let place = Place::new("rights_traps").await;
    let role = Role::new(&place).await;
    for rights in [Rights::Worker, Rights::Enqueuer, Rights::Reader] {
        place.run(&rights_sql(&place.schema, &role.name, rights).unwrap()).await;
    }
    let database = place.column("SELECT quote_ident(current_database())").await.remove(0);
    place.run(&format!("GRANT CREATE ON DATABASE {database} TO {}", quoted(&role.name))).await;
    let traps = unique("traps");
    role.session.batch_execute(&place.filled(TRAPS).replace("{t}", &traps)).await.unwrap();
    assert!(role.session.batch_execute("SELECT now()").await.unwrap_err().to_string().contains("db error"));

    let (worker, claim) = ("00000000-0000-0000-0000-0000000000aa", "00000000-0000-0000-0000-0000000000cc");
    for call in [
        "SELECT {s}.register(NULL, '{w}', 'trapper', '1 hour')",
        "SELECT {s}.enqueue('greet', '[1]'), {s}.enqueue('greet', '[2]', priority => 3)",
        "SELECT {s}.insert_jobs(NULL, '{{c}}', '{greet}', '{default}', '{0}', '{NULL}', '{3}', '{1 s}', '{NULL}', '{NULL}', '{NULL}', '{1}')",
        "SELECT * FROM {s}.known_jobs('{{c}}', '{1}')",
        "SELECT * FROM {s}.claim(NULL, '{w}', '{c}', 'default', '{greet,other}', 2, 2, '30 s', '{}', '{}', '{}', '-infinity')",
        "SELECT * FROM {s}.leases('{w}', '{c}')",
        "SELECT * FROM {s}.heartbeat(NULL, '{w}', '{}', '{}', '{}', '{}')",
        "SELECT * FROM {s}.settle(NULL, '{{c}}', '{{c}}', '{NULL}', NULL, NULL, NULL)",
        "SELECT * FROM {s}.settle(NULL, '{{c}}', '{{c}}', '{NULL}', '{retry}', '{1 s}', '{failed}')",
        "SELECT * FROM {s}.cancel(NULL, '{{c}}', true)",
        "SELECT * FROM {s}.maintain(NULL, NULL, 10, 10, 10, 10, '{c}', '0', '0', '0', '0')",
        "SELECT {s}.retire('{w}')",
    ] {
        let sql = place.filled(call).replace("{w}", worker).replace("{c}", claim);
        role.session.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }
    assert_eq!(place.column("SELECT count(*) FROM {s}.jobs").await, ["3"]);
    for table in ["jobs", "live", "outcomes", "workers"] {
        let own = format!("SELECT 1 FROM {traps}.{table} UNION ALL SELECT 1 FROM pg_temp.{table}");
        let rows = role.session.query(&own, &[]).await.unwrap();
        assert!(rows.is_empty(), "something was written to the caller's own {table}");
    }
    // The view's functions act for whoever reads it, but find PostgreSQL's own all the same.
    role.session.batch_execute(&format!("SET search_path = {traps}")).await.unwrap();
    role.session.batch_execute(&place.filled("SELECT ulid, {s}.id(ulid) FROM {s}.overview")).await.unwrap();
    role.remove(&place).await;
    place.remove().await;
}
