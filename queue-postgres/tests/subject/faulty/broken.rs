//! Active faults, and how each ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use queue_postgres::tokio_postgres::Client;
use queue_postgres::tokio_postgres::error::SqlState;
use queue_testkit::conformance::{Injected, SetupResult};
use queue_testkit::proxy::{Loss, Proxy, Traffic};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::servers::Leased;

/// How long a contender holds the lock, and how long it pauses.
const HELD: Duration = Duration::from_millis(4);
const LEFT: Duration = Duration::from_millis(2);

/// Maximum time until a setting is applied.
const LONG: Duration = Duration::from_secs(30);

/// A fault that is over at once.
pub(super) struct AtOnce;

#[async_trait]
impl Injected for AtOnce {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(())
    }
}

/// A message that is lost or to be lost.
pub(super) struct Lost(#[expect(dead_code, reason = "dropping it ends it")] pub(super) Loss);

#[async_trait]
impl Injected for Lost {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(())
    }
}

/// A fault of the proxy.
pub(super) struct Through(pub(super) Arc<Proxy>);

#[async_trait]
impl Injected for Through {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        Ok(())
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.0.set(Traffic::Pass);
    }
}

/// A stopped server.
pub(super) struct Restarted(pub(super) Arc<Leased>);

#[async_trait]
impl Injected for Restarted {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        self.0.start_again().await
    }
}

/// A fault caused by a session, with the statements that end it.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) mend: String,
}

impl Session {
    /// Holds the locks of all tables, as a migration of another program does.
    pub(super) async fn locks(client: Client, schema: &str) -> SetupResult<Box<dyn Injected>> {
        let tables =
            ["jobs", "live", "outcomes", "workers", "queues"].map(|table| format!("{schema}.{table}"));
        let sql = format!("BEGIN; LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", "));
        execute(&client, &sql).await?;
        Ok(Box::new(Self { client, mend: "ROLLBACK".to_owned() }))
    }
}

#[async_trait]
impl Injected for Session {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        execute(&self.client, &self.mend).await
    }
}

/// Executes statements that lock tables. Operations that lock them in another order should fail. If
/// the server ends these statements instead to resolve a deadlock, they are executed again.
pub(super) async fn execute(client: &Client, statements: &str) -> SetupResult<()> {
    loop {
        match client.batch_execute(statements).await {
            Err(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED) => {
                client.batch_execute("ROLLBACK").await?;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// A session that takes a lock repeatedly.
pub(super) struct Contender {
    over: watch::Sender<bool>,
    task: JoinHandle<SetupResult<()>>,
}

impl Contender {
    pub(super) async fn start(client: Client, schema: &str) -> SetupResult<Self> {
        let lock = format!("BEGIN; LOCK TABLE {schema}.live IN EXCLUSIVE MODE");
        client.batch_execute(&lock).await?;
        let over = watch::Sender::new(false);
        let is_over = over.subscribe();
        let task = tokio::spawn(async move {
            while !*is_over.borrow() {
                sleep(HELD).await;
                client.batch_execute("COMMIT").await?;
                sleep(LEFT).await;
                client.batch_execute(&lock).await?;
            }
            Ok(client.batch_execute("COMMIT").await?)
        });
        Ok(Self { over, task })
    }
}

#[async_trait]
impl Injected for Contender {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        self.over.send_replace(true);
        self.task.await?
    }
}

/// The whole server is read-only.
pub(super) struct Writable(Client);

impl Writable {
    pub(super) async fn ends(client: Client) -> SetupResult<Self> {
        set_read_only(&client, "on").await?;
        Ok(Self(client))
    }
}

#[async_trait]
impl Injected for Writable {
    async fn mend(self: Box<Self>) -> SetupResult<()> {
        set_read_only(&self.0, "off").await
    }
}

/// Changes the setting and waits until the server applies it.
async fn set_read_only(client: &Client, setting: &str) -> SetupResult<()> {
    client.batch_execute("SET default_transaction_read_only = off").await?;
    client.batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {setting}")).await?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    let known = "SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only'";
    let start = Instant::now();
    while client.query_one(known, &[]).await?.get::<_, &str>(0) != setting {
        if start.elapsed() > LONG {
            return Err(format!("the server did not become read-only = {setting} within {LONG:?}").into());
        }
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
