//! The statements of a handle, with the name of its schema.

use tokio_postgres::types::Type;

use crate::connections::Statement;
use crate::schema_name::Schema;

/// Each statement is in `sql/<field>.sql`.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) insert: Statement,
    pub(crate) insert_unique: Statement,
    pub(crate) insert_and_claim: Statement,
    pub(crate) known: Statement,
    pub(crate) claim: Statement,
    pub(crate) ready_queues: Statement,
    pub(crate) next_ready: Statement,
    pub(crate) leases: Statement,
    pub(crate) settle: Statement,
    pub(crate) settle_mixed: Statement,
    pub(crate) settle_and_insert: Statement,
    pub(crate) cancel: Statement,
    pub(crate) retry: Statement,
    pub(crate) watch: Statement,
    pub(crate) due_schedules: Statement,
    pub(crate) change_schedules: Statement,
    pub(crate) read_schedules: Statement,
    pub(crate) list_schedules: Statement,
    pub(crate) register: Statement,
    pub(crate) heartbeat: Statement,
    pub(crate) retire: Statement,
    pub(crate) maintain: Statement,
    pub(crate) pause: Statement,
    pub(crate) await_claims: Statement,
    pub(crate) resume: Statement,
    pub(crate) paused: Statement,
    pub(crate) visible: Statement,
    pub(crate) inspect_read: Statement,
    pub(crate) inspect_list: Statement,
}

const INSERT: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT2_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
    Type::INT4_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::INT2_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
];

const CLAIM: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::UUID,
    Type::TEXT,
    Type::TEXT_ARRAY,
    Type::INT4,
    Type::INT4,
    Type::INTERVAL,
    Type::INT2_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
    Type::UUID_ARRAY,
    Type::TIMESTAMPTZ,
    Type::UUID_ARRAY,
    Type::BOOL,
];

const SETTLE: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::UUID_ARRAY,
    Type::UUID_ARRAY,
    Type::BYTEA_ARRAY,
    Type::TEXT_ARRAY,
    Type::INTERVAL_ARRAY,
    Type::TEXT_ARRAY,
    Type::INTERVAL_ARRAY,
];

const CHANGE_SCHEDULES: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::UUID_ARRAY,
    Type::TIMESTAMPTZ_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
];

const HEARTBEAT: &[Type] =
    &[Type::TIMESTAMPTZ, Type::UUID, Type::UUID_ARRAY, Type::UUID_ARRAY, Type::TEXT_ARRAY, Type::TEXT_ARRAY];

const MAINTAIN: &[Type] = &[
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::UUID,
    Type::INTERVAL,
    Type::INTERVAL,
    Type::INTERVAL,
    Type::INTERVAL,
    Type::UUID_ARRAY,
];

impl Statements {
    pub(crate) fn new(schema: &Schema) -> Self {
        let fill = |sql: &str, types: &[Type]| {
            debug_assert!(has_parameters(sql, types.len()), "{} types of parameters for {sql}", types.len());
            filled(sql, schema)
        };
        let reads = |sql: &str, types: &[Type]| Statement::reads(fill(sql, types), types);
        let writes = |sql: &str, types: &[Type]| Statement::writes(fill(sql, types), types);
        Self {
            insert: writes(include_str!("sql/insert.sql"), INSERT),
            insert_unique: writes(include_str!("sql/insert_unique.sql"), &[INSERT, &[Type::TEXT]].concat()),
            insert_and_claim: writes(
                include_str!("sql/insert_and_claim.sql"),
                // The claim uses the time of the insert.
                &[INSERT, &CLAIM[1..], &[Type::TEXT]].concat(),
            ),
            known: reads(include_str!("sql/known.sql"), &[Type::UUID_ARRAY, Type::TEXT_ARRAY]),
            claim: writes(include_str!("sql/claim.sql"), CLAIM),
            ready_queues: reads(
                include_str!("sql/ready_queues.sql"),
                &[Type::TIMESTAMPTZ, Type::TEXT_ARRAY, Type::TEXT_ARRAY],
            ),
            next_ready: reads(include_str!("sql/next_ready.sql"), &[Type::TEXT_ARRAY]),
            leases: reads(include_str!("sql/leases.sql"), &[Type::UUID, Type::UUID]),
            settle: writes(include_str!("sql/settle.sql"), SETTLE),
            settle_mixed: writes(include_str!("sql/settle_mixed.sql"), &[SETTLE, &[Type::TEXT]].concat()),
            settle_and_insert: writes(
                include_str!("sql/settle_and_insert.sql"),
                &[SETTLE, &[Type::INT8_ARRAY], &INSERT[1..], &[Type::TEXT]].concat(),
            ),
            cancel: writes(
                include_str!("sql/cancel.sql"),
                &[Type::TIMESTAMPTZ, Type::UUID_ARRAY, Type::BOOL],
            ),
            retry: writes(include_str!("sql/retry.sql"), &[Type::TIMESTAMPTZ, Type::UUID_ARRAY]),
            watch: writes(include_str!("sql/watch.sql"), &[Type::UUID_ARRAY]),
            due_schedules: reads(include_str!("sql/due_schedules.sql"), &[Type::TIMESTAMPTZ, Type::INT8]),
            change_schedules: writes(
                include_str!("sql/change_schedules.sql"),
                &[CHANGE_SCHEDULES, &[Type::INT8_ARRAY], &INSERT[1..], &[Type::TEXT]].concat(),
            ),
            read_schedules: reads(include_str!("sql/read_schedules.sql"), &[Type::TEXT_ARRAY]),
            list_schedules: reads(include_str!("sql/list_schedules.sql"), &[Type::TEXT, Type::INT8]),
            register: writes(
                include_str!("sql/register.sql"),
                &[Type::TIMESTAMPTZ, Type::UUID, Type::TEXT, Type::INTERVAL],
            ),
            heartbeat: writes(include_str!("sql/heartbeat.sql"), HEARTBEAT),
            retire: writes(include_str!("sql/retire.sql"), &[Type::UUID]),
            maintain: writes(include_str!("sql/maintain.sql"), MAINTAIN),
            pause: writes(include_str!("sql/pause.sql"), &[Type::TEXT]),
            await_claims: reads(include_str!("sql/await_claims.sql"), &[Type::TEXT]),
            resume: writes(include_str!("sql/resume.sql"), &[Type::TEXT]),
            paused: reads(include_str!("sql/paused.sql"), &[]),
            visible: reads(include_str!("sql/visible.sql"), &[]),
            inspect_read: reads(include_str!("sql/inspect_read.sql"), &[Type::UUID_ARRAY]),
            inspect_list: reads(
                include_str!("sql/inspect_list.sql"),
                &[Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8],
            ),
        }
    }
}

/// Only a session without prepared statements, as behind PgBouncer, sends the types, and fails if
/// their number is wrong.
fn has_parameters(sql: &str, number: usize) -> bool {
    let has = |place: usize| sql.contains(&format!("${place}"));
    (number == 0 || has(number)) && !has(number + 1)
}

/// Inserts the name of the schema.
pub(crate) fn filled(sql: &str, schema: &Schema) -> String {
    sql.replace("{schema}", &schema.quoted())
}
