//! Bringing the schema to this program's version, with a ledger of its own.

use queue_core::{Error, ErrorKind, Result};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::catalog::closed_to_everybody;
use crate::config::{Migrate, PostgresConfig, Schema};
use crate::connections::Connections;
use crate::error::{Effect, Fault, Outcome};
use crate::row;
use crate::statements::filled;

/// One step of the schema.
#[derive(Debug)]
pub(crate) struct Migration {
    version: i32,
    name: &'static str,
    /// The least version of a program that can serve the schema after this step: a step that only
    /// adds what older programs may leave alone keeps it low, so that deployments can roll.
    oldest_compatible: i32,
    sql: &'static [&'static str],
}

/// All steps, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "tables and functions",
    oldest_compatible: 1,
    sql: &[
        include_str!("../migrations/0001_tables.sql"),
        include_str!("../migrations/0001_ids.sql"),
        include_str!("../migrations/0001_rows.sql"),
        include_str!("../migrations/0001_insert.sql"),
        include_str!("../migrations/0001_pause.sql"),
        include_str!("../migrations/0001_claim.sql"),
        include_str!("../migrations/0001_ready_queues.sql"),
        include_str!("../migrations/0001_settle.sql"),
        include_str!("../migrations/0001_cancel.sql"),
        include_str!("../migrations/0001_worker.sql"),
        include_str!("../migrations/0001_maintain.sql"),
        include_str!("../migrations/0001_enqueue.sql"),
        include_str!("../migrations/0001_overview.sql"),
    ],
}];

/// What every function has set. It acts with the rights of its owner, so that a role needs no rights on the
/// tables. Its plans are fixed, whatever the statistics of the tables say: one that is made while a table is
/// empty would otherwise read all of it later on. For that each statement enters a table by an array of ids, by the
/// leading columns of an index, or row by row in a LATERAL with a LIMIT (the only nested loop that is left); what is
/// joined is hashed.
const FUNCTION_SETTINGS: &str = "SECURITY DEFINER SET search_path = {schema}, pg_temp \
    SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off \
    SET enable_nestloop = off SET enable_mergejoin = off SET jit = off";

const OPERATION: &str = "bring the schema up to date";

const LEDGER_EXISTS: &str = include_str!("sql/ledger_exists.sql");
const LEDGER_CREATE: &str = include_str!("sql/ledger_create.sql");
const LEDGER_LOCK: &str = include_str!("sql/ledger_lock.sql");
const LEDGER_READ: &str = include_str!("sql/ledger_read.sql");
const LEDGER_WRITE: &str = include_str!("sql/ledger_write.sql");

/// Everything that makes or brings up to date a schema of this name, as a script for `psql` and for those who
/// run migrations by other means. It can be run again: what has been applied is left alone.
///
/// From a checkout of the workspace, `cargo run -p queue-postgres --example migrations -- queue > queue.sql` writes it
/// to a file.
///
/// ```
/// let script = queue_postgres::migrations_sql("shop_jobs")?;
/// assert!(script.contains(r#"CREATE TABLE "shop_jobs".jobs"#));
/// # Ok::<(), queue_core::Error>(())
/// ```
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) if the name is none that
/// [`PostgresConfig::schema`](crate::PostgresConfig::schema) takes.
pub fn migrations_sql(schema: &str) -> Result<String> {
    let schema: Schema = schema.parse()?;
    let mut script = format!("BEGIN;\n{}\n{}\n", lock(&schema), expanded(LEDGER_CREATE, &schema));
    for migration in MIGRATIONS {
        let Migration { version, name, oldest_compatible, .. } = migration;
        let applied = format!("(SELECT 1 FROM {}.migrations WHERE version = {version})", schema.quoted());
        // A block of its own, since plain SQL knows no condition.
        script += &format!("DO $migration$ BEGIN\nIF NOT EXISTS {applied} THEN\n");
        for part in parts(migration, &schema) {
            script += &format!("EXECUTE $part$\n{part}$part$;\n");
        }
        script += &format!(
            "INSERT INTO {}.migrations (version, name, oldest_compatible) VALUES ({version}, '{name}', {oldest_compatible});\n\
             END IF;\nEND $migration$;\n",
            schema.quoted()
        );
    }
    Ok(script + "COMMIT;\n")
}

/// Applies what is missing, all of it in one transaction: killed midway, the schema is the old one. Many
/// programs may do this at once.
pub(crate) async fn migrate(connections: &Connections, config: &PostgresConfig) -> Result<()> {
    let done = async {
        let mut connection = connections.connection().await?;
        let done = migrate_on(&mut connection, config).await;
        connections.give_back(connection, &done, done.is_ok());
        done
    };
    done.await.map_err(|fault: Fault| match fault.taken_name() {
        Some(said) => {
            let message = format!(
                "the schema `{}` holds something of the same name that is not this library's ({said}); \
                 choose another schema, e.g. by `?schema=` in the URL",
                config.schema.as_str()
            );
            Error::new(ErrorKind::Conflict, OPERATION, message)
                .with_source(fault.into_error(OPERATION, Effect::Writes))
        }
        None => fault.into_error(OPERATION, Effect::Writes),
    })
}

