//! Queues and kinds as the numbers that stand in the rows.

use std::collections::HashMap;

use queue_core::{Kind, QueueName};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Outcome, corrupt};

const NAME_INSERT: &str = include_str!("sql/name_insert.sql");
const NAME_FIND: &str = include_str!("sql/name_find.sql");
const NAME_READ: &str = include_str!("sql/name_read.sql");

/// The names that were met. They are never removed, and there are few.
///
/// Forgotten when a transaction is undone, and when another connection has committed: it may have
/// restored a copy into the file, in which the same numbers stand for other names.
#[derive(Default)]
pub(crate) struct Names {
    numbers: HashMap<String, i64>,
    texts: HashMap<i64, String>,
    /// Those of a transaction that is not committed yet.
    fresh: Vec<(String, i64)>,
}

impl Names {
    /// The number of a name, which is entered if it is new.
    pub(crate) fn intern(&mut self, connection: &Connection, name: &str) -> Outcome<i64> {
        if let Some(number) = self.find(connection, name)? {
            return Ok(number);
        }
        let number = connection.prepare_cached(NAME_INSERT)?.insert([name])?;
        self.fresh.push((name.to_owned(), number));
        self.remember(name, number);
        Ok(number)
    }

    /// The number of a name; `None` if no job ever had it.
    pub(crate) fn find(&mut self, connection: &Connection, name: &str) -> Outcome<Option<i64>> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(Some(*number));
        }
        let found = connection.prepare_cached(NAME_FIND)?.query_row([name], |row| row.get(0)).optional()?;
        if let Some(number) = found {
            self.fresh.push((name.to_owned(), number));
            self.remember(name, number);
        }
        Ok(found)
    }

    /// The queue of this number.
    pub(crate) fn queue(&mut self, connection: &Connection, number: i64) -> Outcome<QueueName> {
        self.text(connection, number, |text| QueueName::new(text).map_err(|error| corrupt(error.to_string())))
    }

    /// The kind of this number.
    pub(crate) fn kind(&mut self, connection: &Connection, number: i64) -> Outcome<Kind> {
        self.text(connection, number, |text| Kind::new(text).map_err(|error| corrupt(error.to_string())))
    }

    /// The transaction is committed: what it entered stays.
    pub(crate) fn keep(&mut self) {
        self.fresh.clear();
    }

    /// Another connection has committed: it may have given the numbers to other names.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.texts.clear();
        self.fresh.clear();
    }

    /// The transaction, or a part of it, was undone: its numbers may be given to others.
    pub(crate) fn forget(&mut self) {
        for (name, number) in self.fresh.drain(..) {
            self.numbers.remove(&name);
            self.texts.remove(&number);
        }
    }

    fn remember(&mut self, name: &str, number: i64) {
        self.numbers.insert(name.to_owned(), number);
        self.texts.insert(number, name.to_owned());
    }

    fn text<T>(
        &mut self,
        connection: &Connection,
        number: i64,
        read: impl FnOnce(&str) -> Outcome<T>,
    ) -> Outcome<T> {
        if let Some(text) = self.texts.get(&number) {
            return read(text);
        }
        let found: Option<String> =
            connection.prepare_cached(NAME_READ)?.query_row([number], |row| row.get(0)).optional()?;
        let text = found.ok_or_else(|| corrupt(format!("no queue or kind has the number {number}")))?;
        self.fresh.push((text.clone(), number));
        self.remember(&text, number);
        read(&text)
    }
}
