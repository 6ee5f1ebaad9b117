//! Tests the replies to the requests of a group.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use queue_core::{Error, ErrorKind, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::*;
use crate::config::{IfMissing, SqliteConfig};
use crate::connection::open_writer;
use crate::error::Outcome;
use crate::writer::command::{Pending, Request};
#[cfg(unix)]
use crate::writer::session::Files;

/// A request that runs a closure. Its reply is the time of the run.
struct Act<F>(F);

impl<F: Fn(&mut Session) -> Outcome<()> + Send + 'static> Request for Act<F> {
    type Reply = Instant;

    const OPERATION: &'static str = "test the writer";

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, session: &mut Session, _hints: &mut WakeHints) -> Outcome<Instant> {
        self.0(session).map(|()| Instant::now())
    }
}

struct Heartbeat;

impl Request for Heartbeat {
    type Reply = Instant;

    const OPERATION: &'static str = "send a test heartbeat";

    const URGENCY: Urgency = Urgency::Urgent;

    fn rows(&self) -> usize {
        1
    }

    fn apply(&self, _session: &mut Session, _hints: &mut WakeHints) -> Outcome<Instant> {
        Ok(Instant::now())
    }
}

type Answer = oneshot::Receiver<Result<Instant>>;

fn command(request: impl Request<Reply = Instant>) -> (Box<dyn Command>, Answer) {
    let (caller, answer) = oneshot::channel();
    let send = move |reply| {
        let _ = caller.send(reply);
    };
    (Box::new(Pending::new(request, send)), answer)
}

fn act(act: impl Fn(&mut Session) -> Outcome<()> + Send + 'static) -> (Box<dyn Command>, Answer) {
    command(Act(act))
}

/// Rolls back the open transaction, as SQLite does when the disk is full.
fn undo(session: &mut Session) -> Outcome<()> {
    transaction::run(&session.connection, "ROLLBACK")?;
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None).into())
}

fn session(config: &SqliteConfig) -> Session {
    Session::new(open_writer(config, IfMissing::Create).unwrap(), None)
}

/// The number of requests in the failing group.
const MANY: usize = 60;

/// Serves a group whose transaction is rolled back twice, while another connection takes the lock
/// and holds it for `held`. Returns the errors and the duration.
fn rolled_back_under_a_lock(held: Duration, patience: Duration) -> (Vec<Option<ErrorKind>>, Duration) {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("jobs.db");
    let mut session = session(&SqliteConfig::new(&file));
    let times = AtomicU32::new(0);
    let (poison, poisoned) = act(move |session| {
        let fault = undo(session);
        if times.fetch_add(1, Ordering::Relaxed) == 1 {
            let other = Connection::open(&file)?;
            other.execute_batch("BEGIN IMMEDIATE")?;
            thread::spawn(move || {
                thread::sleep(held);
                drop(other);
            });
        }
        fault
    });
    let (commands, mut answers): (Commands, Vec<Answer>) = (1..MANY).map(|_| act(|_| Ok(()))).unzip();
    let commands = commands.into_iter().chain([poison]).collect();
    answers.push(poisoned);
    let start = Instant::now();
    serve(&mut session, &Mailbox::default(), &WakeHub::default(), Patience(patience), commands);
    let took = start.elapsed();
    let error_kind = |mut answer: Answer| answer.try_recv().unwrap().err().map(|error| error.kind());
    (answers.into_iter().map(error_kind).collect(), took)
}

#[test]
fn repeated_requests_wait_for_the_lock() {
    let (errors, _) = rolled_back_under_a_lock(Duration::from_millis(300), Duration::from_secs(60));
    let mut expected = [None; MANY];
    expected[MANY - 1] = Some(ErrorKind::Unavailable);
    assert_eq!(errors, expected);
}

#[test]
fn repeated_requests_time_out_together() {
    let patience = Duration::from_millis(500);
    let (errors, took) = rolled_back_under_a_lock(Duration::from_secs(60), patience);
    assert_eq!(errors, [Some(ErrorKind::Busy); MANY]);
    // If each waited for its own timeout, this would take 30 s.
    assert!(took < patience * 30, "{took:?}");
}

