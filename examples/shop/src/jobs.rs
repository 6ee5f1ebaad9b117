//! The background jobs: what each one is given, how it may run, and what it does.

use queue::{HandlerResult, JobContext, JobError, State, Task};
use queue_sqlx::Tx as _;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::{Gateway, Pool};

#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "send-welcome-email")]
pub struct SendWelcomeEmail {
    pub user: i64,
    pub email: String,
}

pub async fn send_welcome_email(job: SendWelcomeEmail) -> HandlerResult {
    // Logged in the span of the job, which has its id, kind and attempt.
    info!(job.user, job.email, "welcome");
    Ok(())
}

/// At most one per order while it is unfinished or was completed within 90 days. A dead or
/// cancelled charge frees the key.
#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "charge-order", unique(order, keep = "90d"))]
#[task(max_retries = 5, backoff = "200ms..1m", timeout = "20s")]
pub struct ChargeOrder {
    pub order: i64,
    pub customer: i64,
}

pub async fn charge_order(
    job: ChargeOrder,
    context: JobContext,
    gateway: State<Gateway>,
    pool: State<Pool>,
) -> HandlerResult {
    if !gateway.knows(job.customer).await? {
        return Err(JobError::bury("no such customer")); // dead at once: a retry cannot help
    }
    gateway.charge(job.order).await?; // any error fails the attempt, also an `anyhow::Error`
    context.enqueue(SendReceipt { order: job.order }).on_success(&context)?;
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO charges (order_id) VALUES ($1)").bind(job.order).execute(&mut *tx).await?;
    context.complete(&()).tx(&mut tx).await?;
    tx.commit().await?; // commits the row, the completion of this job and the receipt together
    Ok(())
}

#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "send-receipt")]
pub struct SendReceipt {
    pub order: i64,
}

pub async fn send_receipt(job: SendReceipt) -> HandlerResult {
    info!(job.order, "receipt");
    Ok(())
}

#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "build-report", output = Report, max_retries = 2)]
pub struct BuildReport {
    pub order: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub order: i64,
    pub charges: i64,
}

pub async fn build_report(job: BuildReport, pool: State<Pool>) -> HandlerResult<Report> {
    let charges = sqlx::query_scalar("SELECT count(*) FROM charges WHERE order_id = $1")
        .bind(job.order)
        .fetch_one(&*pool)
        .await?;
    Ok(Report { order: job.order, charges }) // stored in the transaction that completes the job
}

/// Once a night, also when the clocks skip 02:30 or show it twice.
#[derive(Debug, Default, Serialize, Deserialize, Task)]
#[task(kind = "clean-up", cron = "30 2 * * *", tz = "Europe/Berlin")]
pub struct CleanUp {}

pub async fn clean_up(_: CleanUp, pool: State<Pool>) -> HandlerResult {
    let orphans = "DELETE FROM charges WHERE order_id NOT IN (SELECT id FROM orders)";
    sqlx::query(orphans).execute(&*pool).await?;
    Ok(())
}
