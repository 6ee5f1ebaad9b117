//! Receives the notifications of other processes.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use queue_core::JobId;
use queue_core::backend::error_chain;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Connection, Socket};

use super::LocalWaker;
use super::message::apply;
use crate::config::PostgresConfig;
use crate::connect::Connector;
use crate::connections::{Connections, Parameter};
use crate::row;
use crate::statements::filled;
use crate::tls::Tls;
use crate::types::Id;

/// First wait before reconnecting; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Maximum wait before reconnecting.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The settings and shared state of the listener.
#[derive(Clone)]
pub(crate) struct ListenerConfig {
    pub(crate) connector: Arc<Connector>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) local: LocalWaker,
    pub(crate) channel: String,
    pub(crate) wanted_cancels: String,
    pub(crate) own_id: String,
    pub(crate) ping_interval: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) answer_timeout: Duration,
}

impl ListenerConfig {
    pub(crate) fn new(
        config: &PostgresConfig,
        connector: Arc<Connector>,
        connections: Arc<Connections>,
        local: LocalWaker,
        own_id: String,
    ) -> Self {
        Self {
            connector,
            connections,
            local,
            channel: config.schema.channel(),
            wanted_cancels: filled(include_str!("../sql/wanted_cancels.sql"), &config.schema),
            own_id,
            ping_interval: config.ping_interval,
            poll_interval: config.poll_interval,
            answer_timeout: config.connect_timeout,
        }
    }
}

/// Wakes all workers once per interval, because this handle cannot listen.
pub(crate) async fn poll(local: LocalWaker, interval: Duration) {
    loop {
        sleep(interval).await;
        local.unknown();
    }
}

/// Why the listener has no connection.
enum ListenError {
    /// The server has no connection left, and a handle can work without this one.
    Crowded(String),
    Lost(String),
}

/// Listens until the task is dropped, and reconnects after each failure.
pub(crate) async fn listen(config: ListenerConfig) {
    let mut wait = FIRST_WAIT;
    let mut failures = 0_u32;
    loop {
        let (error, has_listened) = match config.connector.tls() {
            Tls::Off(connector) => listen_once(&config, *connector).await,
            #[cfg(feature = "tls")]
            Tls::Rustls(connector) => listen_once(&config, connector.clone()).await,
        };
        if has_listened {
            (wait, failures) = (FIRST_WAIT, 0);
        }
        failures = failures.saturating_add(1);
        match error {
            ListenError::Crowded(reason) => {
                if failures.is_power_of_two() {
                    tracing::warn!(
                        failures,
                        reason,
                        "no connection is left to listen for jobs; polling for them"
                    );
                }
                sleep(config.poll_interval).await;
                config.local.unknown();
            }
            ListenError::Lost(reason) => {
                if failures.is_power_of_two() {
                    tracing::warn!(failures, reason, "the listening connection was lost; reconnecting");
                }
                sleep(wait).await;
                wait = (wait * 2).min(MAX_WAIT);
            }
        }
    }
}

/// Listens until the connection is lost. Returns the cause, and whether it listened at all.
async fn listen_once<T>(config: &ListenerConfig, tls: T) -> (ListenError, bool)
where
    T: MakeTlsConnect<Socket> + Clone,
    T::Stream: Send + 'static,
{
    let (client, connection) = match config.connector.connect(tls).await {
        Ok(connected) => connected,
        Err(error) if error.is_crowded() => return (ListenError::Crowded(error.to_string()), false),
        Err(error) => return (ListenError::Lost(error.to_string()), false),
    };
    let (sender, notifications) = unbounded_channel();
    let _driving = AbortOnDrop(tokio::spawn(drive(connection, sender)));
    let listen = format!("LISTEN \"{}\"", config.channel);
    if let Err(reason) = in_time(config, client.batch_execute(&listen)).await {
        return (ListenError::Lost(reason), false);
    }
    // Wakes all workers, because earlier notifications were missed. No later one will be.
    config.local.unknown();
    (ListenError::Lost(receive(config, &client, notifications).await), true)
}

/// Receives notifications until the connection is lost. Returns the cause.
async fn receive(
    config: &ListenerConfig,
    client: &Client,
    mut notifications: UnboundedReceiver<String>,
) -> String {
    loop {
        match timeout(config.ping_interval, notifications.recv()).await {
            Ok(Some(text)) => {
                let named = apply(&config.local, &text, &config.own_id);
                if let Err(reason) = announce_cancels(config, client, &named).await {
                    return reason;
                }
            }
            Ok(None) => return "the server closed the connection".to_owned(),
            Err(_) => {
                if let Err(reason) = ping(config, client).await {
                    return reason;
                }
            }
        }
    }
}

/// Announces those cancels that are stored. If the server refuses the query, the heartbeats deliver
/// them.
async fn announce_cancels(config: &ListenerConfig, client: &Client, named: &[JobId]) -> Result<(), String> {
    if named.is_empty() {
        return Ok(());
    }
    let ids: Vec<Id> = named.iter().map(|job| (*job).into()).collect();
    let parameters: [(Parameter<'_>, Type); 1] = [(&ids, Type::UUID_ARRAY)];
    let answer = async {
        match client.query_typed(&config.wanted_cancels, &parameters).await {
            Err(error) if error.as_db_error().is_some() => {
                let reason = error_chain(&error);
                tracing::warn!(reason, "cancel requests could not be read; the next heartbeat delivers them");
                Ok(Vec::new())
            }
            answer => answer,
        }
    };
    let rows = in_time(config, answer).await?;
    let stored: Vec<JobId> = rows.iter().filter_map(|row| row::job_id(row, 0).ok()).collect();
    config.local.cancels(&stored);
    Ok(())
}

/// Checks the connection, because one that was cut silently looks like an idle one. Also checks
/// that the server takes writes. If not, the jobs are on another server, to which the host name may
/// lead by now.
async fn ping(config: &ListenerConfig, client: &Client) -> Result<(), String> {
    let answer = in_time(config, client.query_typed(include_str!("../sql/is_read_only.sql"), &[])).await?;
    let is_read_only = answer.first().and_then(|row| row::get::<bool>(row, 0).ok());
    if is_read_only == Some(true) {
        config.connections.close_idle();
        return Err("the server is read-only now".to_owned());
    }
    Ok(())
}

async fn in_time<T>(
    config: &ListenerConfig,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match timeout(config.answer_timeout, answer).await {
        Ok(answer) => answer.map_err(|error| error_chain(&error)),
        Err(_) => Err("the server did not answer in time".to_owned()),
    }
}

/// Drives the connection and forwards its notifications.
async fn drive<S>(mut connection: Connection<Socket, S>, notifications: UnboundedSender<String>)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message
            && notifications.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
