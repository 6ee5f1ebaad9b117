//! A caller's own schema never changes the meaning of a function.

use queue_postgres::{Rights, rights_sql};

use crate::role::{Role, quoted};
use crate::test_schema::{TestSchema, unique};

/// Objects that a function would use instead of those of PostgreSQL or the queue, if it used the
/// caller's search path.
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
    CREATE FUNCTION {t}.pause_lock(text) RETURNS bigint LANGUAGE sql AS $$ SELECT {t}.trapped()::text::bigint $$;
    CREATE FUNCTION {t}.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT {t}.trapped()::text::bigint $$;
    CREATE FUNCTION {t}.pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE sql AS $$ SELECT {t}.trapped() $$;
    CREATE FUNCTION {t}.pg_advisory_xact_lock_shared(bigint) RETURNS void LANGUAGE sql AS $$ SELECT {t}.trapped() $$;
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
    CREATE TABLE {t}.queues (LIKE {s}.queues); CREATE TEMP TABLE queues (LIKE {s}.queues);
    CREATE TABLE {t}.workers (LIKE {s}.workers); CREATE TEMP TABLE workers (LIKE {s}.workers);
    SET search_path = {t}, pg_temp, pg_catalog";

/// The functions act with the owner's rights, so they must never use an object of the caller.
#[tokio::test]
async fn functions_ignore_the_callers_search_path() {
    let schema = TestSchema::new("rights_traps").await;
    let role = Role::new(&schema).await;
    let all = [Rights::Worker, Rights::Enqueuer, Rights::Reader, Rights::Operator];
    schema.run(&rights_sql(&schema.name, &role.name, all).unwrap()).await;
    let database = schema.column("SELECT quote_ident(current_database())").await.remove(0);
    schema.run(&format!("GRANT CREATE ON DATABASE {database} TO {}", quoted(&role.name))).await;
    let traps = unique("traps");
    role.session.batch_execute(&schema.filled(TRAPS).replace("{t}", &traps)).await.unwrap();
    assert!(role.session.batch_execute("SELECT now()").await.unwrap_err().to_string().contains("db error"));

    let (worker, claim) = ("00000000-0000-0000-0000-0000000000aa", "00000000-0000-0000-0000-0000000000cc");
    for call in [
        "SELECT {s}.register(NULL, '{w}', 'trapper', '1 hour')",
        "SELECT {s}.enqueue('greet', '[1]'), {s}.enqueue('greet', '[2]', priority => 3)",
        "SELECT {s}.insert_jobs(NULL, '{{c}}', '{greet}', '{default}', '{0}', '{NULL}', '{3}', '{1 s}', '{NULL}', '{NULL}', '{NULL}', '{1}')",
        "SELECT * FROM {s}.known_jobs('{{c}}', '{1}')",
        "SELECT * FROM {s}.claim(NULL, '{w}', '{c}', 'default', '{greet,other}', 2, 2, '30 s', '{}', '{}', '{}', '-infinity', '{}', false)",
        "SELECT * FROM {s}.leases('{w}', '{c}')",
        "SELECT * FROM {s}.ready_queues(NULL, '{default,other}', '{greet}')",
        "SELECT * FROM {s}.heartbeat(NULL, '{w}', '{}', '{}', '{}', '{}')",
        "SELECT * FROM {s}.settle(NULL, '{{c}}', '{{c}}', '{NULL}', NULL, NULL, NULL, NULL)",
        "SELECT * FROM {s}.settle(NULL, '{{c}}', '{{c}}', '{NULL}', '{retry}', '{1 s}', '{failed}', '{1 s}')",
        "SELECT * FROM {s}.cancel(NULL, '{{c}}', true)",
        "SELECT * FROM {s}.retry(NULL, '{{c}}')",
        "SELECT {s}.wanted_cancels('{{c}}')",
        "SELECT * FROM {s}.maintain(NULL, NULL, 10, 10, 10, 10, '{c}', '0', '0', '0', '0', '{}')",
        "SELECT {s}.retire('{w}')",
        "SELECT {s}.pause('default')",
        "SELECT {s}.await_claims('default'), {s}.paused(), {s}.resume('default')",
    ] {
        let sql = schema.filled(call).replace("{w}", worker).replace("{c}", claim);
        role.session.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }
    assert_eq!(schema.column("SELECT count(*) FROM {s}.jobs").await, ["3"]);
    for table in ["jobs", "live", "outcomes", "queues", "workers"] {
        let own = format!("SELECT 1 FROM {traps}.{table} UNION ALL SELECT 1 FROM pg_temp.{table}");
        let rows = role.session.query(&own, &[]).await.unwrap();
        assert!(rows.is_empty(), "something was written to the caller's own {table}");
    }
    // The view's functions act with the reader's rights, but still use PostgreSQL's own functions.
    role.session.batch_execute(&format!("SET search_path = {traps}")).await.unwrap();
    role.session.batch_execute(&schema.filled("SELECT ulid, {s}.id(ulid) FROM {s}.overview")).await.unwrap();
    role.remove(&schema).await;
    schema.remove().await;
}
