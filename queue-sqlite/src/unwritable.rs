//! Rows that cannot be written, for instance because a trigger of the application refuses it.

use std::collections::HashMap;
use std::time::Duration;

use queue_core::Timestamp;

use crate::error::{Fault, Outcome};
use crate::writer::session::Session;

/// How long such a row is left alone before it is tried again. Otherwise a due job that cannot be made
/// ready would have an idle worker claim without a pause.
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
/// Only a hint, which ends by itself: a row that was mended, or another one that a restored copy has
/// under the same number, is left alone a minute longer.
#[derive(Default)]
pub(crate) struct Unwritable(HashMap<Row, Timestamp>);

impl Unwritable {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the row is to be left alone now.
    pub(crate) fn is_left_alone(&self, row: Row, now: Timestamp) -> bool {
        self.tried_again_at(row, now).is_some()
    }

    /// When the row is tried again; `None` if it may be written now.
    pub(crate) fn tried_again_at(&self, row: Row, now: Timestamp) -> Option<Timestamp> {
        // A time that is further away is that of a clock that was put back since.
        let latest = now.saturating_add(LEFT_ALONE);
        self.0.get(&row).copied().filter(|at| *at > now && *at <= latest)
    }

    /// Leaves a row as it is, for a while. A fault that is not the row's own is given back.
    pub(crate) fn pass_over(&mut self, row: Row, now: Timestamp, fault: Fault) -> Outcome<()> {
        if !fault.is_of_a_row() {
            return Err(fault);
        }
        if self.0.len() > MOST {
            self.0.clear();
        }
        if self.0.insert(row, now.saturating_add(LEFT_ALONE)).is_none() {
            let error = fault.into_error("write a row", None);
            tracing::error!(
                ?row,
                %error,
                "a row cannot be written; it is left as it is and tried again in a minute, the others go on"
            );
        }
        Ok(())
    }

    fn written(&mut self, row: Row) {
        if !self.0.is_empty() {
            self.0.remove(&row);
        }
    }
}

/// Writes a set of rows together. If one of them cannot be written, writes each by itself, and passes
/// over those that fail. Returns what `write` returned for each set that it wrote.
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
    match session.scoped(|session| write(session, rows))? {
        Ok(written) => {
            rows.iter().for_each(|row| session.unwritable.written(name(row)));
            return Ok(vec![written]);
        }
        Err(fault) if fault.is_of_a_row() => {}
        Err(fault) => return Err(fault),
    }
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match session.scoped(|session| write(session, std::slice::from_ref(row)))? {
            Ok(written) => {
                session.unwritable.written(name(row));
                all.push(written);
            }
            Err(fault) => session.unwritable.pass_over(name(row), now, fault)?,
        }
    }
    Ok(all)
}
