//! Faults of PostgreSQL and of the connection to it.

mod broken;
mod rows;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use queue_core::Backend;
use queue_postgres::tokio_postgres::{Client, Config, NoTls};
use queue_postgres::{Pooler, PostgresBackend, PostgresConfig};
use queue_testkit::conformance::{Fault, FaultyStorage, Injected, PATIENCE, SetupResult, Storage};
use queue_testkit::proxy::{Proxy, Traffic};
use queue_testserver::{PgBouncer, Shutdown};
use tokio::task::spawn_blocking;

use super::{Schema, Way, looking_at_all};
use broken::{AtOnce, Contender, Lost, Restarted, Session, Through, Writable};
use servers::Leased;

/// The faults behind a pooler, which then answers for the server.
pub(super) const POOLED: &[Fault] = &[Fault::Cut, Fault::Terminated, Fault::RequestLost, Fault::ReplyLost];

/// Interval between two checks of the listening connection.
const PING: Duration = Duration::from_millis(200);

/// A schema on which faults can be injected: through a proxy, or on a separate server if other
/// cases would be disturbed.
pub(super) struct FaultySchema {
    fault: Fault,
    schema: Schema,
    config: PostgresConfig,
    /// The configuration of the test's own connections.
    direct: Config,
    proxy: Option<Arc<Proxy>>,
    server: Option<Arc<Leased>>,
    /// The pooler between the handles and the proxy.
    _pooled: Option<PgBouncer>,
}

impl FaultySchema {
    /// Uses the server that all cases share, unless the fault needs a separate one.
    pub(super) async fn new(fault: Fault, schema: Schema, shared: &str, way: Way) -> SetupResult<Self> {
        let server = match fault {
            Fault::Stopped | Fault::Crashed | Fault::ReadOnly => Some(Arc::new(Leased::take().await?)),
            _ => None,
        };
        let direct = server.as_ref().map_or_else(|| shared.to_owned(), |server| server.url());
        let mut url = direct.clone();
        let mut proxy = None;
        if needs_proxy(fault) {
            let address = address(&direct)?;
            let started = Proxy::start(address).await?;
            url = url.replacen(address, &started.address().to_string(), 1);
            proxy = Some(Arc::new(started));
        }
        let (mut pooler, mut pooled) = (Pooler::None, None);
        if matches!(way, Way::Pooled) {
            pooler = Pooler::Transaction;
            let upstream = url.clone();
            let started = spawn_blocking(move || PgBouncer::start(&upstream)).await??;
            started.url().clone_into(&mut url);
            pooled = Some(started);
        }
        let mut driver: Config = url.parse()?;
        driver.application_name(&schema.name);
        let config = looking_at_all(PostgresConfig::new(driver))
            .pooler(pooler)
            .schema(&schema.name)?
            .ping_interval(PING);
        Ok(Self { fault, schema, config, direct: direct.parse()?, proxy, server, _pooled: pooled })
    }

    fn proxy(&self) -> SetupResult<&Arc<Proxy>> {
        self.proxy.as_ref().ok_or_else(|| "there is no proxy for this fault".into())
    }

    async fn connect(&self) -> SetupResult<Client> {
        let (client, connection) = self.direct.connect(NoTls).await?;
        tokio::spawn(connection);
        // If it deadlocks with an operation, the operation must fail, because its
        // `deadlock_timeout` is one second.
        client.batch_execute("SET default_transaction_read_only = off; SET deadlock_timeout = '3s'").await?;
        Ok(client)
    }

    /// Ends all sessions of the handles.
    async fn terminate(&self, client: &Client) -> SetupResult<()> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        client.execute(sql, &[&self.schema.name]).await?;
        Ok(())
    }

    /// Injects a fault by the proxy.
    fn through(&self, traffic: Traffic) -> SetupResult<Box<dyn Injected>> {
        let proxy = self.proxy()?;
        proxy.set(traffic);
        Ok(Box::new(Through(Arc::clone(proxy))))
    }

    async fn stop(&self, shutdown: Shutdown) -> SetupResult<Box<dyn Injected>> {
        let server = self.server.as_ref().ok_or("there is no server for this fault")?;
        server.stop(shutdown).await?;
        Ok(Box::new(Restarted(Arc::clone(server))))
    }
}

