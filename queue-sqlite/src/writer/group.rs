//! Serves all waiting requests in one transaction.

use queue_core::ErrorKind;
use queue_core::backend::{WakeHints, WakeHub};
use rusqlite::ffi;

use super::command::{Command, Urgency};
use super::mailbox::Mailbox;
use super::session::Session;
use crate::error::{Fault, is_busy};
use crate::identity::FilesLost;
use crate::transaction::{self, Patience};

type Commands = Vec<Box<dyn Command>>;

/// Applies requests in one transaction, together with those that arrive in the meantime, and
/// answers them after the commit. Each request succeeds or fails on its own.
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
    let (commands, fault) = match write(session, mailbox, commands, UndoBy::Transaction) {
        Written::All(done) => return finish(session, mailbox, hub, patience, done),
        Written::Undone(commands, fault) => (commands, fault),
    };
    let Some(commands) = roll_back(session, commands, fault) else {
        return;
    };
    let Some(commands) = begin(session, mailbox, patience, commands) else {
        return;
    };
    match write(session, mailbox, commands, UndoBy::Savepoint) {
        Written::All(done) => finish(session, mailbox, hub, patience, done),
        Written::Undone(commands, fault) => {
            repeat_each(session, mailbox, hub, patience, commands, fault);
        }
    }
}

/// Answers requests that need no transaction that writes, and returns the rest. Stops at the first
/// request that needs one, because the others are then cheaper within it.
fn answer_idle(session: &mut Session, mut commands: Commands) -> Commands {
    if !commands.first().is_some_and(|command| command.can_look(session)) {
        return commands;
    }
    let looked = session.in_snapshot(|session| {
        let answered = |command: &mut Box<dyn Command>| command.can_look(session) && command.look(session);
        commands.iter_mut().map(answered).take_while(|answered| *answered).count()
    });
    // `begin` waits for the lock and reports other errors.
    let looked = looked.unwrap_or_default();
    if looked == 0 {
        return commands;
    }
    if let Err(lost) = session.check_files() {
        refuse_all(commands, &lost, ErrorKind::Unavailable);
        return Commands::new();
    }
    let rest = commands.split_off(looked);
    commands.into_iter().for_each(Command::answer);
    rest
}

