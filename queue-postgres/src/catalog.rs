//! The objects of the queue in the schema, by name. No other object of the schema is changed.

use crate::rights::Rights;
use crate::schema_name::Schema;

/// A function of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The types of its parameters, which distinguish it from an application's function of the same
    /// name.
    pub(crate) parameters: &'static str,
    pub(crate) callers: Callers,
    /// The version that added it. Earlier versions require that its name is free.
    pub(crate) since: i32,
}

/// The roles that may call a function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callers {
    /// All roles, because the function reads no job.
    Public,
    /// Roles with one of these rights.
    Roles(&'static [Rights]),
    /// Only other functions of the schema.
    Internal,
}

impl Callers {
    pub(crate) fn include(&self, rights: &[Rights]) -> bool {
        matches!(self, Self::Roles(roles) if roles.iter().any(|role| rights.contains(role)))
    }
}

/// A function of version 1. Write a later one as `Function { since: 2, ..function(…) }`.
const fn function(name: &'static str, parameters: &'static str, callers: Callers) -> Function {
    Function { name, parameters, callers, since: 1 }
}

/// A view of the schema.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    /// The version that added it. Earlier versions require that its name is free.
    pub(crate) since: i32,
}

const ENQUEUER: Callers = Callers::Roles(&[Rights::Enqueuer]);
const WORKER: Callers = Callers::Roles(&[Rights::Worker]);
const OPERATOR: Callers = Callers::Roles(&[Rights::Operator]);
/// Workers fire schedules; enqueuers and operators create and change them.
const SCHEDULER: Callers = Callers::Roles(&[Rights::Worker, Rights::Enqueuer, Rights::Operator]);
const SCHEDULE_READER: Callers =
    Callers::Roles(&[Rights::Worker, Rights::Enqueuer, Rights::Operator, Rights::Reader]);

const INSERT: &str = "timestamptz, uuid[], text[], text[], smallint[], timestamptz[], integer[], interval[], interval[], \
    interval[], smallint[], text[], text[]";
const CLAIM: &str = "timestamptz, uuid, uuid, text, text[], integer, integer, interval, smallint[], timestamptz[], uuid[], \
    timestamptz, uuid[], boolean";
const SETTLE: &str = "timestamptz, uuid[], uuid[], bytea[], text[], interval[], text[], interval[]";
const SETTLE_AND_INSERT: &str = "timestamptz, uuid[], uuid[], bytea[], text[], interval[], text[], interval[], bigint[], \
    uuid[], text[], text[], smallint[], timestamptz[], integer[], interval[], interval[], interval[], smallint[], \
    text[], text[]";
const CHANGE_SCHEDULES: &str = "timestamptz, text[], uuid[], uuid[], timestamptz[], text[], text[], bigint[], \
    uuid[], text[], text[], smallint[], timestamptz[], integer[], interval[], interval[], interval[], smallint[], \
    text[], text[]";
const MAINTAIN: &str = "timestamptz, uuid, integer, integer, integer, integer, uuid, interval, interval, interval, interval, \
    uuid[]";

