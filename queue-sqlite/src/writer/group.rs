//! One transaction for all that waits.

use queue_core::backend::WakeHub;
use rusqlite::ffi;

use super::command::{Command, Effects, Lane};
use super::mailbox::Mailbox;
use super::session::Session;
use crate::connection::{self, Patience};
use crate::error::{Fault, is_busy};

type Commands = Vec<Box<dyn Command>>;

/// Does operations in one transaction, together with those that arrive meanwhile, and answers them
/// after its commit. Each has a fate of its own: one that fails leaves the others alone.
pub(super) fn serve(
    session: &mut Session,
    mailbox: &Mailbox,
    hub: &WakeHub,
    patience: Patience,
    commands: Commands,
) {
    let commands = answer_idle(session, commands);
    if commands.is_empty() {
        return;
    }
    let Some(commands) = begin(session, mailbox, patience, commands) else {
        return;
    };
    let (commands, fault) = match write(session, mailbox, commands, Scopes::Together) {
        Written::All(done) => return finish(session, mailbox, hub, patience, done),
        Written::Undone(commands, fault) => (commands, fault),
    };
    let Some(commands) = unless_alone(session, commands, fault) else {
        return;
    };
    let Some(commands) = begin(session, mailbox, patience, commands) else {
        return;
    };
    match write(session, mailbox, commands, Scopes::Apart) {
        Written::All(done) => finish(session, mailbox, hub, patience, done),
        Written::Undone(commands, fault) => {
            repeat_alone(session, mailbox, hub, patience, commands, fault);
        }
    }
}

/// Answers what needs no transaction; returns the rest. Not tried if a transaction is needed anyway:
/// then it is cheaper to do everything within it.
fn answer_idle(session: &mut Session, mut commands: Commands) -> Commands {
    let mut looked = 0;
    for command in &mut commands {
        if !command.look(session) {
            break;
        }
        looked += 1;
    }
    let rest = commands.split_off(looked);
    commands.into_iter().for_each(Command::answer);
    rest
}

/// Begins the transaction. While somebody else holds the lock, those who waited long enough are told
/// so, and those who arrive join. `None` if nobody is left.
fn begin(
    session: &mut Session,
    mailbox: &Mailbox,
    patience: Patience,
    mut commands: Commands,
) -> Option<Commands> {
    loop {
        let error = match connection::try_begin(&session.connection) {
            Ok(()) => return Some(commands),
            Err(error) if is_busy(&error) => error,
            Err(error) => {
                fail_all(session, commands, &error);
                return None;
            }
        };
        let arrived = mailbox.take_beside(rows(&commands));
        let (mut urgent, normal): (Commands, Commands) =
            arrived.into_iter().partition(|command| command.lane() == Lane::Urgent);
        urgent.append(&mut commands);
        urgent.extend(normal);
        let closed = mailbox.is_closed();
        let (over, waiting): (Commands, Commands) =
            urgent.into_iter().partition(|command| closed || patience.is_over(command.arrived()));
        fail_all(session, over, &error);
        if waiting.is_empty() {
            return None;
        }
        commands = waiting;
    }
}

/// What undoes an operation that fails midway.
#[derive(Clone, Copy)]
enum Scopes {
    /// The end of the transaction, and with it of all others in it, which are then done again. A
    /// savepoint copies each page that is written after it, a good part of the work of a single
    /// insert, so it is not taken before something has failed.
    Together,
    /// A savepoint of its own.
    Apart,
}

enum Written {
    /// What is done, or refused, and not yet committed.
    All(Commands),
    /// The transaction is undone, or has to be: nothing was done.
    Undone(Commands, Fault),
}

fn write(session: &mut Session, mailbox: &Mailbox, commands: Commands, scopes: Scopes) -> Written {
    let mut done: Commands = Vec::with_capacity(commands.len());
    let mut written = 0;
    let mut next = commands;
    while !next.is_empty() {
        written += rows(&next);
        let mut rest = next.into_iter();
        while let Some(mut command) = rest.next() {
            let applied = match scopes {
                Scopes::Together => together(session, command.as_mut()),
                Scopes::Apart => session.scoped(|session| command.apply(session)),
            };
            match applied {
                Ok(Ok(())) => done.push(command),
                // What it was refused for may have been written by one before it, and be undone yet.
                Ok(Err(fault)) => {
                    command.keep(session.error(fault, command.operation()));
                    done.push(command);
                }
                Err(fault) => {
                    done.push(command);
                    done.extend(rest);
                    return Written::Undone(done, fault);
                }
            }
        }
        // Whoever arrived while these were written need not wait for another commit.
        next = mailbox.take_beside(written);
    }
    Written::All(done)
}

