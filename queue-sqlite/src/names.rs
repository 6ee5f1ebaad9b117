//! Numbers of queues and kinds, which the rows store instead of names.

use std::collections::HashMap;

use queue_core::{Kind, QueueName};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Outcome, corrupt};

const NAME_INSERT: &str = include_str!("sql/name_insert.sql");
const NAME_FIND: &str = include_str!("sql/name_find.sql");
const NAME_READ: &str = include_str!("sql/name_read.sql");

/// A cache of names and their numbers. Names are never removed, and there are few.
///
/// The cache is cleared when a transaction is rolled back, because its numbers are free again. It
/// is also cleared after a commit of another connection. That connection may have restored a copy
/// in which the numbers belong to other names.
#[derive(Default)]
pub(crate) struct Names {
    numbers: HashMap<String, i64>,
    texts: HashMap<i64, String>,
    /// The names of the open transaction.
    fresh: Vec<(String, i64)>,
}

impl Names {
    /// Returns the number of a name; inserts the name if it is new.
    pub(crate) fn intern(&mut self, connection: &Connection, name: &str) -> Outcome<i64> {
        if let Some(number) = self.find(connection, name)? {
            return Ok(number);
        }
        let number = connection.prepare_cached(NAME_INSERT)?.insert([name])?;
        self.fresh.push((name.to_owned(), number));
        self.remember(name, number);
        Ok(number)
    }

    /// Returns the number of a name; `None` if no job ever had the name.
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

    pub(crate) fn queue(&mut self, connection: &Connection, number: i64) -> Outcome<QueueName> {
        self.text(connection, number, |text| QueueName::new(text).map_err(|error| corrupt(error.to_string())))
    }

    pub(crate) fn kind(&mut self, connection: &Connection, number: i64) -> Outcome<Kind> {
        self.text(connection, number, |text| Kind::new(text).map_err(|error| corrupt(error.to_string())))
    }

    /// Keeps the names of the transaction, after its commit.
    pub(crate) fn keep(&mut self) {
        self.fresh.clear();
    }

    /// Clears the cache, after a commit of another connection.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.texts.clear();
        self.fresh.clear();
    }

    /// Removes the names of the transaction, after it was rolled back in whole or in part.
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
