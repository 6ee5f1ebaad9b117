//! The server of a measurement, given or started for it.

use std::path::Path;

use anyhow::{Context as _, Result};
use queue_testserver::Options;
use serde_json::{Map, Value};

use super::Session;

/// The settings in the report.
const REPORTED: [&str; 3] = ["server_version", "fsync", "synchronous_commit"];

/// A server to create schemas on.
#[derive(Debug)]
pub(crate) struct Server {
    url: String,
    /// The server stops when this is dropped.
    started: Option<queue_testserver::Server>,
}

impl Server {
    /// A server that is already running.
    pub(crate) fn given(url: &str) -> Self {
        Self { url: url.to_owned(), started: None }
    }

    /// Starts a server with its data in the first of the folders that its account has access to,
    /// and the default durability of PostgreSQL.
    pub(crate) fn start(folders: &[&Path]) -> Result<Self> {
        // No checkpoint happens during a measurement. Each measurement begins with one.
        let options = folders.iter().fold(Options::durable(), |options, folder| options.folder(*folder));
        let options = options
            .parameter("max_wal_size", "4GB")
            .parameter("checkpoint_timeout", "30min")
            .progress(|line| eprintln!("{line}"));
        let started = queue_testserver::Server::start(&options)?;
        Ok(Self { url: started.url(), started: Some(started) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The process id of the postmaster, if the bench started the server.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.started.as_ref()?.process_id()
    }

    /// Settings that the figures depend on.
    pub(crate) fn settings(&self) -> Result<Map<String, Value>> {
        let session = Session::open(&self.url, "")?;
        let mut settings = Map::new();
        for name in REPORTED {
            let value =
                session.text(&format!("SHOW {name}")).context("failed to read the server's settings")?;
            settings.insert(name.to_owned(), Value::from(value));
        }
        let server = if self.started.is_some() { "started by the bench" } else { "given" };
        settings.insert("server".to_owned(), Value::from(server));
        Ok(settings)
    }
}
