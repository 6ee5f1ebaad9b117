//! The HTTP API.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use queue::backend::ListRequest;
use queue::{CancelReply, Enqueue, JobId, JobQueue, JobRecord, JobState, RetryReply};
use queue_sqlx::Tx as _;
use serde::{Deserialize, Serialize};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::Shop;
use crate::jobs::{BuildReport, ChargeOrder, Report, SendWelcomeEmail};

pub fn router(shop: Shop) -> Router {
    Router::new()
        .route("/signup", post(signup))
        .route("/orders", post(order))
        .route("/orders/{id}/report", post(report))
        .route("/jobs/{id}", get(job))
        .route("/admin/jobs/failed", get(failed))
        .route("/admin/jobs/{id}/cancel", post(cancel))
        .route("/admin/jobs/{id}/retry", post(retry))
        .with_state(shop)
}

#[derive(Deserialize)]
struct Signup {
    email: String,
}

async fn signup(
    State(shop): State<Shop>,
    Json(Signup { email }): Json<Signup>,
) -> Answer<(StatusCode, Json<i64>)> {
    let mut tx = shop.pool.begin().await?;
    let user = sqlx::query_scalar("INSERT INTO users (email) VALUES ($1) RETURNING id")
        .bind(&email)
        .fetch_one(&mut *tx)
        .await?;
    shop.jobs.enqueue(SendWelcomeEmail { user, email }).tx(&mut tx).await?;
    tx.commit().await?; // commits the row and the job together
    Ok((StatusCode::CREATED, Json(user)))
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, sqlx::FromRow)]
pub struct Order {
    #[serde(default)]
    pub id: i64,
    pub customer: i64,
}

async fn order(State(shop): State<Shop>, Json(order): Json<Order>) -> Answer<(StatusCode, Json<Order>)> {
    let mut tx = shop.pool.begin().await?;
    let order: Order = sqlx::query_as("INSERT INTO orders (customer) VALUES ($1) RETURNING id, customer")
        .bind(order.customer)
        .fetch_one(&mut *tx)
        .await?;
    charge(&shop.jobs, &order).priority(5).tx(&mut tx).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(order)))
}

/// The job that follows from an order. Nothing happens until the caller awaits it, with or without
/// a transaction.
pub fn charge(jobs: &JobQueue, order: &Order) -> Enqueue<ChargeOrder> {
    jobs.enqueue(ChargeOrder { order: order.id, customer: order.customer })
}

/// Answers with the report, whichever process builds it. After a timeout it is built all the same.
async fn report(State(shop): State<Shop>, Path(order): Path<i64>) -> Answer<Json<Report>> {
    let job = shop.jobs.enqueue(BuildReport { order }).await?;
    Ok(Json(timeout(Duration::from_secs(5), job.result()).await??))
}

async fn job(State(shop): State<Shop>, Path(id): Path<JobId>) -> Answer<Json<Option<JobRecord>>> {
    Ok(Json(shop.jobs.inspect()?.jobs(&[id]).await?.pop().flatten()))
}

async fn failed(State(shop): State<Shop>) -> Answer<Json<Vec<JobRecord>>> {
    Ok(Json(shop.jobs.inspect()?.list(ListRequest::new(100).state(JobState::Dead)).await?))
}

/// A running job is signalled to stop, on whatever machine it runs.
async fn cancel(State(shop): State<Shop>, Path(id): Path<JobId>) -> Answer<Json<CancelReply>> {
    Ok(Json(shop.jobs.cancel(id).await?))
}

/// The same job with the same id, and as many retries as at first.
async fn retry(State(shop): State<Shop>, Path(id): Path<JobId>) -> Answer<Json<RetryReply>> {
    Ok(Json(shop.jobs.retry(id).await?))
}

type Answer<T> = Result<T, Failed>;

struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let late = self.0.is::<Elapsed>();
        let status = if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, self.0.to_string()).into_response()
    }
}
