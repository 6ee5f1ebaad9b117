//! Grants for roles with limited rights.

use queue_core::{Error, Result};

use crate::catalog::{FUNCTIONS, closed_to_public, functions, tables};
use crate::schema_name::Schema;

/// PostgreSQL cuts longer names, so that they could name another role.
const MAX_ROLE_BYTES: usize = 63;

/// A grant to one of these names is not a grant to a role, even if the name is quoted: `public`
/// means all roles.
const PSEUDO_ROLES: &[&str] = &["public", "none"];

/// The purpose of a role.
///
#[doc = include_str!("../docs/postgres-rights.md")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rights {
    /// Runs jobs: it claims and settles them, and does the maintenance of every worker.
    Worker,
    /// Enqueues jobs, from Rust or from SQL, and cancels them. It reads no payloads.
    Enqueuer,
    /// Shows jobs to operators, with their payloads, results and errors. It changes nothing.
    Reader,
    /// Operates queues: it pauses and resumes them, and cancels and retries jobs. It reads nothing.
    Operator,
}

/// Returns the statements that grant a role exactly these rights in a schema. They revoke all other
/// rights on the schema's objects from the role and from `PUBLIC`. The owner of the schema must run
/// them after each migration and each restore. Otherwise all roles may call new functions,
/// because that is PostgreSQL's default. After `pg_restore --no-privileges`, it applies to all
/// functions.
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
/// [`Invalid`](queue_core::ErrorKind::Invalid) if
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) refuses the schema's name, or if no
/// role can have the role's name.
pub fn rights_sql(schema: &str, role: &str, rights: impl IntoIterator<Item = Rights>) -> Result<String> {
    let schema: Schema = schema.parse()?;
    let rights: Vec<Rights> = rights.into_iter().collect();
    let (name, role) = (role, quoted(role)?);
    let (owner, all) = (schema.quoted(), functions(&schema, FUNCTIONS.iter()));
    // Refuses the owner, because the functions act with the owner's rights.
    let mut script = format!(
        "DO $rights$ BEGIN\nIF {} = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{owner}.jobs'::regclass) THEN\n\
         RAISE EXCEPTION 'the role owns the schema: it has all rights, and must keep them';\nEND IF;\nEND $rights$;\n",
        literal(name)
    );
    script += &closed_to_public(&schema, FUNCTIONS);
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
    // An `E''` text has the same meaning with each setting of `standard_conforming_strings`.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn quoted(role: &str) -> Result<String> {
    let is_sound =
        (1..=MAX_ROLE_BYTES).contains(&role.len()) && !role.contains('\0') && !PSEUDO_ROLES.contains(&role);
    if is_sound {
        return Ok(format!("\"{}\"", role.replace('"', "\"\"")));
    }
    let message =
        format!("`{}` is not the name of a role of 1 to {MAX_ROLE_BYTES} bytes", role.escape_debug());
    Err(Error::invalid("read the name of a role", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_role_name_is_quoted() {
        let script = rights_sql("jobs", "a\"; {schema} --", [Rights::Reader]).unwrap();
        assert!(script.contains("GRANT USAGE ON SCHEMA \"jobs\" TO \"a\"\"; {schema} --\";"), "{script}");
    }

    #[test]
    fn pseudo_roles_are_refused() {
        for name in ["", "public", "none", "a\0b", &"x".repeat(64)] {
            assert!(rights_sql("jobs", name, [Rights::Worker]).is_err(), "{name}");
        }
        assert!(rights_sql("jobs", &"x".repeat(63), [Rights::Worker]).is_ok());
        assert!(rights_sql("Jobs", "worker", [Rights::Worker]).is_err());
    }
}
