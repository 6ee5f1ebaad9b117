//! Sending notifications, throttled at both edges.

use std::sync::Arc;
use std::time::Duration;

use queue_core::backend::WakeHints;
use queue_core::{Error, ErrorKind};
use tokio_postgres::types::Type;

use super::Unsent;
use super::message::text;
use crate::connections::{Connections, Statement};
use crate::error::Outcome;
use crate::row;

/// The wait after a notification that could not be sent.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Sends what there is to tell: at once after a pause, and then what came meanwhile once in an interval.
pub(crate) async fn notify(
    connections: Arc<Connections>,
    channel: String,
    ourselves: String,
    interval: Duration,
    mut unsent: Unsent,
) {
    let statement =
        Statement::writes(include_str!("../sql/notify.sql").to_owned(), &[Type::TEXT, Type::TEXT]);
    let mut failures = 0_u32;
    while let Some(mut pending) = unsent.recv().await {
        while !pending.is_empty() {
            add_all(&mut pending, &mut unsent);
            let text = text(&std::mem::take(&mut pending), &ourselves);
            match send(&connections, &statement, &channel, &text).await {
                Ok(()) => {
                    failures = 0;
                    tokio::time::sleep(interval).await;
                }
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        let error = fault.into_error("notify other processes", statement.effect());
                        tracing::warn!(failures, %error, "other processes were not told of jobs; they find them by themselves");
                    }
                    // They look at everything instead.
                    pending.add_unknown();
                    tokio::time::sleep(WAIT_AFTER_FAILURE).await;
                }
            }
            add_all(&mut pending, &mut unsent);
        }
    }
}

fn add_all(pending: &mut WakeHints, unsent: &mut Unsent) {
    while let Ok(hints) = unsent.try_recv() {
        pending.append(&hints);
    }
}

/// A server that takes no writes is an old primary, where the workers are no more: it takes notifications all the same.
async fn send(connections: &Connections, statement: &Statement, channel: &str, text: &str) -> Outcome<()> {
    let rows = connections.query(statement, &[&channel, &text]).await?;
    let is_read_only: &str = row::get(row::only(&rows)?, 0)?;
    if is_read_only == "on" {
        connections.close_idle();
        let message = "the server takes no writes any more";
        return Err(Error::new(ErrorKind::Unavailable, "notify other processes", message).into());
    }
    Ok(())
}
