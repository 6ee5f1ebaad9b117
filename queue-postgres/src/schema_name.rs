//! The name of the schema.

use std::str::FromStr;

use queue_core::{Error, Result};

/// Schema of the tables (default: `queue`).
pub const DEFAULT_SCHEMA: &str = "queue";

/// The checked name of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    /// The quoted name, for use in a statement.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// The channel of the schema's notifications.
    pub(crate) fn channel(&self) -> String {
        format!("{}_wake", self.0)
    }

    /// The setting of a session, a role or a database that turns off wake-ups for jobs enqueued
    /// from SQL.
    pub(crate) fn wake_setting(&self) -> String {
        format!("{}.wake", self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self(DEFAULT_SCHEMA.to_owned())
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_sound = (1..=48).contains(&name.len())
            && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.starts_with("pg_");
        if is_sound {
            return Ok(Self(name.to_owned()));
        }
        let message = format!(
            "`{}` is not 1 to 48 lower-case letters, digits and underscores, or begins with a digit or `pg_`",
            name.escape_debug()
        );
        Err(Error::invalid("read the name of a schema", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_a_plain_name() {
        assert_eq!("shop_jobs2".parse::<Schema>().unwrap().quoted(), "\"shop_jobs2\"");
        for name in ["", "Jobs", "1st", "a-b", "a\"b", "pg_jobs", &"x".repeat(49)] {
            assert!(name.parse::<Schema>().is_err(), "{name}");
        }
    }
}
