//! What a driver reports when the statement failed.

use std::error::Error as StdError;

use crate::backend::{SqlDialect, SqlTarget};
use crate::{Error, ErrorKind};

/// In the message of a statement that completes a job whose lease is lost.
const LEASE_LOST: &str = "the lease is lost";

/// A statement that failed, as the driver reports it.
#[derive(Debug)]
pub struct SqlFailure<'a> {
    /// The SQLSTATE of PostgreSQL. `None` if the server did not answer, and on SQLite.
    code: Option<&'a str>,
    message: &'a str,
    source: Box<dyn StdError + Send + Sync>,
}

impl<'a> SqlFailure<'a> {
    /// A failure with the message of the database.
    #[must_use]
    pub fn new(message: &'a str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { code: None, message, source: source.into() }
    }

    /// Sets the SQLSTATE of PostgreSQL.
    #[must_use]
    pub const fn code(mut self, code: Option<&'a str>) -> Self {
        self.code = code;
        self
    }

    pub(super) fn into_error(self, operation: &'static str, target: &SqlTarget) -> Error {
        let (kind, advice) = match target.dialect {
            SqlDialect::Postgres => self.of_postgres(),
            SqlDialect::Sqlite => self.of_sqlite(),
        };
        let message = match advice {
            Some(advice) => format!("{advice} ({})", self.message),
            None => self.message.to_owned(),
        };
        Error::new(kind, operation, message).with_source(self.source)
    }

    /// The kind, and what the message does not say. The codes are those of
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn of_postgres(&self) -> (ErrorKind, Option<&'static str>) {
        let Some(code) = self.code else {
            let lost = "the connection was lost, so that the transaction is rolled back";
            return (ErrorKind::Unavailable, Some(lost));
        };
        match code {
            "22023" => (ErrorKind::Invalid, None),
            "55000" if self.message.contains(LEASE_LOST) => (ErrorKind::LeaseLost, None),
            "23505" if self.message.starts_with("failed to enqueue") => (ErrorKind::Conflict, None),
            "25P02" => (ErrorKind::Invalid, Some("the transaction has failed before; roll it back")),
            "25006" => (ErrorKind::Invalid, Some("the transaction is read-only")),
            "42883" | "3F000" | "42P01" => {
                (ErrorKind::Invalid, Some("the database of the transaction has no such queue"))
            }
            "42501" => (ErrorKind::Misconfigured, Some("the role of the transaction has no right to it")),
            "55P03" | "57014" => {
                (ErrorKind::Busy, Some("another transaction holds a lock, perhaps with the same unique key"))
            }
            // 23505: another transaction enqueued the same id at the same time.
            "23505" | "40001" | "40P01" => (ErrorKind::Busy, Some("run the transaction again")),
            _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                (ErrorKind::Unavailable, None)
            }
            _ => (ErrorKind::Invalid, None),
        }
    }

    fn of_sqlite(&self) -> (ErrorKind, Option<&'static str>) {
        let has = |text: &str| self.message.contains(text);
        if has(LEASE_LOST) {
            return (ErrorKind::LeaseLost, None);
        }
        if has("enqueue: ") {
            return (if has("stored already") { ErrorKind::Conflict } else { ErrorKind::Invalid }, None);
        }
        if has("no such table") {
            return (ErrorKind::Invalid, Some("the database of the transaction has no queue"));
        }
        if has("readonly") {
            return (ErrorKind::Invalid, Some("the transaction is read-only"));
        }
        if has("locked") || has("busy") {
            return (ErrorKind::Busy, Some("another connection writes"));
        }
        (ErrorKind::Unavailable, None)
    }
}
