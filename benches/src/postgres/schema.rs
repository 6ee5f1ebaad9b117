//! A schema for one measurement.

use anyhow::{Context as _, Result};

use super::Session;

/// An empty schema, dropped with the value.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
    url: String,
}

impl Schema {
    /// Makes a schema under a name that is used once.
    pub(crate) fn create(url: &str) -> Result<Self> {
        let schema = Self::named(url);
        let session = Session::open(url, "")?;
        let create = format!("CREATE SCHEMA {}", schema.name);
        session.wait(session.client.batch_execute(&create)).context("failed to make a schema")?;
        Ok(schema)
    }

    /// A name for a schema that somebody else makes. It is dropped all the same.
    pub(crate) fn named(url: &str) -> Self {
        Self { name: format!("bench_{:016x}", fastrand::u64(..)), url: url.to_owned() }
    }

    /// The server's own URL.
    pub(crate) fn server(&self) -> &str {
        &self.url
    }

    /// The server's URL with the schema as a parameter, as the queue reads it.
    pub(crate) fn url(&self) -> String {
        with_schema(&self.url, &self.name)
    }

    fn remove(&self) -> Result<()> {
        let session = Session::open(&self.url, "-c client_min_messages=warning")?;
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        Ok(session.wait(session.client.batch_execute(&drop))?)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("warning: failed to drop the schema {}: {error:#}", self.name);
        }
    }
}

fn with_schema(url: &str, name: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}schema={name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_added_to_what_the_url_says_already() {
        for (url, expected) in [
            ("postgres://me@host/jobs", "postgres://me@host/jobs?schema=s"),
            ("postgres://host/jobs?sslmode=disable", "postgres://host/jobs?sslmode=disable&schema=s"),
        ] {
            assert_eq!(with_schema(url, "s"), expected);
        }
    }
}