async fn migrate_on(client: &mut Client, config: &PostgresConfig) -> Outcome<()> {
    // A read first: a program that finds nothing to do needs no lock, and no right to change anything.
    let found = version(&*client, &config.schema).await?;
    if serves(found, &config.schema)? == Serves::AsItIs {
        return Ok(());
    }
    if config.migrate == Migrate::Never {
        return Err(outdated(found, &config.schema).into());
    }
    let transaction = client.build_transaction().start().await?;
    apply(&transaction, &config.schema).await?;
    Ok(transaction.commit().await?)
}

async fn apply(transaction: &Transaction<'_>, schema: &Schema) -> Outcome<()> {
    transaction.batch_execute(&lock(schema)).await?;
    let found = version(transaction, schema).await?;
    if serves(found, schema)? == Serves::AsItIs {
        return Ok(());
    }
    transaction.batch_execute(&expanded(LEDGER_CREATE, schema)).await?;
    let found = found.map_or(0, |found| found.version);
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        for part in parts(migration, schema) {
            transaction.batch_execute(&part).await?;
        }
        let Migration { version, name, oldest_compatible, .. } = migration;
        let ledger = filled(LEDGER_WRITE, schema);
        let line: [(crate::connections::Parameter<'_>, Type); 3] =
            [(version, Type::INT4), (name, Type::TEXT), (oldest_compatible, Type::INT4)];
        transaction.execute_typed(&ledger, &line).await?;
    }
    Ok(())
}

/// The statements of a step. Each ends with closing to everybody what it made.
fn parts(migration: &Migration, schema: &Schema) -> impl Iterator<Item = String> {
    migration.sql.iter().map(|part| expanded(part, schema)).chain([closed_to_everybody(schema)])
}

fn expanded(sql: &str, schema: &Schema) -> String {
    let literal = |text: &str| format!("'{text}'");
    let sql = sql
        .replace("{function_settings}", FUNCTION_SETTINGS)
        .replace("{channel}", &literal(&schema.channel()))
        .replace("{wake_setting}", &schema.wake_setting())
        .replace("{schema_name}", &literal(schema.as_str()));
    filled(&sql, schema)
}

fn lock(schema: &Schema) -> String {
    LEDGER_LOCK.replace("{name}", schema.as_str())
}

#[derive(Debug, Clone, Copy)]
struct Found {
    version: i32,
    oldest_compatible: i32,
}

#[derive(PartialEq)]
enum Serves {
    AsItIs,
    OnceMigrated,
}

fn known() -> i32 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

fn serves(found: Option<Found>, schema: &Schema) -> Outcome<Serves> {
    let known = known();
    match found {
        Some(found) if found.oldest_compatible > known => Err(unsupported(format!(
            "the schema `{}` is of version {}, which only programs that know version {} can serve; this one knows up to {known}",
            schema.as_str(),
            found.version,
            found.oldest_compatible
        ))
        .into()),
        Some(found) if found.version >= known => Ok(Serves::AsItIs),
        Some(_) | None => Ok(Serves::OnceMigrated),
    }
}

fn outdated(found: Option<Found>, schema: &Schema) -> Error {
    let is = found.map_or("is not there".to_owned(), |found| format!("is of version {}", found.version));
    unsupported(format!(
        "the schema `{}` {is}, this program needs version {}, and it was told not to migrate; \
         `migrations_sql` gives the script",
        schema.as_str(),
        known()
    ))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, "open the database", message)
}

async fn version(client: &impl GenericClient, schema: &Schema) -> Outcome<Option<Found>> {
    let name = schema.as_str();
    let ledger = client.query_typed(LEDGER_EXISTS, &[(&name, Type::TEXT)]).await?;
    let Some(ledger) = ledger.first() else { return Ok(None) };
    if !row::get::<bool>(ledger, 0)? {
        let message = format!(
            "the table `{name}.migrations` is not this library's; choose another schema, e.g. by `?schema=` in the URL"
        );
        return Err(Error::new(ErrorKind::Conflict, "open the database", message).into());
    }
    let rows = client.query_typed(&filled(LEDGER_READ, schema), &[]).await?;
    let read = |row| Ok(Found { version: row::get(row, 0)?, oldest_compatible: row::get(row, 1)? });
    // It was written in the transaction that made the table.
    let first = rows.first().ok_or_else(|| {
        let message = format!(
            "the table `{name}.migrations` shows no row to this role: row level security hides them, or it was emptied"
        );
        Fault::from(Error::new(ErrorKind::Misconfigured, "open the database", message))
    })?;
    read(first).map(Some)
}