/// Begins the transaction. While another connection holds the lock, requests whose wait timed out
/// fail and new requests join. `None` if no request is left.
fn begin(
    session: &mut Session,
    mailbox: &Mailbox,
    patience: Patience,
    mut commands: Commands,
) -> Option<Commands> {
    loop {
        let error = match session.begin() {
            Ok(()) => return Some(commands),
            Err(error) if is_busy(&error) => error,
            Err(error) => {
                fail_all(session, commands, &error);
                return None;
            }
        };
        let arrived = mailbox.take_beside(rows(&commands));
        let (mut urgent, normal): (Commands, Commands) =
            arrived.into_iter().partition(|command| command.urgency() == Urgency::Urgent);
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

/// What undoes a request that fails midway.
#[derive(Clone, Copy)]
enum UndoBy {
    /// A rollback of the whole transaction, after which all its requests are repeated. A savepoint
    /// copies each page that is written after it, which is much of the cost of one insert. So
    /// savepoints are used only after a failure.
    Transaction,
    /// A savepoint per request.
    Savepoint,
}

enum Written {
    /// Requests that were applied or refused, before the commit.
    All(Commands),
    /// The transaction was or must be rolled back; no request took effect.
    Undone(Commands, Fault),
}

fn write(session: &mut Session, mailbox: &Mailbox, commands: Commands, undo_by: UndoBy) -> Written {
    let mut done: Commands = Vec::with_capacity(commands.len());
    let mut written = 0;
    let mut next = commands;
    while !next.is_empty() {
        written += rows(&next);
        let mut rest = next.into_iter();
        while let Some(mut command) = rest.next() {
            let applied = match undo_by {
                UndoBy::Transaction => apply_without_savepoint(session, command.as_mut()),
                UndoBy::Savepoint => session.scoped(|session| command.apply(session)),
            };
            match applied {
                Ok(Ok(())) => done.push(command),
                // The reason may be a row that an earlier request wrote and the commit can still
                // undo.
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
        // Requests that arrived during the writes join this commit.
        next = mailbox.take_beside(written);
    }
    Written::All(done)
}

/// Applies a request without a savepoint. The inner error is of a request that had written nothing,
/// so the other requests are intact.
fn apply_without_savepoint(
    session: &mut Session,
    command: &mut dyn Command,
) -> Result<Result<(), Fault>, Fault> {
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
    match commit(session) {
        Committed::InFilesAtTheirPaths => {
            publish(session, hub, &mut done);
            done.into_iter().for_each(Command::answer);
        }
        Committed::FilesLost(lost, kind) => refuse_all(done, &lost, kind),
        Committed::Failed(error) => repeat_each(session, mailbox, hub, patience, done, error.into()),
    }
}

enum Committed {
    InFilesAtTheirPaths,
    /// The files are lost. The kind says whether the commit did not happen, or may have gone into
    /// files that the next program does not find.
    FilesLost(FilesLost, ErrorKind),
    /// The commit failed and the transaction is rolled back.
    Failed(rusqlite::Error),
}

/// Commits. Checks the files before, so that nothing is written to lost files, and after, because
/// they may be removed during the commit.
fn commit(session: &mut Session) -> Committed {
    if let Err(lost) = session.check_files() {
        session.names.forget();
        // Closing the connection, which comes next, rolls back as well.
        let _ = transaction::rollback(&session.connection);
        return Committed::FilesLost(lost, ErrorKind::Unavailable);
    }
    if let Err(error) = transaction::commit(&session.connection) {
        return Committed::Failed(error);
    }
    session.names.keep();
    match session.check_commit() {
        Ok(()) => Committed::InFilesAtTheirPaths,
        Err(lost) => Committed::FilesLost(lost, ErrorKind::UnknownOutcome),
    }
}

fn publish(session: &mut Session, hub: &WakeHub, done: &mut Commands) {
    let mut hints = WakeHints::new();
    done.iter_mut().filter_map(|command| command.hints()).for_each(|more| hints.append(&more));
    session.may_have_ready_jobs |= hints.hints().next().is_some();
    hub.announce_all(&hints);
}

/// Rolls back the transaction and returns the requests to repeat. `None` if the only request has
/// failed, or if the connection can no longer be used.
fn roll_back(session: &mut Session, mut commands: Commands, fault: Fault) -> Option<Commands> {
    session.names.forget();
    if let Err(error) = transaction::rollback(&session.connection) {
        fail_all(session, commands, &error);
        return None;
    }
    // A removed file may have caused the fault.
    if let Err(lost) = session.check_files() {
        refuse_all(commands, &lost, ErrorKind::Unavailable);
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

/// Repeats each request in a transaction of its own after the shared one failed, so that only the
/// request at fault fails. Heartbeats that arrive are served first.
fn repeat_each(
    session: &mut Session,
    mailbox: &Mailbox,
    hub: &WakeHub,
    patience: Patience,
    commands: Commands,
    fault: Fault,
) {
    let Some(mut waiting) = roll_back(session, commands, fault) else {
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
            serve_one(session, hub, command);
        }
        waiting = commands.collect();
    }
}

/// Applies a request as the only one of the open transaction, and answers it.
fn serve_one(session: &mut Session, hub: &WakeHub, mut command: Box<dyn Command>) {
    let committed = match command.apply(session) {
        Ok(()) => commit(session),
        Err(fault) => return drop(roll_back(session, vec![command], fault)),
    };
    let mut done = vec![command];
    match committed {
        Committed::InFilesAtTheirPaths => {
            publish(session, hub, &mut done);
            done.into_iter().for_each(Command::answer);
        }
        Committed::FilesLost(lost, kind) => refuse_all(done, &lost, kind),
        Committed::Failed(error) => drop(roll_back(session, done, error.into())),
    }
}

fn refuse(session: &Session, command: Box<dyn Command>, fault: Fault) {
    let error = session.error(fault, command.operation());
    command.fail(error);
}

/// Fails all requests because the open files are not at their paths.
fn refuse_all(commands: Commands, lost: &FilesLost, kind: ErrorKind) {
    for command in commands {
        let error = lost.error(kind, command.operation());
        command.fail(error);
    }
}

/// Fails all requests with an error of the connection. None of them took effect.
fn fail_all(session: &mut Session, commands: Commands, error: &rusqlite::Error) {
    if let Err(lost) = session.check_files() {
        return refuse_all(commands, &lost, ErrorKind::Unavailable);
    }
    for command in commands {
        // The driver's error cannot be cloned; its code and text can.
        let code = error.sqlite_error().copied().unwrap_or(ffi::Error::new(ffi::SQLITE_ERROR));
        let copy = rusqlite::Error::SqliteFailure(code, Some(error.to_string()));
        refuse(session, command, copy.into());
    }
}

fn rows(commands: &Commands) -> usize {
    commands.iter().map(|command| command.rows()).sum()
}

#[cfg(test)]
mod tests;
