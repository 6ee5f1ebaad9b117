//! What the schema holds that is ours, by name: nothing else in it is touched.

use crate::config::Schema;
use crate::rights::Rights;

/// A function of the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The types of its parameters, which tell it from a function of the application's of the same name.
    pub(crate) parameters: &'static str,
    pub(crate) callers: Callers,
    /// The version that brought it: until then its name must be free.
    pub(crate) since: i32,
}

/// Who may call a function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Callers {
    /// Everybody: it converts ids.
    Everybody,
    /// Roles with one of these rights.
    Roles(&'static [Rights]),
    /// The other functions.
    Nobody,
}

impl Callers {
    pub(crate) fn include(&self, rights: &[Rights]) -> bool {
        matches!(self, Self::Roles(roles) if roles.iter().any(|role| rights.contains(role)))
    }
}

/// One of version 1; of another: `Function { since: 2, ..function(…) }`.
const fn function(name: &'static str, parameters: &'static str, callers: Callers) -> Function {
    Function { name, parameters, callers, since: 1 }
}

/// A view of the schema.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    /// The version that brought it: until then its name must be free.
    pub(crate) since: i32,
}

const ENQUEUER: Callers = Callers::Roles(&[Rights::Enqueuer]);
const WORKER: Callers = Callers::Roles(&[Rights::Worker]);
const OPERATOR: Callers = Callers::Roles(&[Rights::Operator]);

const INSERT: &str = "timestamptz, uuid[], text[], text[], smallint[], timestamptz[], integer[], interval[], interval[], \
    interval[], smallint[], text[], text[]";
const CLAIM: &str = "timestamptz, uuid, uuid, text, text[], integer, integer, interval, smallint[], timestamptz[], uuid[], \
    timestamptz, uuid[], boolean";
const SETTLE: &str = "timestamptz, uuid[], uuid[], bytea[], text[], interval[], text[]";
const MAINTAIN: &str = "timestamptz, uuid, integer, integer, integer, integer, uuid, interval, interval, interval, interval, \
    uuid[]";

/// All functions, those first that programs call.
pub(crate) const FUNCTIONS: &[Function] = &[
    function("ulid", "uuid", Callers::Everybody),
    function("id", "text", Callers::Everybody),
    function("enqueue", "text, json, text, integer, timestamptz, integer, interval, boolean", ENQUEUER),
    function("insert_jobs", INSERT, ENQUEUER),
    function("known_jobs", "uuid[], text[]", ENQUEUER),
    function("cancel", "timestamptz, uuid[], boolean", Callers::Roles(&[Rights::Enqueuer, Rights::Operator])),
    function("register", "timestamptz, uuid, text, interval", WORKER),
    function("heartbeat", "timestamptz, uuid, uuid[], uuid[], text[], text[]", WORKER),
    function("retire", "uuid", WORKER),
    function("ready_queues", "timestamptz, text[], text[]", WORKER),
    function("claim", CLAIM, WORKER),
    function("leases", "uuid, uuid", WORKER),
    function("settle", SETTLE, WORKER),
    function("wanted_cancels", "uuid[]", WORKER),
    function("maintain", MAINTAIN, WORKER),
    function("pause", "text", OPERATOR),
    function("await_claims", "text", OPERATOR),
    function("resume", "text", OPERATOR),
    function("paused", "", Callers::Roles(&[Rights::Operator, Rights::Reader])),
    function("least_id", "timestamptz", Callers::Nobody),
    function("new_id", "timestamptz", Callers::Nobody),
    function("json_depth", "text", Callers::Nobody),
    function("is_of_a_row", "text", Callers::Nobody),
    function("pause_lock", "text", Callers::Nobody),
    function("next_due", "", Callers::Nobody),
    function("make_ready", "uuid[]", Callers::Nobody),
    function("promote", "timestamptz, text, integer, timestamptz, uuid[]", Callers::Nobody),
    function("lease", "timestamptz, uuid, uuid, uuid, interval", Callers::Nobody),
    function("take_back", "timestamptz, uuid[], text", Callers::Nobody),
    function("take_back_each", "timestamptz, uuid[], text", Callers::Nobody),
    function("write_workers", "uuid[], text", Callers::Nobody),
    function("rescue", "timestamptz, uuid, integer, uuid[]", Callers::Nobody),
    function("remove", "uuid[]", Callers::Nobody),
    function(
        "prune",
        "timestamptz, uuid, interval, interval, interval, interval, integer, integer, uuid[]",
        Callers::Nobody,
    ),
];

/// All views.
pub(crate) const VIEWS: &[View] = &[View { name: "overview", since: 1 }];

/// The tables and the view, all of which a reader reads. The ledger of migrations is everybody's to read.
pub(crate) const TABLES: &[&str] =
    &["overview", "jobs", "live", "outcomes", "attempt_errors", "workers", "queues"];

/// A function, as a statement names it.
pub(crate) fn signature(schema: &Schema, function: &Function) -> String {
    format!("{}.{}({})", schema.quoted(), function.name, function.parameters)
}

/// These functions, as a statement names them.
pub(crate) fn functions<'a>(schema: &Schema, functions: impl Iterator<Item = &'a Function>) -> String {
    let named = |function| format!("    {}", signature(schema, function));
    functions.map(named).collect::<Vec<_>>().join(",\n")
}

/// The tables and the view, as a statement names them.
pub(crate) fn tables(schema: &Schema) -> String {
    let named = |table: &&str| format!("    {}.{table}", schema.quoted());
    TABLES.iter().map(named).collect::<Vec<_>>().join(",\n")
}

/// Takes from everybody what PostgreSQL grants to everybody, and grants what everybody may.
pub(crate) fn closed_to_everybody(schema: &Schema, all: &[Function]) -> String {
    let of_everybody = all.iter().filter(|function| matches!(function.callers, Callers::Everybody));
    format!(
        "REVOKE ALL ON FUNCTION\n{}\nFROM PUBLIC;\nREVOKE ALL ON\n{}\nFROM PUBLIC;\n\
         GRANT EXECUTE ON FUNCTION\n{}\nTO PUBLIC;\nGRANT SELECT ON {}.migrations TO PUBLIC;\n",
        functions(schema, all.iter()),
        tables(schema),
        functions(schema, of_everybody),
        schema.quoted(),
    )
}
