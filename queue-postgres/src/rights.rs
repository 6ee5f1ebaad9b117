//! Grants for roles that do one thing each.

use queue_core::{Error, Result};

use crate::config::Schema;
use crate::statements::filled;

/// Longer names are cut by PostgreSQL, so that they could name another role.
const MOST_ROLE_BYTES: usize = 63;

/// These mean something else in a grant, quoted or not: `public` is everybody.
const NO_ROLES: &[&str] = &["public", "none"];

/// What a role is there for.
///
#[doc = include_str!("../../docs/postgres-rights.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rights {
    /// Runs jobs: it claims and settles them, and does the upkeep that every worker does.
    Worker,
    /// Enqueues jobs, from Rust or from SQL, and cancels them. It reads no payloads.
    Enqueuer,
    /// Shows jobs to people, with their payloads, results and errors. It changes nothing.
    Reader,
    /// Steps in: it pauses and resumes queues and cancels jobs. It reads nothing.
    Operator,
}

/// The statements that give a role the rights to do this in a schema, and no others. Whoever owns the schema runs
/// them, and again after each migration; a role that does several things is given the rights of each.
///
/// ```
/// use queue_postgres::{Rights, rights_sql};
///
/// let script = rights_sql("queue", "shop-worker", Rights::Worker)?;
/// assert!(script.contains(r#"GRANT USAGE ON SCHEMA "queue" TO "shop-worker";"#));
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the schema's name is none that
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) takes, or the role's is none that a role can have.
pub fn rights_sql(schema: &str, role: &str, rights: Rights) -> Result<String> {
    let schema: Schema = schema.parse()?;
    let script = match rights {
        Rights::Worker => include_str!("../rights/worker.sql"),
        Rights::Enqueuer => include_str!("../rights/enqueuer.sql"),
        Rights::Reader => include_str!("../rights/reader.sql"),
        Rights::Operator => include_str!("../rights/operator.sql"),
    };
    // The role last: its name may hold anything, a placeholder too.
    Ok(filled(script, &schema).replace("{role}", &quoted(role)?))
}

fn quoted(role: &str) -> Result<String> {
    let is_sound =
        (1..=MOST_ROLE_BYTES).contains(&role.len()) && !role.contains('\0') && !NO_ROLES.contains(&role);
    if is_sound {
        return Ok(format!("\"{}\"", role.replace('"', "\"\"")));
    }
    let message =
        format!("`{}` is not the name of a role of 1 to {MOST_ROLE_BYTES} bytes", role.escape_debug());
    Err(Error::invalid("read the name of a role", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_quoted_whatever_its_name_holds() {
        let script = rights_sql("jobs", "a\"; {schema} --", Rights::Reader).unwrap();
        assert!(script.contains("GRANT USAGE ON SCHEMA \"jobs\" TO \"a\"\"; {schema} --\";"), "{script}");
    }

    #[test]
    fn everybody_is_no_role() {
        for name in ["", "public", "none", "a\0b", &"x".repeat(64)] {
            assert!(rights_sql("jobs", name, Rights::Worker).is_err(), "{name}");
        }
        assert!(rights_sql("jobs", &"x".repeat(63), Rights::Worker).is_ok());
        assert!(rights_sql("Jobs", "worker", Rights::Worker).is_err());
    }
}