#[test]
fn heartbeat_overtakes_repeated_requests() {
    let mut session = session(&SqliteConfig::in_memory());
    let mailbox = Arc::new(Mailbox::default());
    let times = AtomicU32::new(0);
    let (heartbeat, mut heartbeat_reply) = command(Heartbeat);
    let heartbeat = Mutex::new(Some(heartbeat));
    let (first, _) = act({
        let mailbox = Arc::clone(&mailbox);
        move |session| {
            if times.fetch_add(1, Ordering::Relaxed) < 2 {
                return undo(session);
            }
            let heartbeat = heartbeat.lock().unwrap().take();
            assert!(heartbeat.is_none_or(|heartbeat| mailbox.post(heartbeat).is_ok()));
            Ok(())
        }
    });
    let (second, mut done) = act(|_| Ok(()));
    let patience = Patience(Duration::from_secs(60));
    serve(&mut session, &mailbox, &WakeHub::default(), patience, vec![first, second]);
    assert!(heartbeat_reply.try_recv().unwrap().unwrap() < done.try_recv().unwrap().unwrap());
}
/// The error of a request whose files are removed during its commit.
#[cfg(unix)]
fn removed_in_a_commit() -> Error {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("jobs.db");
    let mut session = session(&SqliteConfig::new(&file));
    let hook = move || {
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(format!("{}{suffix}", file.display())).unwrap();
        }
        false
    };
    session.connection.commit_hook(Some(hook)).unwrap();
    let (command, mut answer) =
        act(|session| Ok(session.connection.execute_batch("INSERT INTO queue_names (name) VALUES ('a')")?));
    let patience = Patience(Duration::from_secs(60));
    serve(&mut session, &Mailbox::default(), &WakeHub::default(), patience, vec![command]);
    assert_eq!(session.files, Files::Lost);
    answer.try_recv().unwrap().unwrap_err()
}

#[cfg(unix)]
#[test]
fn commit_into_removed_files_has_unknown_outcome() {
    let error = removed_in_a_commit();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error}");
    assert!(error.to_string().contains("no longer at its path"), "{error}");
}

const DEFERRED: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    PRAGMA foreign_keys = 1";

fn refused_by_a_child(session: &mut Session) -> Outcome<()> {
    if session.connection.prepare("SELECT 1 FROM child")?.exists([])? {
        return Err(Error::new(ErrorKind::WorkerLost, "test the writer", "there is a child").into());
    }
    Ok(())
}

#[test]
fn failed_commit_refuses_no_other_request() {
    let mut session = session(&SqliteConfig::in_memory());
    session.connection.execute_batch(DEFERRED).unwrap();
    // An orphan, which only the commit detects.
    let (writer, mut written) =
        act(|session| Ok(session.connection.execute("INSERT INTO child VALUES (1)", []).map(|_| ())?));
    let (reader, mut read) = act(refused_by_a_child);
    let patience = Patience(Duration::from_secs(60));
    serve(&mut session, &Mailbox::default(), &WakeHub::default(), patience, vec![writer, reader]);
    assert_eq!(written.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Invalid);
    read.try_recv().unwrap().unwrap();
}

#[test]
fn commit_keeps_refusals_based_on_committed_rows() {
    let mut session = session(&SqliteConfig::in_memory());
    session.connection.execute_batch(DEFERRED).unwrap();
    let (writer, mut written) =
        act(|session| Ok(session.connection.execute("INSERT INTO child VALUES (NULL)", []).map(|_| ())?));
    let (reader, mut read) = act(refused_by_a_child);
    let patience = Patience(Duration::from_secs(60));
    serve(&mut session, &Mailbox::default(), &WakeHub::default(), patience, vec![writer, reader]);
    written.try_recv().unwrap().unwrap();
    assert_eq!(read.try_recv().unwrap().unwrap_err().kind(), ErrorKind::WorkerLost);
}
