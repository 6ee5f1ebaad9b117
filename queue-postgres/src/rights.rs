//! Grants for roles that do one thing each.

use queue_core::{Error, Result};

use crate::catalog::{FUNCTIONS, closed_to_everybody, functions, tables};
use crate::config::Schema;

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

/// The statements that give a role the rights to do these things in a schema, and no others: what they do not grant they take
/// away, from the role and from everybody. The owner of the schema runs them, and again after each migration and each restore:
/// PostgreSQL lets everybody call a new function, and `pg_restore --no-privileges` makes all of them anew.
///
/// ```
/// use queue_postgres::{Rights, rights_sql};
///
/// let script = rights_sql("queue", "shop-worker", [Rights::Worker])?;
/// assert!(script.contains(r#"GRANT USAGE ON SCHEMA "queue" TO "shop-worker";"#));
/// let both = rights_sql("queue", "shop", [Rights::Worker, Rights::Enqueuer])?;
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the schema's name is none that
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) takes, or the role's is none that a role can have.
pub fn rights_sql(schema: &str, role: &str, rights: impl IntoIterator<Item = Rights>) -> Result<String> {
    let schema: Schema = schema.parse()?;
    let rights: Vec<Rights> = rights.into_iter().collect();
    let (name, role) = (role, quoted(role)?);
    let (owner, all) = (schema.quoted(), functions(&schema, FUNCTIONS.iter()));
    // What the owner's functions do, they do with the owner's rights.
    let mut script = format!(
        "DO $rights$ BEGIN\nIF {} = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{owner}.jobs'::regclass) THEN\n\
         RAISE EXCEPTION 'the role owns the schema: it has all rights, and must keep them';\nEND IF;\nEND $rights$;\n",
        literal(name)
    );
    script += &closed_to_everybody(&schema, FUNCTIONS);
    script += &format!(
        "REVOKE ALL ON FUNCTION\n{all}\nFROM {role};\nREVOKE ALL ON\n{}\nFROM {role};\n",
        tables(&schema)
    );
    script += &format!("GRANT USAGE ON SCHEMA {owner} TO {role};\n");
    let granted = functions(&schema, FUNCTIONS.iter().filter(|function| function.callers.include(&rights)));
    if !granted.is_empty() {
        script += &format!("GRANT EXECUTE ON FUNCTION\n{granted}\nTO {role};\n");
    }
    if rights.contains(&Rights::Reader) {
        script += &format!("GRANT SELECT ON\n{}\nTO {role};\n", tables(&schema));
    }
    Ok(script)
}

fn literal(text: &str) -> String {
    // The same whatever the session says of backslashes.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
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
        let script = rights_sql("jobs", "a\"; {schema} --", [Rights::Reader]).unwrap();
        assert!(script.contains("GRANT USAGE ON SCHEMA \"jobs\" TO \"a\"\"; {schema} --\";"), "{script}");
    }

    #[test]
    fn everybody_is_no_role() {
        for name in ["", "public", "none", "a\0b", &"x".repeat(64)] {
            assert!(rights_sql("jobs", name, [Rights::Worker]).is_err(), "{name}");
        }
        assert!(rights_sql("jobs", &"x".repeat(63), [Rights::Worker]).is_ok());
        assert!(rights_sql("Jobs", "worker", [Rights::Worker]).is_err());
    }
}
