//! The writing thread, from opening the file to closing it.

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
use super::{LEAST_INTERVAL, thread_ended};
use crate::config::{IfMissing, SqliteConfig};
use crate::connection::open_writer;
use crate::identity::{FilesLost, OpenFiles};
use crate::reader::Looks;
use crate::transaction::Patience;
use crate::wake::{ForeignCommits, wanted_cancels};

/// The input of the thread.
pub(super) struct WriterThread {
    pub(super) config: SqliteConfig,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) hub: WakeHub,
    /// The readers of the same handle, which must close lost files.
    pub(super) readers: Arc<Looks>,
}

/// The database as the thread has it.
enum Database {
    /// An open connection with its caches.
    Open(Box<Session>, ForeignCommits),
    /// No connection, because these files were lost.
    Lost(Option<Arc<OpenFiles>>),
}

impl Database {
    /// Time until maintenance is due without a request.
    fn chore_due_in(&self, log_limit: &LogLimit) -> Option<Duration> {
        match self {
            Self::Open(session, _) => log_limit.due_in(session, Instant::now()),
            Self::Lost(_) => None,
        }
    }
}

impl WriterThread {
    /// Opens the file, reports that, and serves requests until the mailbox is closed.
    pub(super) fn run(self, opened: oneshot::Sender<Result<()>>) {
        let _abandon = FailWaitingRequests(&self.mailbox);
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
                // Another process may have cancelled a job that runs here, and the next heartbeat
                // is seconds away. Errors can be ignored, because that heartbeat finds the cancels
                // too.
                if let Ok(cancels) = wanted_cancels(&session.connection) {
                    self.hub.announce_cancels(&cancels);
                }
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
        // Records the data version and the length of the log that an earlier program left. Errors
        // can be ignored, because the first request meets them again.
        let _ = session.in_snapshot(|_| ());
        let _ = session.check_files();
        Ok(Database::Open(Box::new(session), others))
    }

    /// Serves requests on the open connection. If there is none, opens the file that is at the path
    /// now.
    fn serve(&self, database: Database, commands: Vec<Box<dyn Command>>) -> Database {
        let (mut session, others) = match database {
            Database::Open(session, others) => (session, others),
            Database::Lost(files) => match self.reopen(files.as_deref()) {
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
            Files::Lost => Database::Lost(self.close_lost(*session)),
        }
    }

    fn reopen(&self, lost: Option<&OpenFiles>) -> Result<Database> {
        if self.readers.is_connected() {
            // The new connection would share the index of the lost log. The locks of this process
            // on that index would end when the first of the two connections closes.
            let message = "a long read or backup still has the lost files open";
            return Err(Error::new(ErrorKind::Unavailable, "open the database", message));
        }
        if let Some(files) = lost {
            let refused = |lost: FilesLost| lost.error(ErrorKind::Unavailable, "open the database");
            files.check_left_log().map_err(refused)?;
        }
        let database = self.open(IfMissing::Fail)?;
        tracing::warn!(file = ?self.config.path(), "reopened the database from the file that is now at the path");
        // The hints of subscribers may be about the lost file.
        self.hub.announce_unknown();
        Ok(database)
    }

    /// Closes the connections of writer and readers to lost files. SQLite shares the index of the
    /// log among all connections of a process, so one open connection would keep the lost index in
    /// use.
    fn close_lost(&self, session: Session) -> Option<Arc<OpenFiles>> {
        tracing::error!(
            file = ?self.config.path(),
            "an open database file was removed, moved or replaced; the next request opens the file at the path"
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

/// Fails the waiting requests when the thread ends for any reason.
struct FailWaitingRequests<'a>(&'a Mailbox);

impl Drop for FailWaitingRequests<'_> {
    fn drop(&mut self) {
        for command in self.0.abandon() {
            let error = thread_ended(command.operation());
            command.fail(error);
        }
    }
}
