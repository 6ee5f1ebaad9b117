//! A schema for one measurement.

use anyhow::{Context as _, Result};

use super::Session;

/// An empty schema, dropped from the server when this is dropped.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: String,
    url: String,
}

impl Schema {
    /// Creates a schema with a unique name.
    pub(crate) fn create(url: &str) -> Result<Self> {
        let schema = Self::named(url);
        let session = Session::open(url, "")?;
        let create = format!("CREATE SCHEMA {}", schema.name);
        session.wait(session.client.batch_execute(&create)).context("failed to create a schema")?;
        Ok(schema)
    }

    /// A unique name for a schema that another process creates. It is dropped as well.
    pub(crate) fn named(url: &str) -> Self {
        Self { name: format!("bench_{:016x}", fastrand::u64(..)), url: url.to_owned() }
    }

    /// The URL of the server.
    pub(crate) fn server(&self) -> &str {
        &self.url
    }

    /// The URL of the server with the schema as a parameter.
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
    fn schema_is_added_to_the_url_parameters() {
        for (url, expected) in [
            ("postgres://me@host/jobs", "postgres://me@host/jobs?schema=s"),
            ("postgres://host/jobs?sslmode=disable", "postgres://host/jobs?sslmode=disable&schema=s"),
        ] {
            assert_eq!(with_schema(url, "s"), expected);
        }
    }
}
