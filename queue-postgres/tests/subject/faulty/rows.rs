//! Errors at one row or at every row, raised by triggers.

use std::fmt::Write as _;

use queue_postgres::tokio_postgres::Client;
use queue_testkit::conformance::{Fault, Injected, SetupResult};

use super::broken::{Session, execute};

const FUNCTION: &str = "
    CREATE SEQUENCE {s}.fault_turns;
    CREATE FUNCTION {s}.fault() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {act}
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END
    $$";

/// Raises the two kinds of conflicts in turn, three times in total, because a sequence is not
/// rolled back.
const CONFLICTS_BRIEFLY: &str = "
    IF nextval('{s}.fault_turns') <= 3 THEN
        RAISE EXCEPTION 'as the test wants it'
        USING ERRCODE = CASE WHEN currval('{s}.fault_turns') % 2 = 1 THEN '40P01' ELSE '40001' END;
    END IF;";

const CONFLICTS: &str = "
    RAISE EXCEPTION 'as the test wants it'
    USING ERRCODE = CASE WHEN nextval('{s}.fault_turns') % 2 = 1 THEN '40P01' ELSE '40001' END;";

const FULL: &str = "RAISE EXCEPTION 'could not extend file, as the test wants it' USING ERRCODE = '53100';";

const REFUSED: &str = "RAISE EXCEPTION 'refused, as the test wants it';";

/// Dropping the function also drops the triggers.
const MEND: &str = "
    SET client_min_messages = 'warning'; DROP FUNCTION {s}.fault CASCADE; DROP SEQUENCE {s}.fault_turns";

pub(super) async fn inject(
    fault: Fault,
    client: Client,
    schema: &str,
    target: &[u8],
) -> SetupResult<Box<dyn Injected>> {
    let act = match fault {
        Fault::RowConflictsBriefly => CONFLICTS_BRIEFLY,
        Fault::RowConflicts => CONFLICTS,
        Fault::RowRefused => REFUSED,
        _ => FULL,
    };
    let mut sql = FUNCTION.replace("{act}", act);
    // A target that is not an id matches no job.
    let id: [u8; 16] = target.try_into().unwrap_or_default();
    let job: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let triggers: &[(&str, &str)] = match fault {
        Fault::Full => &[
            ("jobs", "INSERT"),
            ("live", "INSERT OR UPDATE"),
            ("outcomes", "INSERT"),
            ("workers", "INSERT OR UPDATE"),
            ("queues", "INSERT OR UPDATE"),
        ],
        Fault::RowRefused => &[("jobs", "INSERT"), ("outcomes", "INSERT")],
        _ => &[("jobs", "INSERT"), ("live", "INSERT OR UPDATE"), ("live", "DELETE"), ("outcomes", "INSERT")],
    };
    for (number, (table, event)) in triggers.iter().enumerate() {
        let row = if *event == "DELETE" { "OLD" } else { "NEW" };
        let which = match fault {
            Fault::Full => "STATEMENT".to_owned(),
            _ => format!("ROW WHEN ({row}.id = '{job}')"),
        };
        let trigger = format!(
            "; CREATE TRIGGER fault_{number} BEFORE {event} ON {{s}}.{table} FOR EACH {which} EXECUTE FUNCTION {{s}}.fault()"
        );
        // Writing to a string cannot fail.
        let _ = write!(sql, "{trigger}");
    }
    execute(&client, &sql.replace("{s}", schema)).await?;
    Ok(Box::new(Session { client, mend: MEND.replace("{s}", schema) }))
}
