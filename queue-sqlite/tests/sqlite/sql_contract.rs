//! Enqueueing from SQL: the contract that other drivers and languages use.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use queue_core::backend::{Audit as _, Inspect as _, JobRecord, Stored};
use queue_core::{ErrorKind, JobId, JobQueue, NewJob, Payload, Result as QueueResult};
use queue_sqlite::{SqliteBackend, SqliteConfig, Tx as _};
use queue_testkit::sql_contract::{SqlStorage, check};
use rusqlite::{Connection, Error, OpenFlags};
use tokio::runtime::Runtime;

struct File {
    runtime: Runtime,
    backend: SqliteBackend,
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let config = SqliteConfig::new(folder.path().join("jobs.db"));
        let backend = runtime.block_on(SqliteBackend::open(config)).unwrap();
        Self { runtime, backend, folder }
    }

    fn connection(&self) -> Connection {
        Connection::open(self.folder.path().join("jobs.db")).unwrap()
    }
}

impl SqlStorage for File {
    fn clear(&self) {
        let tables = ["jobs", "live", "outcomes", "unique_keys"];
        let clear = tables.map(|table| format!("DELETE FROM queue_{table};")).concat();
        self.connection().execute_batch(&clear).unwrap();
    }

    fn enqueue(&self, request: &str) -> Result<Vec<(JobId, String)>, String> {
        enqueue(&self.connection(), request).map_err(|error| error.to_string())
    }

    fn jobs(&self, ids: &[JobId]) -> QueueResult<Vec<Option<JobRecord>>> {
        self.runtime.block_on(self.backend.jobs(ids))
    }

    fn stored(&self) -> QueueResult<Stored> {
        self.runtime.block_on(self.backend.stored())
    }
}

fn enqueue(connection: &Connection, request: &str) -> Result<Vec<(JobId, String)>, Error> {
    connection.execute("INSERT INTO queue_enqueue (jobs) VALUES (?1)", [request])?;
    let mut read = connection.prepare("SELECT id, insertion FROM queue_enqueue ORDER BY number")?;
    read.query_map([], |row| Ok((JobId::from_bytes(row.get(0)?), row.get(1)?)))?.collect()
}

#[test]
fn every_vector_of_the_contract_holds() {
    check(&File::new()).unwrap();
}

/// In a database whose encoding is UTF-16, the view could not make ids.
#[tokio::test]
async fn utf_16_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)").unwrap();
    drop(SqliteBackend::open(SqliteConfig::new(&path)).await.unwrap());
    let error = enqueue(&Connection::open(&path).unwrap(), "[]").unwrap_err().to_string();
    assert!(error.contains("the encoding of the database is not UTF-8"), "{error}");
}

/// After an error, the transaction of the caller is still open, and without the batch.
#[test]
fn error_leaves_the_transaction_open() {
    let file = File::new();
    let connection = file.connection();
    connection.execute_batch("CREATE TABLE orders (id); BEGIN; INSERT INTO orders VALUES (1)").unwrap();
    enqueue(&connection, r#"[{"kind": "a", "payload": "{}"}]"#).unwrap();
    enqueue(&connection, r#"[{"kind": "a", "payload": "{}"}, {"kind": "a"}]"#).unwrap_err();
    connection.execute_batch("COMMIT").unwrap();
    let count = |table: &str| -> i64 {
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("orders"), count("queue_jobs")), (1, 1));
}

#[test]
fn wrong_transaction_is_refused() {
    let (file, other) = (File::new(), File::new());
    let jobs = JobQueue::new(Arc::new(file.backend.clone()));
    let job = || NewJob::new("greet".parse().unwrap(), Payload::json("{}").unwrap());
    let refused = |connection: &Connection, text: &str| {
        let error = jobs.enqueue(job()).tx(connection).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(text), "{error}");
    };
    refused(&file.connection(), "has no open transaction");
    let begun = |connection: Connection| {
        connection.execute_batch("BEGIN").unwrap();
        connection
    };
    refused(&begun(other.connection()), "the transaction is of another database");
    refused(&begun(Connection::open_in_memory().unwrap()), "has no queue");
    let path = file.folder.path().join("jobs.db");
    let read_only = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    refused(&begun(read_only), "the transaction is read-only");
    assert_eq!(file.stored().unwrap().jobs.len() + other.stored().unwrap().jobs.len(), 0);
}

/// Python's standard library runs the same statement. Without Python, the test says so and passes.
#[test]
fn python_enqueues_with_its_standard_library() {
    let file = File::new();
    let program = "import json, sqlite3, sys\n\
        connection = sqlite3.connect(sys.argv[1])\n\
        with connection:\n    \
            jobs = [{'kind': 'greet', 'payload': json.dumps({'name': 'ada'}), 'unique': 'ada'}]\n    \
            connection.execute('INSERT INTO queue_enqueue (jobs) VALUES (?)', (json.dumps(jobs),))\n    \
            print(connection.execute('SELECT insertion FROM queue_enqueue').fetchall())\n";
    let path = file.folder.path().join("jobs.db");
    let Some(first) = python(program, &path) else { return };
    assert_eq!(first, "[('new',)]\n");
    assert_eq!(python(program, &path).as_deref(), Some("[('duplicate',)]\n"));
}

/// The output of a program. `None` if there is no Python.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn python(program: &str, path: &Path) -> Option<String> {
    let Ok(output) = Command::new("python3").arg("-c").arg(program).arg(path).output() else {
        println!("skipped: `python3` is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
