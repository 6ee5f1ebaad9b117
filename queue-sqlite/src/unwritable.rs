//! Unwritable rows, for instance because a trigger of the application refuses a change.

use std::collections::HashMap;
use std::time::Duration;

use queue_core::{Error, ErrorKind, Timestamp};

use crate::error::{Fault, Outcome};
use crate::writer::session::Session;

/// Pause before the next attempt to write such a row. Otherwise an idle worker would claim without
/// a pause because of a due job that cannot be promoted.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(60);

/// More than expected. The map takes some megabytes.
const MAX_ENTRIES: usize = 1 << 17;

/// A row that is written together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    Job(i64),
    Worker(i64),
}

/// The unwritable rows and the time of the next attempt for each. Each is logged once.
///
/// Only a hint, which expires. A repaired row, or another row with the same number from a restored
/// copy, waits a minute longer.
#[derive(Default)]
pub(crate) struct Unwritable {
    tried_again: HashMap<Row, Timestamp>,
    pub(crate) sets: Sets,
}

/// How a set of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sets {
    #[default]
    Together,
    /// Each row on its own, because an unknown row of a set rolled back the whole transaction.
    Apart,
}

impl Unwritable {
    pub(crate) fn is_empty(&self) -> bool {
        self.tried_again.is_empty()
    }

    /// Whether the row must not be written now.
    pub(crate) fn is_left_alone(&self, row: Row, now: Timestamp) -> bool {
        self.tried_again_at(row, now).is_some()
    }

    /// The time of the next attempt; `None` if the row may be written now.
    pub(crate) fn tried_again_at(&self, row: Row, now: Timestamp) -> Option<Timestamp> {
        // A later time means that the clock was set back.
        let latest = now.saturating_add(LEFT_ALONE);
        self.tried_again.get(&row).copied().filter(|at| *at > now && *at <= latest)
    }

    /// Skips a row for a while. Returns a fault that is not of this row.
    pub(crate) fn pass_over(&mut self, row: Row, now: Timestamp, fault: Fault) -> Outcome<()> {
        if !fault.is_of_a_row() {
            return Err(fault);
        }
        if self.tried_again.len() > MAX_ENTRIES {
            self.tried_again.clear();
        }
        if self.tried_again.insert(row, now.saturating_add(LEFT_ALONE)).is_none() {
            let error = fault.into_error("write a row", None);
            tracing::error!(
                ?row,
                %error,
                "a row cannot be written; skipping it and retrying in a minute"
            );
        }
        Ok(())
    }

    /// Called after an unknown row of a set rolled back the transaction. The next attempt writes
    /// each row on its own to find it.
    pub(crate) fn undone_by_one_of_many(&mut self, fault: Fault) -> Fault {
        if !fault.is_of_a_row() {
            return fault;
        }
        self.sets = Sets::Apart;
        undone()
    }

    /// Called after this row rolled back the transaction. The next attempt skips the row.
    fn undone_by(&mut self, row: Row, now: Timestamp, fault: Fault) -> Fault {
        match self.pass_over(row, now, fault) {
            Ok(()) => undone(),
            Err(fault) => fault,
        }
    }

    fn written(&mut self, row: Row) {
        if !self.tried_again.is_empty() {
            self.tried_again.remove(&row);
        }
    }
}

/// A retry of the request skips the row.
fn undone() -> Fault {
    let message = "one row was refused and rolled back the whole transaction; a retry skips that row";
    Error::new(ErrorKind::Unavailable, "write rows", message).into()
}

/// Writes a set of rows together. If that fails because of a row, writes each row on its own and
/// skips the ones that fail. Returns the result of `write` for each set written.
pub(crate) fn write_all_or_each<T, R>(
    session: &mut Session,
    now: Timestamp,
    rows: &[T],
    name: impl Fn(&T) -> Row,
    mut write: impl FnMut(&mut Session, &[T]) -> Outcome<R>,
) -> Outcome<Vec<R>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    if session.unwritable.sets == Sets::Together {
        match session.scoped(|session| write(session, rows)) {
            Ok(Ok(written)) => {
                rows.iter().for_each(|row| session.unwritable.written(name(row)));
                return Ok(vec![written]);
            }
            Ok(Err(fault)) if fault.is_of_a_row() => {}
            Ok(Err(fault)) => return Err(fault),
            Err(fault) => return Err(session.unwritable.undone_by_one_of_many(fault)),
        }
    }
    write_each(session, now, rows, name, |session, row| write(session, std::slice::from_ref(row)))
}

/// Writes each row on its own and skips the ones that fail.
pub(crate) fn write_each<T, R>(
    session: &mut Session,
    now: Timestamp,
    rows: &[T],
    name: impl Fn(&T) -> Row,
    mut write: impl FnMut(&mut Session, &T) -> Outcome<R>,
) -> Outcome<Vec<R>> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match session.scoped(|session| write(session, row)) {
            Ok(Ok(written)) => {
                session.unwritable.written(name(row));
                all.push(written);
            }
            Ok(Err(fault)) => session.unwritable.pass_over(name(row), now, fault)?,
            Err(fault) => return Err(session.unwritable.undone_by(name(row), now, fault)),
        }
    }
    session.unwritable.sets = Sets::Together;
    Ok(all)
}