/// Applies an operation without a scope of its own. The inner error is one of an operation that had
/// not written anything: the others are none the worse for it.
fn together(session: &mut Session, command: &mut dyn Command) -> Result<Result<(), Fault>, Fault> {
    let before = session.connection.total_changes();
    let result = command.apply(session);
    if result.is_err() {
        session.names.forget();
        if session.connection.is_autocommit() || session.connection.total_changes() != before {
            return result.map(Ok);
        }
    }
    Ok(result)
}

fn finish(session: &mut Session, mailbox: &Mailbox, hub: &WakeHub, patience: Patience, mut done: Commands) {
    if let Err(error) = connection::commit(&session.connection) {
        return repeat_alone(session, mailbox, hub, patience, done, error.into());
    }
    session.names.keep();
    publish(session, hub, &mut done);
    done.into_iter().for_each(Command::answer);
}

fn publish(session: &mut Session, hub: &WakeHub, done: &mut Commands) {
    let mut effects = Effects::default();
    done.iter_mut().filter_map(|command| command.effects()).for_each(|more| effects.append(more));
    session.is_stirred |= !effects.ready.is_empty();
    hub.announce(&effects.ready);
    hub.announce_cancels(&effects.cancels);
}

/// Undoes what is left of the transaction. `None` if there was but one operation, which has failed, or
/// if the connection is of no more use to them.
fn unless_alone(session: &mut Session, mut commands: Commands, fault: Fault) -> Option<Commands> {
    session.names.forget();
    if let Err(error) = connection::rollback(&session.connection) {
        fail_all(session, commands, &error);
        return None;
    }
    if commands.len() > 1 {
        return Some(commands);
    }
    if let Some(command) = commands.pop() {
        refuse(session, command, fault);
    }
    None
}

/// After the transaction of a group was undone: each again in a transaction of its own, so that only
/// the one that cannot be done fails. Heartbeats do not wait for all of them.
fn repeat_alone(
    session: &mut Session,
    mailbox: &Mailbox,
    hub: &WakeHub,
    patience: Patience,
    commands: Commands,
    fault: Fault,
) {
    let Some(mut waiting) = unless_alone(session, commands, fault) else {
        return;
    };
    while !waiting.is_empty() {
        let mut next = mailbox.take_urgent();
        next.append(&mut waiting);
        let Some(begun) = begin(session, mailbox, patience, next) else {
            return;
        };
        let mut commands = begun.into_iter();
        if let Some(command) = commands.next() {
            alone(session, hub, command);
        }
        waiting = commands.collect();
    }
}

/// Does an operation as the only one of the transaction that is open, and answers it.
fn alone(session: &mut Session, hub: &WakeHub, mut command: Box<dyn Command>) {
    let result = command.apply(session).and_then(|()| Ok(connection::commit(&session.connection)?));
    if let Err(fault) = result {
        unless_alone(session, vec![command], fault);
        return;
    }
    session.names.keep();
    let mut done = vec![command];
    publish(session, hub, &mut done);
    done.into_iter().for_each(Command::answer);
}

fn refuse(session: &Session, command: Box<dyn Command>, fault: Fault) {
    let error = session.error(fault, command.operation());
    command.fail(error);
}

fn fail_all(session: &Session, commands: Commands, error: &rusqlite::Error) {
    for command in commands {
        // The driver's error cannot be copied; its code and text can.
        let code = error.sqlite_error().copied().unwrap_or(ffi::Error::new(ffi::SQLITE_ERROR));
        let copy = rusqlite::Error::SqliteFailure(code, Some(error.to_string()));
        refuse(session, command, copy.into());
    }
}