/// Whether a proxy injects the fault.
fn needs_proxy(fault: Fault) -> bool {
    let faults = [
        Fault::Refused,
        Fault::Silent,
        Fault::Late,
        Fault::Slow,
        Fault::Cut,
        Fault::HalfClosed,
        Fault::RequestLost,
        Fault::ReplyLost,
    ];
    faults.contains(&fault)
}

/// `host:port` in a URL.
fn address(url: &str) -> SetupResult<&str> {
    let address = url.split('/').nth(2).and_then(|login| login.rsplit('@').next());
    address.ok_or_else(|| "the URL names no host".into())
}

#[async_trait]
impl Storage for FaultySchema {
    async fn open(&self) -> SetupResult<Arc<dyn Backend>> {
        Ok(Arc::new(PostgresBackend::open(self.config.clone()).await?))
    }
}

#[async_trait]
impl FaultyStorage for FaultySchema {
    async fn open_impatient(&self) -> SetupResult<Option<Arc<dyn Backend>>> {
        if !matches!(self.fault, Fault::Locked | Fault::Silent | Fault::Late) {
            return Ok(None);
        }
        let config = self.config.clone();
        let config = config
            .connect_timeout(PATIENCE)
            .pool_timeout(PATIENCE)
            .request_timeout(PATIENCE)
            .heartbeat_timeout(PATIENCE);
        Ok(Some(Arc::new(PostgresBackend::open(config).await?)))
    }

    async fn inject(&self, target: &[u8]) -> SetupResult<Box<dyn Injected>> {
        let schema = &self.schema.name;
        match self.fault {
            Fault::Locked => Session::locks(self.connect().await?, schema).await,
            Fault::Contended => Ok(Box::new(Contender::start(self.connect().await?, schema).await?)),
            Fault::Full
            | Fault::RowConflictsBriefly
            | Fault::RowConflicts
            | Fault::RowFull
            | Fault::RowRefused => rows::inject(self.fault, self.connect().await?, schema, target).await,
            Fault::Refused => {
                let broken = self.through(Traffic::Refuse)?;
                self.proxy()?.cut();
                Ok(broken)
            }
            Fault::Silent => self.through(Traffic::Swallow),
            Fault::Late => self.through(Traffic::Stall),
            Fault::Slow => self.through(Traffic::Delay(Duration::from_millis(15))),
            Fault::Stopped => self.stop(Shutdown::Fast).await,
            Fault::Crashed => self.stop(Shutdown::Immediate).await,
            Fault::ReadOnly => {
                let client = self.connect().await?;
                let broken = Writable::ends(client).await?;
                self.terminate(&self.connect().await?).await?;
                Ok(Box::new(broken))
            }
            Fault::Misconfigured => {
                let away = format!("{schema}_away");
                let rename = |from: &str, to: &str| format!("ALTER SCHEMA {from} RENAME TO {to}");
                let client = self.connect().await?;
                broken::execute(&client, &rename(schema, &away)).await?;
                Ok(Box::new(Session { client, mend: rename(&away, schema) }))
            }
            Fault::Cut => {
                self.proxy()?.cut();
                Ok(Box::new(AtOnce))
            }
            Fault::HalfClosed => {
                self.proxy()?.half_close();
                Ok(Box::new(AtOnce))
            }
            Fault::Terminated => {
                self.terminate(&self.connect().await?).await?;
                Ok(Box::new(AtOnce))
            }
            Fault::RequestLost => Ok(Box::new(Lost(self.proxy()?.lose_request(target)))),
            Fault::ReplyLost => Ok(Box::new(Lost(self.proxy()?.lose_reply(target)))),
            fault => Err(format!("unknown fault `{fault}`").into()),
        }
    }
}
