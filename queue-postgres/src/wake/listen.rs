//! Hearing what other processes tell.

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
use super::message::take_in;
use crate::config::PostgresConfig;
use crate::connect::Connector;
use crate::connections::{Connections, Parameter};
use crate::row;
use crate::statements::filled;
use crate::tls::Tls;
use crate::types::Id;

/// The first wait before the connection is made again, doubled each time, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What listening needs.
#[derive(Clone)]
pub(crate) struct Ears {
    pub(crate) connector: Arc<Connector>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) local: LocalWaker,
    pub(crate) channel: String,
    pub(crate) wanted_cancels: String,
    pub(crate) ourselves: String,
    pub(crate) ping_interval: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) answer_timeout: Duration,
}

impl Ears {
    pub(crate) fn new(
        config: &PostgresConfig,
        connector: Arc<Connector>,
        connections: Arc<Connections>,
        local: LocalWaker,
        ourselves: String,
    ) -> Self {
        Self {
            connector,
            connections,
            local,
            channel: config.schema.channel(),
            wanted_cancels: filled(include_str!("../sql/wanted_cancels.sql"), &config.schema),
            ourselves,
            ping_interval: config.ping_interval,
            poll_interval: config.poll_interval,
            answer_timeout: config.connect_timeout,
        }
    }
}

/// Has receivers look at everything once in an interval, where nobody can listen.
pub(crate) async fn poll(local: LocalWaker, interval: Duration) {
    loop {
        sleep(interval).await;
        local.unknown();
    }
}

/// Why nobody listens.
enum Deaf {
    /// The server has no connection left: a handle does without this one.
    Crowded(String),
    Lost(String),
}

/// Listens for ever, on a connection that is made again whenever it breaks.
pub(crate) async fn listen(ears: Ears) {
    let mut wait = FIRST_WAIT;
    let mut failures = 0_u32;
    loop {
        let (deaf, has_listened) = match ears.connector.tls() {
            Tls::Off(connector) => listen_once(&ears, *connector).await,
            #[cfg(feature = "tls")]
            Tls::Rustls(connector) => listen_once(&ears, connector.clone()).await,
        };
        if has_listened {
            (wait, failures) = (FIRST_WAIT, 0);
        }
        failures = failures.saturating_add(1);
        match deaf {
            Deaf::Crowded(reason) => {
                if failures.is_power_of_two() {
                    tracing::warn!(
                        failures,
                        reason,
                        "no connection is left to listen for jobs on; they are looked for"
                    );
                }
                sleep(ears.poll_interval).await;
                ears.local.unknown();
            }
            Deaf::Lost(reason) => {
                if failures.is_power_of_two() {
                    tracing::warn!(
                        failures,
                        reason,
                        "the connection that listens for jobs was lost; it is made again"
                    );
                }
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Until the connection is lost; says why, and whether there was one.
async fn listen_once<T>(ears: &Ears, tls: T) -> (Deaf, bool)
where
    T: MakeTlsConnect<Socket> + Clone,
    T::Stream: Send + 'static,
{
    let (client, connection) = match ears.connector.connect(tls).await {
        Ok(connected) => connected,
        Err(error) if error.is_crowded() => return (Deaf::Crowded(error.to_string()), false),
        Err(error) => return (Deaf::Lost(error.to_string()), false),
    };
    let (sender, heard) = unbounded_channel();
    let _driving = AbortOnDrop(tokio::spawn(drive(connection, sender)));
    let listen = format!("LISTEN \"{}\"", ears.channel);
    if let Err(reason) = in_time(ears, client.batch_execute(&listen)).await {
        return (Deaf::Lost(reason), false);
    }
    // What was told before is found by looking, now that nothing further can be missed.
    ears.local.unknown();
    (Deaf::Lost(hear(ears, &client, heard).await), true)
}

/// Until the connection is lost; says why.
async fn hear(ears: &Ears, client: &Client, mut heard: UnboundedReceiver<String>) -> String {
    loop {
        match timeout(ears.ping_interval, heard.recv()).await {
            Ok(Some(text)) => {
                let named = take_in(&ears.local, &text, &ears.ourselves);
                if let Err(reason) = announce_cancels(ears, client, &named).await {
                    return reason;
                }
            }
            Ok(None) => return "the server closed it".to_owned(),
            Err(_) => {
                if let Err(reason) = ping(ears, client).await {
                    return reason;
                }
            }
        }
    }
}

/// Announces those of the cancels that are stored. Where the server refuses to say, they are left to the heartbeats.
async fn announce_cancels(ears: &Ears, client: &Client, named: &[JobId]) -> Result<(), String> {
    if named.is_empty() {
        return Ok(());
    }
    let ids: Vec<Id> = named.iter().map(|job| (*job).into()).collect();
    let parameters: [(Parameter<'_>, Type); 1] = [(&ids, Type::UUID_ARRAY)];
    let answer = async {
        match client.query_typed(&ears.wanted_cancels, &parameters).await {
            Err(error) if error.as_db_error().is_some() => {
                let reason = error_chain(&error);
                tracing::warn!(reason, "cancels were not looked up; the next heartbeat brings them");
                Ok(Vec::new())
            }
            answer => answer,
        }
    };
    let rows = in_time(ears, answer).await?;
    let stored: Vec<JobId> = rows.iter().filter_map(|row| row::job_id(row, 0).ok()).collect();
    ears.local.cancels(&stored);
    Ok(())
}

/// A connection that was cut without a word is silent, like one on which nothing happens. And a server that takes no writes
/// is not where jobs are entered: the name may lead to another one by now.
async fn ping(ears: &Ears, client: &Client) -> Result<(), String> {
    let answer = in_time(ears, client.query_typed(include_str!("../sql/is_read_only.sql"), &[])).await?;
    let is_read_only = answer.first().and_then(|row| row::get::<bool>(row, 0).ok());
    if is_read_only == Some(true) {
        ears.connections.close_idle();
        return Err("the server takes no writes any more".to_owned());
    }
    Ok(())
}

async fn in_time<T>(
    ears: &Ears,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match timeout(ears.answer_timeout, answer).await {
        Ok(answer) => answer.map_err(|error| error_chain(&error)),
        Err(_) => Err("the server did not answer in time".to_owned()),
    }
}

/// Has the connection go on, and hands over what is told.
async fn drive<S>(mut connection: Connection<Socket, S>, heard: UnboundedSender<String>)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message
            && heard.send(notification.payload().to_owned()).is_err()
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
