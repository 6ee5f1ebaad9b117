//! The migrations as a script.

use queue_core::Result;

use super::definition::{CURRENT, Definition, ledger, lock};
use crate::schema_name::Schema;

/// Returns a script that creates or migrates a schema of this name, for `psql` and other migration
/// tools. It may be run again; an up-to-date schema stays unchanged.
///
/// In a checkout of the workspace,
/// `cargo run -p queue-postgres --example migrations -- queue > queue.sql` writes it to a file.
///
/// ```
/// let script = queue_postgres::migrations_sql("shop_jobs")?;
/// assert!(script.contains(r#"CREATE TABLE "shop_jobs".jobs"#));
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) refuses the name.
pub fn migrations_sql(schema: &str) -> Result<String> {
    Ok(script(&CURRENT, &schema.parse()?))
}

/// One block, because plain SQL has no conditions.
pub(super) fn script(definition: &Definition<'_>, schema: &Schema) -> String {
    let table = format!("{}.migrations", schema.quoted());
    let mut script = format!(
        "BEGIN;\n{}\n{}\nDO $migration$\nDECLARE\n\
         v_found integer := coalesce((SELECT max(version) FROM {table}), 0);\nBEGIN\n",
        lock(schema),
        ledger(schema)
    );
    for step in definition.steps {
        let (version, name, oldest) = (step.version, step.name, step.oldest_compatible);
        let record = format!(
            "INSERT INTO {table} (version, name, oldest_compatible)\n\
             VALUES ({version}, '{name}', {oldest});\n"
        );
        let parts = definition.step(step, schema).map(|part| executed(&part)).concat();
        script += &unless_found(version, &(parts + &record));
    }
    let operations: String = definition.operations(schema).map(|part| executed(&part)).collect();
    script += &unless_found(definition.version(), &operations);
    script + "END\n$migration$;\nCOMMIT;\n"
}

fn unless_found(version: i32, statements: &str) -> String {
    format!("IF v_found < {version} THEN\n{statements}END IF;\n")
}

fn executed(part: &str) -> String {
    format!("EXECUTE $part$\n{part}$part$;\n")
}
