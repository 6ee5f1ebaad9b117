//! Rows that cannot be written, for instance because a trigger of the application refuses it.

use std::collections::HashMap;
use std::time::Duration;

use queue_core::{Error, ErrorKind, Timestamp};

use crate::error::{Fault, Outcome};
use crate::writer::session::Session;

/// How long such a row is left alone before it is tried again. Otherwise a due job that cannot be
/// made ready would have an idle worker claim without a pause.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(60);

/// More than can be expected; some megabytes.
const MOST: usize = 1 << 17;

/// A row that is written as one of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Row {
    Job(i64),
    Worker(i64),
}

/// The rows that could not be written, and when each is tried again. Each is logged once.
///
/// Only a hint, which ends by itself: a row that was mended, or another one that a restored copy
/// has under the same number, is left alone a minute longer.
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
    /// Each row by itself: one of a set, and it is not known which, undid the whole transaction.
    Apart,
}

impl Unwritable {
    pub(crate) fn is_empty(&self) -> bool {
        self.tried_again.is_empty()
    }

    /// Whether the row is to be left alone now.
    pub(crate) fn is_left_alone(&self, row: Row, now: Timestamp) -> bool {
        self.tried_again_at(row, now).is_some()
    }

    /// When the row is tried again; `None` if it may be written now.
    pub(crate) fn tried_again_at(&self, row: Row, now: Timestamp) -> Option<Timestamp> {
        // A time that is further away is that of a clock that was put back since.
        let latest = now.saturating_add(LEFT_ALONE);
        self.tried_again.get(&row).copied().filter(|at| *at > now && *at <= latest)
    }

    /// Leaves a row as it is, for a while. A fault that is not the row's own is given back.
    pub(crate) fn pass_over(&mut self, row: Row, now: Timestamp, fault: Fault) -> Outcome<()> {
        if !fault.is_of_a_row() {
            return Err(fault);
        }
        if self.tried_again.len() > MOST {
            self.tried_again.clear();
        }
        if self.tried_again.insert(row, now.saturating_add(LEFT_ALONE)).is_none() {
            let error = fault.into_error("write a row", None);
            tracing::error!(
                ?row,
                %error,
                "a row cannot be written; it is left as it is and tried again in a minute, the others go on"
            );
        }
        Ok(())
    }

    /// After one row of a set undid the whole transaction: the next attempt finds out which it is.
    pub(crate) fn undone_by_one_of_many(&mut self, fault: Fault) -> Fault {
        if !fault.is_of_a_row() {
            return fault;
        }
        self.sets = Sets::Apart;
        undone()
    }

    /// After this row undid the whole transaction: the next attempt leaves it alone.
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

/// The request can be repeated, and then goes without the row.
fn undone() -> Fault {
    let message =
        "the refusal of one row undid the whole transaction; the next attempt goes without that row";
    Error::new(ErrorKind::Unavailable, "write rows", message).into()
}

/// Writes a set of rows together. If one of them cannot be written, writes each by itself, and
/// passes over those that fail. Returns what `write` returned for each set that it wrote.
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

/// Writes each row by itself, and passes over those that fail.
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