fn rows(commands: &Commands) -> usize {
    commands.iter().map(|command| command.rows()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::{Duration, Instant};

    use queue_core::{Error, ErrorKind, Result};
    use rusqlite::Connection;
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::SqliteConfig;
    use crate::connection::open_writer;
    use crate::error::Outcome;
    use crate::writer::command::{Pending, Request};

    /// A request that does what the test says; its reply says when it was done.
    struct Act<F>(F);

    impl<F: Fn(&mut Session) -> Outcome<()> + Send + 'static> Request for Act<F> {
        type Reply = Instant;

        const OPERATION: &'static str = "test the writer";

        fn rows(&self) -> usize {
            1
        }

        fn apply(&self, session: &mut Session, _effects: &mut Effects) -> Outcome<Instant> {
            self.0(session).map(|()| Instant::now())
        }
    }

    struct Heartbeat;

    impl Request for Heartbeat {
        type Reply = Instant;

        const OPERATION: &'static str = "show that a test lives";

        const LANE: Lane = Lane::Urgent;

        fn rows(&self) -> usize {
            1
        }

        fn apply(&self, _session: &mut Session, _effects: &mut Effects) -> Outcome<Instant> {
            Ok(Instant::now())
        }
    }

    type Answer = oneshot::Receiver<Result<Instant>>;

    fn command(request: impl Request<Reply = Instant>) -> (Box<dyn Command>, Answer) {
        let (caller, answer) = oneshot::channel();
        (Box::new(Pending::new(request, caller)), answer)
    }

    fn act(act: impl Fn(&mut Session) -> Outcome<()> + Send + 'static) -> (Box<dyn Command>, Answer) {
        command(Act(act))
    }

    /// Undoes the transaction it is in, as SQLite does when the disk is full.
    fn undo(session: &mut Session) -> Outcome<()> {
        connection::run(&session.connection, "ROLLBACK")?;
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None).into())
    }

    fn session(config: &SqliteConfig) -> Session {
        Session::new(open_writer(config).unwrap(), None)
    }

    /// A group that is undone twice, while another connection takes the lock and holds it.
    fn undone_under_a_lock(held: Duration, patience: Duration) -> Vec<Option<ErrorKind>> {
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
        let (commands, mut answers): (Commands, Vec<Answer>) = (0..3).map(|_| act(|_| Ok(()))).unzip();
        let commands = commands.into_iter().chain([poison]).collect();
        answers.push(poisoned);
        serve(&mut session, &Mailbox::default(), &WakeHub::default(), Patience(patience), commands);
        answers
            .into_iter()
            .map(|mut answer| answer.try_recv().unwrap().err().map(|error| error.kind()))
            .collect()
    }

    #[test]
    fn those_done_again_alone_wait_for_a_lock_as_all_do() {
        let fates = undone_under_a_lock(Duration::from_millis(300), Duration::from_secs(60));
        assert_eq!(fates, [None, None, None, Some(ErrorKind::Unavailable)]);
    }

    #[test]
    fn those_done_again_alone_lose_patience_together() {
        let start = Instant::now();
        let fates = undone_under_a_lock(Duration::from_secs(2), Duration::from_millis(100));
        assert_eq!(fates, [Some(ErrorKind::Busy); 4]);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn a_heartbeat_passes_those_done_again_alone() {
        let mut session = session(&SqliteConfig::in_memory());
        let mailbox = Arc::new(Mailbox::default());
        let times = AtomicU32::new(0);
        let (heartbeat, mut beat) = command(Heartbeat);
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
        assert!(beat.try_recv().unwrap().unwrap() < done.try_recv().unwrap().unwrap());
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
    fn nobody_is_refused_for_what_is_not_committed() {
        let mut session = session(&SqliteConfig::in_memory());
        session.connection.execute_batch(DEFERRED).unwrap();
        // An orphan, which only the commit finds out.
        let (writer, mut written) =
            act(|session| Ok(session.connection.execute("INSERT INTO child VALUES (1)", []).map(|_| ())?));
        let (reader, mut read) = act(refused_by_a_child);
        let patience = Patience(Duration::from_secs(60));
        serve(&mut session, &Mailbox::default(), &WakeHub::default(), patience, vec![writer, reader]);
        assert_eq!(written.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Invalid);
        read.try_recv().unwrap().unwrap();
    }

    #[test]
    fn those_refused_for_what_is_committed_are_told_so() {
        let mut session = session(&SqliteConfig::in_memory());
        session.connection.execute_batch(DEFERRED).unwrap();
        let (writer, mut written) = act(|session| {
            Ok(session.connection.execute("INSERT INTO child VALUES (NULL)", []).map(|_| ())?)
        });
        let (reader, mut read) = act(refused_by_a_child);
        let patience = Patience(Duration::from_secs(60));
        serve(&mut session, &Mailbox::default(), &WakeHub::default(), patience, vec![writer, reader]);
        written.try_recv().unwrap().unwrap();
        assert_eq!(read.try_recv().unwrap().unwrap_err().kind(), ErrorKind::WorkerLost);
    }
}
