//! A server that is given, or started for the measurement.

use std::path::Path;

use anyhow::{Context as _, Result};
use queue_testserver::Options;
use serde_json::{Map, Value};

use super::Session;

/// What the report says of a server.
const TOLD: [&str; 3] = ["server_version", "fsync", "synchronous_commit"];

/// A server to make schemas on.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    /// Stopped with the value.
    started: Option<queue_testserver::Server>,
}

impl Server {
    /// One that runs already.
    pub(crate) fn given(url: &str) -> Self {
        Self { url: url.to_owned(), started: None }
    }

    /// A server of our own with its data in the folder, as durable as PostgreSQL is by default.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        // Checkpoints fall between the measurements, where each begins with one, and not into them.
        let options = Options::durable()
            .folder(dir)
            .parameter("max_wal_size", "4GB")
            .parameter("checkpoint_timeout", "30min")
            .progress(|line| eprintln!("{line}"));
        let started = queue_testserver::Server::start(&options)?;
        Ok(Self { url: started.url(), started: Some(started) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The first process of a server of our own.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.started.as_ref()?.process_id()
    }

    /// What a figure depends on that was measured here.
    pub(crate) fn settings(&self) -> Result<Map<String, Value>> {
        let session = Session::open(&self.url, "")?;
        let mut settings = Map::new();
        for name in TOLD {
            let value =
                session.text(&format!("SHOW {name}")).context("failed to read the server's settings")?;
            settings.insert(name.to_owned(), Value::from(value));
        }
        let server = if self.started.is_some() { "started by the bench" } else { "given" };
        settings.insert("server".to_owned(), Value::from(server));
        Ok(settings)
    }
}
