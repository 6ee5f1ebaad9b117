//! Versions and migrations of a schema.

use crate::{Error, ErrorKind, Result};

/// One step of a schema. A backend applies it once, and records it in the same transaction in its
/// ledger, the table of the applied steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// The version of the schema after this step.
    pub version: i32,
    /// Its name in the ledger.
    pub name: &'static str,
    /// The oldest version of a program that can use the schema after this step (default: the
    /// version of this step). Keep it low if older programs may ignore the changes of the step, so
    /// that rolling deployments are possible.
    pub oldest_compatible: i32,
    /// The SQL statements of the step.
    pub sql: &'static str,
}

impl Migration {
    /// A step after which only programs of its version or later can use the schema.
    #[must_use]
    pub const fn new(version: i32, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, oldest_compatible: version, sql }
    }

    /// Sets the oldest version of a program that can use the schema after this step.
    #[must_use]
    pub const fn oldest_compatible(mut self, version: i32) -> Self {
        self.oldest_compatible = version;
        self
    }
}

/// The last row of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaVersion {
    /// The version of the schema.
    pub version: i32,
    /// The oldest version of a program that can use it.
    pub oldest_compatible: i32,
}

impl SchemaVersion {
    /// A schema of this version, usable by programs of version `oldest_compatible` or later.
    #[must_use]
    pub const fn new(version: i32, oldest_compatible: i32) -> Self {
        Self { version, oldest_compatible }
    }
}

/// Returns the missing steps of a schema, out of all `steps` in order. There are none if the schema
/// has the version of the last step, or a later version that this program can use.
///
/// Call it first without a lock, so that a program without missing steps needs none. If steps are
/// missing, take the lock that keeps two programs from migrating at once, and call it again,
/// because another program may have migrated meanwhile. `schema` names the schema in the error.
///
/// ```
/// use queue_core::backend::{Migration, SchemaVersion, missing_migrations};
///
/// const STEPS: &[Migration] = &[
///     Migration::new(1, "tables", "CREATE TABLE …"),
///     Migration::new(2, "tags", "ALTER TABLE …").oldest_compatible(1),
/// ];
/// assert_eq!(missing_migrations(STEPS, None, "the schema")?, STEPS);
/// let found = Some(SchemaVersion::new(1, 1));
/// assert_eq!(missing_migrations(STEPS, found, "the schema")?, &STEPS[1..]);
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) if this program is too old for the schema.
pub fn missing_migrations<'a>(
    steps: &'a [Migration],
    found: Option<SchemaVersion>,
    schema: &str,
) -> Result<&'a [Migration]> {
    let Some(SchemaVersion { version, oldest_compatible }) = found else { return Ok(steps) };
    let known = steps.last().map_or(0, |last| last.version);
    if oldest_compatible > known {
        let message = format!(
            "{schema} is of version {version}, which only programs that know version \
             {oldest_compatible} can use; this one knows up to {known}"
        );
        return Err(Error::new(ErrorKind::Unsupported, "open the database", message));
    }
    let first = steps.partition_point(|step| step.version <= version);
    Ok(steps.get(first..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Migration] =
        &[Migration::new(1, "one", ""), Migration::new(2, "two", "").oldest_compatible(1)];

    fn missing(version: i32, oldest_compatible: i32) -> Result<usize> {
        let found = SchemaVersion::new(version, oldest_compatible);
        missing_migrations(STEPS, Some(found), "the schema `jobs`").map(<[_]>::len)
    }

    #[test]
    fn only_missing_steps_are_applied() {
        assert_eq!(missing_migrations(STEPS, None, "").unwrap().len(), 2);
        assert_eq!(missing(1, 1).unwrap(), 1);
        assert_eq!(missing(2, 1).unwrap(), 0);
    }

    #[test]
    fn newer_schema_is_used_if_compatible() {
        assert_eq!(missing(5, 2).unwrap(), 0);
        let error = missing(5, 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().starts_with("the schema `jobs` is of version 5"), "{error}");
    }
}
