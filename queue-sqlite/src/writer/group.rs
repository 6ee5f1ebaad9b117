//! One transaction for all that waits.

use queue_core::ErrorKind;
use queue_core::backend::WakeHub;
use rusqlite::ffi;

use super::command::{Command, Effects, Lane};
use super::mailbox::Mailbox;
use super::session::Session;
use crate::error::{Fault, is_busy};
use crate::identity::FilesLost;
use crate::transaction::{self, Patience};

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

/// Answers what needs no transaction that writes; returns the rest. Not tried if such a transaction
/// is needed anyway: then it is cheaper to do everything within it.
fn answer_idle(session: &mut Session, mut commands: Commands) -> Commands {
    if !commands.first().is_some_and(|command| command.can_look(session)) {
        return commands;
    }
    let looked = session.in_snapshot(|session| {
        let answered = |command: &mut Box<dyn Command>| command.can_look(session) && command.look(session);
        commands.iter_mut().map(answered).take_while(|answered| *answered).count()
    });
    // A lock is waited for, and every other error met again, where the transaction begins.
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

/// Begins the transaction. While somebody else holds the lock, those who waited long enough are told
/// so, and those who arrive join. `None` if nobody is left.
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
    match commit(session) {
        Committed::Durably => {
            publish(session, hub, &mut done);
            done.into_iter().for_each(Command::answer);
        }
        Committed::Elsewhere(lost, kind) => refuse_all(done, &lost, kind),
        Committed::Not(error) => repeat_alone(session, mailbox, hub, patience, done, error.into()),
    }
}

enum Committed {
    /// Into the files that are at their paths.
    Durably,
    /// Nothing was committed, or it was into files that the next program may not find; the kind
    /// says which.
    Elsewhere(FilesLost, ErrorKind),
    /// Nothing is left of the transaction.
    Not(rusqlite::Error),
}

/// Commits. Looks at the files before, so that nothing is written to lost ones, and again after,
/// because they may be removed during the commit.
fn commit(session: &mut Session) -> Committed {
    if let Err(lost) = session.check_files() {
        session.names.forget();
        // The connection is closed next, which undoes it as well.
        let _ = transaction::rollback(&session.connection);
        return Committed::Elsewhere(lost, ErrorKind::Unavailable);
    }
    if let Err(error) = transaction::commit(&session.connection) {
        return Committed::Not(error);
    }
    session.names.keep();
    match session.check_commit() {
        Ok(()) => Committed::Durably,
        Err(lost) => Committed::Elsewhere(lost, ErrorKind::UnknownOutcome),
    }
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
    if let Err(error) = transaction::rollback(&session.connection) {
        fail_all(session, commands, &error);
        return None;
    }
    // The fault may be that of a file that was removed.
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
    let committed = match command.apply(session) {
        Ok(()) => commit(session),
        Err(fault) => return drop(unless_alone(session, vec![command], fault)),
    };
    let mut done = vec![command];
    match committed {
        Committed::Durably => {
            publish(session, hub, &mut done);
            done.into_iter().for_each(Command::answer);
        }
        Committed::Elsewhere(lost, kind) => refuse_all(done, &lost, kind),
        Committed::Not(error) => drop(unless_alone(session, done, error.into())),
    }
}

fn refuse(session: &Session, command: Box<dyn Command>, fault: Fault) {
    let error = session.error(fault, command.operation());
    command.fail(error);
}

/// Fails all because the files that are open are not the ones at their paths.
fn refuse_all(commands: Commands, lost: &FilesLost, kind: ErrorKind) {
    for command in commands {
        let error = lost.error(kind, command.operation());
        command.fail(error);
    }
}

/// Fails all by an error of the connection. Nothing was done.
fn fail_all(session: &mut Session, commands: Commands, error: &rusqlite::Error) {
    if let Err(lost) = session.check_files() {
        return refuse_all(commands, &lost, ErrorKind::Unavailable);
    }
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
mod tests;
