//! Opening connections.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use queue_core::{Error, ErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::config::{IfMissing, Location, SqliteConfig};
use crate::error::{Fault, Outcome, is_busy};
use crate::file_connection::FileConnection;
use crate::identity::{FileBefore, OpenFiles};
use crate::migrate::{MIGRATIONS, Migrated, migrate};
use crate::transaction::{Patience, rollback, try_begin};

/// Maximum wait of one attempt to get a lock. Requests that arrive in the meantime join before the
/// next attempt.
pub(crate) const LOCK_ATTEMPT: Duration = Duration::from_millis(50);

/// The driver accepts at most some weeks.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Pause between two attempts to switch to WAL, because SQLite itself does not wait for that.
const WAL_PAUSE: Duration = Duration::from_millis(5);

/// More than the number of statements, so that each is compiled once.
const STATEMENTS: usize = 128;

/// SQLite 3.37, the first with STRICT tables.
const OLDEST_SQLITE: i32 = 3_037_000;

/// Opens the writing connection and migrates the tables.
pub(crate) fn open_writer(config: &SqliteConfig, if_missing: IfMissing) -> Outcome<FileConnection> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let message = format!("SQLite {} is too old; at least 3.37 is required", rusqlite::version());
        return Err(Error::new(ErrorKind::Unsupported, "open the database", message).into());
    }
    let (connection, before) = match &config.location {
        Location::Memory => (Connection::open_in_memory()?, None),
        Location::File(path) => {
            let (connection, before) = open_or_create(path, if_missing)?;
            (connection, Some((path, before)))
        }
    };
    set_up(&connection, config)?;
    if let Location::File(path) = &config.location {
        if connection.is_readonly(MAIN_DB)? {
            let message = format!("`{}`: this program may not write to the file", path.display());
            return Err(Error::new(ErrorKind::Misconfigured, "open the database", message).into());
        }
        set(&connection, "page_size", i64::from(config.page_bytes))?;
        switch_to_wal(&connection, config)?;
        assert_setting(&connection, "synchronous", config.synchronous.level())?;
        set(&connection, "wal_autocheckpoint", i64::from(config.checkpoint_pages))?;
        // SQLite truncates the log to this size when a commit restarts it.
        set(&connection, "journal_size_limit", i64::try_from(config.log_bytes).unwrap_or(i64::MAX))?;
    }
    if let Some(bytes) = config.max_file_bytes {
        let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        set(
            &connection,
            "max_page_count",
            i64::try_from(bytes.div_ceil(u64::from(page))).unwrap_or(i64::MAX),
        )?;
    }
    let migrated = migrate(&connection, MIGRATIONS, &Patience(config.busy_wait))?;
    connection.busy_timeout(LOCK_ATTEMPT)?;
    if migrated == Migrated::NothingToDo {
        check_writable(&connection)?;
    }
    match before {
        Some((path, before)) => FileConnection::new(connection, path, &before),
        None => Ok(FileConnection::in_memory(connection)),
    }
}

/// Fails if the file cannot be written. An `open` without a migration has not written yet.
fn check_writable(connection: &Connection) -> Outcome<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let begun = try_begin(connection);
    connection.busy_timeout(LOCK_ATTEMPT)?;
    match begun {
        Ok(()) => Ok(rollback(connection)?),
        // Another program holds the lock, so the file can be written.
        Err(error) if is_busy(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn open_or_create(path: &Path, if_missing: IfMissing) -> Outcome<(Connection, FileBefore)> {
    let flags = write_flags(path, if_missing)?;
    let before = match if_missing {
        IfMissing::Create => FileBefore::create(path),
        IfMissing::Fail => FileBefore::at(path),
    };
    Ok((open_file(path, flags)?, before))
}

fn write_flags(path: &Path, if_missing: IfMissing) -> Outcome<OpenFlags> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    match if_missing {
        IfMissing::Create => Ok(flags | OpenFlags::SQLITE_OPEN_CREATE),
        IfMissing::Fail if std::fs::exists(path).is_ok_and(|exists| !exists) => {
            let message = format!("`{}`: there is no file, and none is created", path.display());
            Err(Error::new(ErrorKind::Unavailable, "open the database", message).into())
        }
        IfMissing::Fail => Ok(flags),
    }
}

/// Opens a reading connection to the files of the writer. They must be at their paths; otherwise
/// the connection would begin another log and read from two databases.
pub(crate) fn open_reader(
    config: &SqliteConfig,
    path: &Path,
    files: Arc<OpenFiles>,
) -> Outcome<FileConnection> {
    let connection = open_copier(config, path, files)?;
    set(&connection, "query_only", 1)?;
    Ok(connection)
}

/// Opens a connection that copies the files of the writer.
pub(crate) fn open_copier(
    config: &SqliteConfig,
    path: &Path,
    files: Arc<OpenFiles>,
) -> Outcome<FileConnection> {
    let connection = open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_up(&connection, config)?;
    Ok(FileConnection::to(files, connection))
}

fn open_file(path: &Path, flags: OpenFlags) -> Outcome<Connection> {
    // Without SQLITE_OPEN_URI and with an absolute path, no build of SQLite reads the path as a
    // URI.
    Ok(Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

fn set_up(connection: &Connection, config: &SqliteConfig) -> Outcome<()> {
    // Any statement may wait: the last connection of another program locks the file while it
    // closes.
    connection.busy_timeout(config.busy_wait.min(LONGEST_WAIT))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise SQLite plans by the values of some parameters and compiles the statement again for
    // each new value. That costs several times the reads of a claim.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    rusqlite::vtab::array::load_module(connection)?;
    let kibibytes = i64::try_from(config.cache_bytes.div_ceil(1024)).unwrap_or(i64::MAX);
    set(connection, "cache_size", -kibibytes.min(i64::from(i32::MAX)))?;
    set(connection, "temp_store", 2)?;
    // The queue needs no foreign keys; the application may set them on its own connections.
    set(connection, "foreign_keys", 0)
}

fn set(connection: &Connection, pragma: &str, value: i64) -> Outcome<()> {
    connection.pragma_update_and_check(None, pragma, value, |_| Ok(())).or_else(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error.into()),
    })
}

fn assert_setting(connection: &Connection, pragma: &'static str, value: i64) -> Outcome<()> {
    set(connection, pragma, value)?;
    let is: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    if is == value { Ok(()) } else { Err(not_set(pragma, &value.to_string(), &is.to_string())) }
}

fn switch_to_wal(connection: &Connection, config: &SqliteConfig) -> Outcome<()> {
    let start = Instant::now();
    loop {
        let switched =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match switched {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(not_set("journal_mode", "wal", &mode)),
            Err(error) if is_busy(&error) && start.elapsed() < config.busy_wait => thread::sleep(WAL_PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

fn not_set(pragma: &str, wanted: &str, is: &str) -> Fault {
    let message =
        format!("`{pragma}` stayed `{is}` where `{wanted}` is needed; does the file system support it?");
    Error::new(ErrorKind::Unsupported, "open the database", message).into()
}
