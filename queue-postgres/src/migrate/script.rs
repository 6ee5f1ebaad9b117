//! The upgrade as a script.

use queue_core::Result;

use super::definition::{CURRENT, Definition, ledger, lock};
use crate::config::Schema;

/// Everything that makes or brings up to date a schema of this name, as a script for `psql` and for
/// those who run migrations by other means. It can be run again: it leaves alone a schema that is
/// up to date.
///
/// From a checkout of the workspace,
/// `cargo run -p queue-postgres --example migrations -- queue > queue.sql` writes it to a file.
///
/// ```
/// let script = queue_postgres::migrations_sql("shop_jobs")?;
/// assert!(script.contains(r#"CREATE TABLE "shop_jobs".jobs"#));
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the name is none that
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) takes.
pub fn migrations_sql(schema: &str) -> Result<String> {
    Ok(script(&CURRENT, &schema.parse()?))
}

/// One block holds all of it, because plain SQL knows no condition.
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
