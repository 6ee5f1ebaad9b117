//! A blocking connection.

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls};

/// A connection and its runtime, which runs while a caller waits for a reply.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Dropped after the client.
    runtime: Runtime,
}

impl Session {
    /// Connects. `settings` are parameters of the session, such as `-c jit=off`.
    pub(crate) fn open(url: &str, settings: &str) -> Result<Self> {
        let mut config: Config = url.parse().context("failed to read the URL of the server")?;
        let given = config.get_options().unwrap_or_default();
        let options = format!("{given} {settings}");
        config.options(options.trim());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async {
            let (client, connection) =
                config.connect(NoTls).await.context("failed to connect to PostgreSQL")?;
            // The calls on the client return the errors of the connection.
            tokio::spawn(async { connection.await.ok() });
            anyhow::Ok(client)
        })?;
        Ok(Self { client, runtime })
    }

    /// Waits for a reply to the client.
    pub(crate) fn wait<F: Future>(&self, answer: F) -> F::Output {
        self.runtime.block_on(answer)
    }

    /// Returns the only field of the only row.
    pub(crate) fn text(&self, query: &str) -> Result<String> {
        let row = self.wait(self.client.query_one(query, &[]));
        Ok(row.with_context(|| format!("failed to run `{query}`"))?.try_get(0)?)
    }
}
