//! The parts of a schema: steps, functions and views, rights.

use queue_core::backend::{DEADLINE_PASSED_ERROR, Migration, WORKER_LOST_ERROR};

use crate::catalog::{FUNCTIONS, Function, VIEWS, closed_to_public, signature};
use crate::schema_name::Schema;
use crate::statements::filled;

/// All parts of one version of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Definition<'a> {
    /// All steps in order. They change types, domains, tables and indexes. A step that only
    /// replaces functions is a comment that says so.
    pub(super) steps: &'a [Migration],
    /// The functions and views. An upgrade replaces them after its last step.
    pub(super) operations: &'a [&'static str],
    /// The same functions by name, with the roles that may call them.
    pub(super) functions: &'a [Function],
}

/// The schema of this program. How to change it is in `migrations/README.md`.
pub(super) const CURRENT: Definition<'static> = Definition {
    steps: &[Migration::new(1, "tables", include_str!("../../migrations/0001_tables.sql"))],
    operations: &[
        include_str!("../../functions/ids.sql"),
        include_str!("../../functions/rows.sql"),
        include_str!("../../functions/insert.sql"),
        include_str!("../../functions/unique_keys.sql"),
        include_str!("../../functions/pause.sql"),
        include_str!("../../functions/promote.sql"),
        include_str!("../../functions/claim.sql"),
        include_str!("../../functions/leases.sql"),
        include_str!("../../functions/ready_queues.sql"),
        include_str!("../../functions/next_ready.sql"),
        include_str!("../../functions/settle.sql"),
        include_str!("../../functions/settle_and_insert.sql"),
        include_str!("../../functions/cancel.sql"),
        include_str!("../../functions/retry.sql"),
        include_str!("../../functions/schedules.sql"),
        include_str!("../../functions/watch.sql"),
        include_str!("../../functions/register.sql"),
        include_str!("../../functions/heartbeat.sql"),
        include_str!("../../functions/retire.sql"),
        include_str!("../../functions/write_workers.sql"),
        include_str!("../../functions/rescue.sql"),
        include_str!("../../functions/prune.sql"),
        include_str!("../../functions/maintain.sql"),
        include_str!("../../functions/enqueue.sql"),
        include_str!("../../functions/enqueue_jobs.sql"),
        include_str!("../../functions/complete_job.sql"),
        include_str!("../../functions/overview.sql"),
    ],
    functions: FUNCTIONS,
};

/// The settings of every function. It acts with the rights of its owner, so that a role needs no
/// rights on the tables. Its plans must not depend on statistics, because a plan made for an empty
/// table would later read all of a large one. Therefore, each statement reads a table by an array
/// of ids or by the leading columns of an index. The only nested loop is a read by row in a LATERAL
/// with a LIMIT; other joins are hash joins.
///
/// A function that another one calls for each job has none: those of its caller hold. To set them
/// again took a fifth of the time of a batch.
const FUNCTION_SETTINGS: &str = "SECURITY DEFINER SET search_path = {schema}, pg_temp \
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off \
    SET enable_nestloop = off SET enable_mergejoin = off SET jit = off";

const LEDGER_LOCK: &str = include_str!("../sql/ledger_lock.sql");
const LEDGER_CREATE: &str = include_str!("../sql/ledger_create.sql");
const NAMES_ARE_FREE: &str = include_str!("../sql/names_are_free.sql");

impl Definition<'_> {
    /// The version of the schema after the last step.
    pub(super) fn version(&self) -> i32 {
        self.steps.last().map_or(0, |last| last.version)
    }

    /// The statements of a step.
    pub(super) fn step(&self, step: &Migration, schema: &Schema) -> [String; 2] {
        [self.names_are_free(step.version, schema), expanded(step.sql, schema)]
    }

    fn names_are_free(&self, version: i32, schema: &Schema) -> String {
        let functions = self.functions.iter().filter(|function| function.since == version);
        let functions = functions.map(|function| literal(&signature(schema, function)));
        let views = VIEWS.iter().filter(|view| view.since == version);
        let views = views.map(|view| literal(&format!("{}.{}", schema.quoted(), view.name)));
        NAMES_ARE_FREE
            .replace("{functions}", &functions.collect::<Vec<_>>().join(", "))
            .replace("{views}", &views.collect::<Vec<_>>().join(", "))
    }

    /// The statements after the last step. They revoke the default grants of PostgreSQL to
    /// `PUBLIC`, here, because only now all functions exist.
    pub(super) fn operations(&self, schema: &Schema) -> impl Iterator<Item = String> {
        let operations = self.operations.iter().map(|operation| expanded(operation, schema));
        operations.chain([closed_to_public(schema, self.functions)])
    }
}

/// The statement that waits for other programs that migrate.
pub(super) fn lock(schema: &Schema) -> String {
    LEDGER_LOCK.replace("{name}", schema.as_str())
}

/// The statements that create the schema and its ledger if they do not exist.
pub(super) fn ledger(schema: &Schema) -> String {
    expanded(LEDGER_CREATE, schema)
}

/// Inserts the name of the schema, the settings of functions, and the texts of errors.
fn expanded(sql: &str, schema: &Schema) -> String {
    let sql = sql
        .replace("{function_settings}", FUNCTION_SETTINGS)
        .replace("{channel}", &literal(&schema.channel()))
        .replace("{wake_setting}", &schema.wake_setting())
        .replace("{worker_lost_error}", &literal(WORKER_LOST_ERROR))
        .replace("{deadline_passed_error}", &literal(DEADLINE_PASSED_ERROR))
        .replace("{schema_name}", &literal(schema.as_str()));
    filled(&sql, schema)
}

/// Quotes a text of this library, which never contains quotes.
fn literal(text: &str) -> String {
    format!("'{text}'")
}
