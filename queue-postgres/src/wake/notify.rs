//! Notifies other processes, at most once per interval.

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

/// Wait after a failed notification.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Notifies other processes: the first hint after a pause at once, later ones together at the end
/// of the interval.
pub(crate) async fn notify(
    connections: Arc<Connections>,
    channel: String,
    own_id: String,
    interval: Duration,
    mut unsent: Unsent,
) {
    let statement =
        Statement::writes(include_str!("../sql/notify.sql").to_owned(), &[Type::TEXT, Type::TEXT]);
    let mut failures = 0_u32;
    while let Some(mut pending) = unsent.recv().await {
        while !pending.is_empty() {
            add_all(&mut pending, &mut unsent);
            let text = text(&std::mem::take(&mut pending), &own_id);
            match send(&connections, &statement, &channel, &text).await {
                Ok(()) => {
                    failures = 0;
                    tokio::time::sleep(interval).await;
                }
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    if failures.is_power_of_two() {
                        let error = fault.into_error("notify other processes", statement.effect());
                        tracing::warn!(failures, %error, "other processes could not be notified of jobs; they find them by polling");
                    }
                    // The next notification wakes all their workers instead.
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

/// Fails on a read-only server, because it accepts notifications although the workers have moved to
/// another server.
async fn send(connections: &Connections, statement: &Statement, channel: &str, text: &str) -> Outcome<()> {
    let rows = connections.query(statement, &[&channel, &text]).await?;
    let is_read_only: &str = row::get(row::only(&rows)?, 0)?;
    if is_read_only == "on" {
        connections.close_idle();
        let message = "the server is read-only now";
        return Err(Error::new(ErrorKind::Unavailable, "notify other processes", message).into());
    }
    Ok(())
}
