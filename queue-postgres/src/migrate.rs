//! Migrates the schema and records the versions in its own ledger.

mod definition;
mod script;
#[cfg(test)]
mod tests;

use queue_core::backend::{Migration, SchemaVersion, missing_migrations};
use queue_core::{Error, ErrorKind, Result};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient, Transaction};

use self::definition::{CURRENT, Definition, ledger, lock};
pub use self::script::migrations_sql;
use crate::config::{Migrate, PostgresConfig};
use crate::connections::{Connections, Parameter};
use crate::error::{Effect, Fault, Outcome};
use crate::row;
use crate::schema_name::Schema;
use crate::statements::filled;

const OPERATION: &str = "migrate the schema";

const LEDGER_EXISTS: &str = include_str!("sql/ledger_exists.sql");
const LEDGER_READ: &str = include_str!("sql/ledger_read.sql");
const LEDGER_WRITE: &str = include_str!("sql/ledger_write.sql");

/// Applies all missing steps in one transaction, so that a program killed midway leaves the old
/// schema. Several programs may migrate at once.
pub(crate) async fn migrate(connections: &Connections, config: &PostgresConfig) -> Result<()> {
    let done = async {
        let mut connection = connections.connection().await?;
        let done = migrate_on(&mut connection, config, &CURRENT).await;
        connections.return_connection(connection, &done, done.is_ok());
        done
    };
    done.await.map_err(|fault| explained(fault, &config.schema))
}

fn explained(fault: Fault, schema: &Schema) -> Error {
    let Some(refusal) = fault.taken_name() else { return fault.into_error(OPERATION, Effect::Writes) };
    let message = format!(
        "the schema `{}` has an object of another program with a name of the queue ({refusal}); \
         choose another schema, e.g. by `?schema=` in the URL",
        schema.as_str()
    );
    let cause = fault.into_error(OPERATION, Effect::Writes);
    Error::new(ErrorKind::Conflict, OPERATION, message).with_source(cause)
}

async fn migrate_on(
    client: &mut Client,
    config: &PostgresConfig,
    definition: &Definition<'_>,
) -> Outcome<()> {
    let schema = &config.schema;
    // Reads first: without missing steps, a program needs no lock and no right to change the
    // schema.
    let found = version(&*client, schema).await?;
    if missing(definition, found, schema)?.is_empty() {
        return Ok(());
    }
    if config.migrate == Migrate::Never {
        return Err(outdated(found, definition.version(), schema).into());
    }
    let transaction = client.build_transaction().start().await?;
    apply(&transaction, schema, definition).await?;
    Ok(transaction.commit().await?)
}

async fn apply(transaction: &Transaction<'_>, schema: &Schema, definition: &Definition<'_>) -> Outcome<()> {
    transaction.batch_execute(&lock(schema)).await?;
    let found = version(transaction, schema).await?;
    let missing = missing(definition, found, schema)?;
    if missing.is_empty() {
        return Ok(());
    }
    transaction.batch_execute(&ledger(schema)).await?;
    for step in missing {
        for part in definition.step(step, schema) {
            transaction.batch_execute(&part).await?;
        }
        record(transaction, schema, step).await?;
    }
    for part in definition.operations(schema) {
        transaction.batch_execute(&part).await?;
    }
    Ok(())
}

async fn record(transaction: &Transaction<'_>, schema: &Schema, step: &Migration) -> Outcome<()> {
    let Migration { version, name, oldest_compatible, .. } = step;
    let line: [(Parameter<'_>, Type); 3] =
        [(version, Type::INT4), (name, Type::TEXT), (oldest_compatible, Type::INT4)];
    transaction.execute_typed(&filled(LEDGER_WRITE, schema), &line).await?;
    Ok(())
}

fn missing<'a>(
    definition: &Definition<'a>,
    found: Option<SchemaVersion>,
    schema: &Schema,
) -> Result<&'a [Migration]> {
    missing_migrations(definition.steps, found, &format!("the schema `{}`", schema.as_str()))
}

fn outdated(found: Option<SchemaVersion>, known: i32, schema: &Schema) -> Error {
    let is = found.map_or("does not exist".to_owned(), |found| format!("has version {}", found.version));
    let message = format!(
        "the schema `{}` {is}, this program needs version {known}, and its configuration forbids to migrate; \
         run the script of `migrations_sql`",
        schema.as_str()
    );
    Error::new(ErrorKind::Unsupported, "open the database", message)
}

async fn version(client: &impl GenericClient, schema: &Schema) -> Outcome<Option<SchemaVersion>> {
    let name = schema.as_str();
    let ledger = client.query_typed(LEDGER_EXISTS, &[(&name, Type::TEXT)]).await?;
    let Some(ledger) = ledger.first() else { return Ok(None) };
    if !row::get::<bool>(ledger, 0)? {
        let message = format!(
            "the table `{name}.migrations` belongs to another program; choose another schema, e.g. by `?schema=` in the URL"
        );
        return Err(Error::new(ErrorKind::Conflict, "open the database", message).into());
    }
    let rows = client.query_typed(&filled(LEDGER_READ, schema), &[]).await?;
    let read = |row| Ok(SchemaVersion::new(row::get(row, 0)?, row::get(row, 1)?));
    // The transaction that created the table also inserted a row.
    let first = rows.first().ok_or_else(|| {
        let message = format!(
            "the table `{name}.migrations` has no visible row: row level security hides them, or it was emptied"
        );
        Fault::from(Error::new(ErrorKind::Misconfigured, "open the database", message))
    })?;
    read(first).map(Some)
}