/// All functions. Those that programs call are first.
pub(crate) const FUNCTIONS: &[Function] = &[
    function("ulid", "uuid", Callers::Public),
    function("id", "text", Callers::Public),
    function("storage_id", "", Callers::Public),
    function("enqueue", "text, json, text, integer, timestamptz, integer, interval, boolean", ENQUEUER),
    function("enqueue_jobs", "text", ENQUEUER),
    function("insert_jobs", INSERT, ENQUEUER),
    function("insert_unique_jobs", INSERT, ENQUEUER),
    function("known_jobs", "uuid[], text[]", Callers::Roles(&[Rights::Enqueuer, Rights::Worker])),
    function("cancel", "timestamptz, uuid[], boolean", Callers::Roles(&[Rights::Enqueuer, Rights::Operator])),
    function("retry", "timestamptz, uuid[]", OPERATOR),
    function("watch", "uuid[]", ENQUEUER),
    function("due_schedules", "timestamptz, bigint", WORKER),
    function("change_schedules", CHANGE_SCHEDULES, SCHEDULER),
    function("read_schedules", "text[]", SCHEDULE_READER),
    function("list_schedules", "text, bigint", SCHEDULE_READER),
    function("register", "timestamptz, uuid, text, interval", WORKER),
    function("heartbeat", "timestamptz, uuid, uuid[], uuid[], text[], text[]", WORKER),
    function("retire", "uuid", WORKER),
    function("ready_queues", "timestamptz, text[], text[]", WORKER),
    function("next_ready", "text[]", Callers::Roles(&[Rights::Worker, Rights::Reader])),
    function("claim", CLAIM, WORKER),
    function("leases", "uuid, uuid", WORKER),
    function("settle", SETTLE, WORKER),
    function("settle_and_insert", SETTLE_AND_INSERT, WORKER),
    function("complete_job", "text", WORKER),
    function("wanted_cancels", "uuid[]", WORKER),
    function("maintain", MAINTAIN, WORKER),
    function("pause", "text", OPERATOR),
    function("await_claims", "text", OPERATOR),
    function("resume", "text", OPERATOR),
    function("paused", "", Callers::Roles(&[Rights::Operator, Rights::Reader])),
    function("least_id", "timestamptz", Callers::Internal),
    function("new_id", "timestamptz", Callers::Internal),
    function("json_depth", "text", Callers::Internal),
    function("notify_ready", "text, smallint, timestamptz, timestamptz", Callers::Internal),
    function("notify_from_sql", "json", Callers::Internal),
    function("request_fault", "json, json", Callers::Internal),
    function("job_fault", "json", Callers::Internal),
    function("is_json", "text", Callers::Internal),
    function("is_time", "text", Callers::Internal),
    function("read_job", "json, integer, timestamptz", Callers::Internal),
    function("seconds", "text", Callers::Internal),
    function("known_of_batch", "anyarray", Callers::Internal),
    function("is_of_a_row", "text", Callers::Internal),
    function("microseconds", "bigint", Callers::Internal),
    function("pause_lock", "text", Callers::Internal),
    function("next_due", "", Callers::Internal),
    function("make_ready", "uuid[]", Callers::Internal),
    function("promote", "timestamptz, text, integer, timestamptz, uuid[]", Callers::Internal),
    function("lease", "timestamptz, uuid, uuid, uuid, interval", Callers::Internal),
    function("take_back", "timestamptz, uuid[], text", Callers::Internal),
    function("take_back_each", "timestamptz, uuid[], text", Callers::Internal),
    function("write_workers", "uuid[], text", Callers::Internal),
    function("hold_key", "timestamptz, text, text, uuid", Callers::Internal),
    function("release_keys", "timestamptz, uuid[]", Callers::Internal),
    function("rescue", "timestamptz, uuid, integer, uuid[]", Callers::Internal),
    function("remove", "uuid[]", Callers::Internal),
    function(
        "prune",
        "timestamptz, uuid, interval, interval, interval, interval, integer, integer, uuid[]",
        Callers::Internal,
    ),
];

/// All views.
pub(crate) const VIEWS: &[View] = &[View { name: "overview", since: 1 }];

/// The tables and the view that a reader may read. All roles may read the ledger of migrations.
pub(crate) const TABLES: &[&str] = &[
    "overview",
    "jobs",
    "live",
    "outcomes",
    "attempt_errors",
    "unique_keys",
    "schedules",
    "workers",
    "queues",
    "storage",
];

/// The name of a function in a statement.
pub(crate) fn signature(schema: &Schema, function: &Function) -> String {
    format!("{}.{}({})", schema.quoted(), function.name, function.parameters)
}

/// The names of these functions in a statement.
pub(crate) fn functions<'a>(schema: &Schema, functions: impl Iterator<Item = &'a Function>) -> String {
    let named = |function| format!("    {}", signature(schema, function));
    functions.map(named).collect::<Vec<_>>().join(",\n")
}

/// The names of the tables and the view in a statement.
pub(crate) fn tables(schema: &Schema) -> String {
    let named = |table: &&str| format!("    {}.{table}", schema.quoted());
    TABLES.iter().map(named).collect::<Vec<_>>().join(",\n")
}

/// Statements that revoke PostgreSQL's default grants to `PUBLIC` and grant the intended ones.
pub(crate) fn closed_to_public(schema: &Schema, all: &[Function]) -> String {
    let of_public = all.iter().filter(|function| matches!(function.callers, Callers::Public));
    format!(
        "REVOKE ALL ON FUNCTION\n{}\nFROM PUBLIC;\nREVOKE ALL ON\n{}\nFROM PUBLIC;\n\
         GRANT EXECUTE ON FUNCTION\n{}\nTO PUBLIC;\nGRANT SELECT ON {}.migrations TO PUBLIC;\n",
        functions(schema, all.iter()),
        tables(schema),
        functions(schema, of_public),
        schema.quoted(),
    )
}
