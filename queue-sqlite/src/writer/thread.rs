//! What the writing thread does, from the opening of the file to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use queue_core::backend::WakeHub;
use queue_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::command::Command;
use super::group;
use super::log_limit::LogLimit;
use super::mailbox::{Mail, Mailbox};
use super::session::{Files, Session};
use super::{LEAST_INTERVAL, gone};
use crate::config::{IfMissing, SqliteConfig};
use crate::connection::open_writer;
use crate::identity::{FilesLost, OpenFiles};
use crate::reader::Looks;
use crate::transaction::Patience;
use crate::wake::ForeignCommits;

/// What the thread works with.
pub(super) struct WriterThread {
    pub(super) config: SqliteConfig,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) hub: WakeHub,
    /// The readers of the same handle, which must let go of files that are lost.
    pub(super) readers: Arc<Looks>,
}

/// What the thread has open.
enum Database {
    /// A connection, with everything that is remembered about it.
    Open(Box<Session>, ForeignCommits),
    /// Nothing, because these files were lost.
    Lost(Option<Arc<OpenFiles>>),
}

impl Database {
    /// How long until the writer has something to do though nobody asks.
    fn chore_due_in(&self, log_limit: &LogLimit) -> Option<Duration> {
        match self {
            Self::Open(session, _) => log_limit.due_in(session, Instant::now()),
            Self::Lost(_) => None,
        }
    }
}

impl WriterThread {
    /// Opens the file, says so, and serves requests until the mailbox is closed.
    pub(super) fn run(self, opened: oneshot::Sender<Result<()>>) {
        let _abandon = Abandon(&self.mailbox);
        let mut database = match self.open(self.config.if_missing) {
            Ok(database) => database,
            Err(error) => {
                let _ = opened.send(Err(error));
                return;
            }
        };
        let _ = opened.send(Ok(()));
        let interval = self.config.poll_interval.max(LEAST_INTERVAL);
        let mut log_limit = LogLimit::new(&self.config);
        loop {
            match self.mailbox.wait(interval, database.chore_due_in(&log_limit)) {
                Mail::Commands(commands) => database = self.serve(database, commands),
                Mail::Nothing => {}
                Mail::Closed => break,
            }
            if let Database::Open(session, _) = &mut database {
                log_limit.keep(session, Instant::now());
            }
            if self.mailbox.is_watched(|| self.hub.has_receivers())
                && let Database::Open(session, others) = &mut database
                && others.appeared(&session.connection, Instant::now())
            {
                self.hub.announce_unknown();
            }
        }
        if let Database::Open(session, _) = database {
            session.save_log();
        }
    }

    fn open(&self, if_missing: IfMissing) -> Result<Database> {
        let file = self.config.path();
        let connection = open_writer(&self.config, if_missing)
            .map_err(|fault| fault.into_error("open the database", file))?;
        let others = ForeignCommits::new(self.config.poll_interval.max(LEAST_INTERVAL), &connection);
        if let Some(files) = connection.files() {
            self.readers.connect_to(files);
        }
        let mut session = Session::new(connection, file.map(ToOwned::to_owned));
        // Notes the version of the data and the length of the log that an earlier program left. A
        // lock that is in the way, or files that are lost, are met again by the first request.
        let _ = session.in_snapshot(|_| ());
        let _ = session.check_files();
        Ok(Database::Open(Box::new(session), others))
    }

    /// Does requests on the connection that is open. If there is none, opens what is at the path
    /// now.
    fn serve(&self, database: Database, commands: Vec<Box<dyn Command>>) -> Database {
        let (mut session, others) = match database {
            Database::Open(session, others) => (session, others),
            Database::Lost(files) => match self.open_again(files.as_deref()) {
                Ok(Database::Open(session, others)) => (session, others),
                Ok(Database::Lost(_)) => return Database::Lost(files),
                Err(error) => {
                    fail_all(commands, &error);
                    return Database::Lost(files);
                }
            },
        };
        let patience = Patience(self.config.busy_wait);
        group::serve(&mut session, &self.mailbox, &self.hub, patience, commands);
        match session.files {
            Files::AtTheirPaths => Database::Open(session, others),
            Files::Lost => Database::Lost(self.let_go(*session)),
        }
    }

    fn open_again(&self, lost: Option<&OpenFiles>) -> Result<Database> {
        if self.readers.is_connected() {
            // SQLite would share the index of the lost log with the new connection, and the locks of
            // this process on it would end with the first of the two that is closed.
            let message = "a read or a copy that takes long still has the lost files open";
            return Err(Error::new(ErrorKind::Unavailable, "open the database", message));
        }
        if let Some(files) = lost {
            let refused = |lost: FilesLost| lost.error(ErrorKind::Unavailable, "open the database");
            files.check_left_log().map_err(refused)?;
        }
        let database = self.open(IfMissing::Fail)?;
        tracing::warn!(file = ?self.config.path(), "opened the database that is now at the path");
        // Whatever subscribers know may be about another file.
        self.hub.announce_unknown();
        Ok(database)
    }

    /// Closes a connection whose files are lost, and those of the readers: SQLite shares the index
    /// of the log among all connections of a process, so one that stays open keeps the lost index
    /// in use.
    fn let_go(&self, session: Session) -> Option<Arc<OpenFiles>> {
        tracing::error!(
            file = ?self.config.path(),
            "an open database file was removed, moved or replaced; the next request opens what is at the path"
        );
        self.readers.disconnect(self.config.busy_wait);
        session.save_log();
        let files = session.connection.files();
        drop(session);
        files
    }
}

fn fail_all(commands: Vec<Box<dyn Command>>, error: &Error) {
    for command in commands {
        let copy = Error::new(error.kind(), command.operation(), error.message());
        command.fail(copy);
    }
}

/// Lets nobody wait for a thread that is no more, whatever ended it.
struct Abandon<'a>(&'a Mailbox);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        for command in self.0.abandon() {
            let error = gone(command.operation());
            command.fail(error);
        }
    }
}
