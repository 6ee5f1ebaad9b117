//! Sending notifications, throttled at both edges.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::News;
use super::message::Pending;
use crate::connections::{Connections, Statement};

/// The wait after a notification that could not be sent.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Sends what there is to tell: at once after a pause, and then what came meanwhile once in an interval.
pub(crate) async fn notify(
    connections: Connections,
    channel: String,
    ourselves: String,
    interval: Duration,
    mut news: News,
) {
    let statement =
        Statement::writes(include_str!("../sql/notify.sql").to_owned(), &[Type::TEXT, Type::TEXT]);
    let mut pending = Pending::default();
    while let Some(told) = news.recv().await {
        pending.add(told);
        while !pending.is_empty() {
            while let Ok(told) = news.try_recv() {
                pending.add(told);
            }
            let text = pending.text(&ourselves);
            pending = Pending::default();
            match connections.query(&statement, &[&channel, &text]).await {
                Ok(_) => tokio::time::sleep(interval).await,
                Err(fault) => {
                    let error = fault.into_error("notify other processes", statement.effect());
                    tracing::warn!(%error, "other processes were not told of jobs; they find them by themselves");
                    pending.lost();
                    tokio::time::sleep(WAIT_AFTER_FAILURE).await;
                }
            }
            while let Ok(told) = news.try_recv() {
                pending.add(told);
            }
        }
    }
}
