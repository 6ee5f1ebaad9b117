//! Handlers are tested as functions, and the application as a whole on its database.

mod database;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use queue::testing::TestWorker;
use queue::{JobContext, JobError, JobId, JobRecord, JobState, State};
use queue_sqlx::Tx as _;
use serde::Deserialize;
use shop::jobs::{ChargeOrder, Report, charge_order};
use shop::web::{Order, charge, router};
use shop::{Gateway, Shop};
use tower::ServiceExt;

/// A timeout that is reached only if a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn post<T: for<'a> Deserialize<'a>>(shop: &Shop, path: &str, body: &str) -> (StatusCode, T) {
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router(shop.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// Waits until the job is in the state.
async fn wait_for(shop: &Shop, id: JobId, state: JobState) -> JobRecord {
    let wait = async {
        loop {
            let record = shop.jobs.inspect().unwrap().jobs(&[id]).await.unwrap().remove(0).unwrap();
            if record.state == state {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}

#[tokio::test]
async fn a_handler_is_a_function() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let (gateway, pool) = (State::from(Gateway::default()), State::from(shop.pool.clone()));
    let unknown = ChargeOrder { order: 7, customer: 0 };
    let context = JobContext::of::<ChargeOrder>().unwrap();
    let charged = charge_order(unknown, context, gateway, pool).await;
    assert!(matches!(charged, Err(JobError::Bury { .. })));
}

#[tokio::test]
async fn an_order_is_charged_and_reported() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let worker = shop.worker(Gateway::away_for(2)).start().unwrap();

    let (status, order) = post::<Order>(&shop, "/orders", r#"{"customer": 3}"#).await;
    assert_eq!(status, StatusCode::CREATED);
    let charges = shop.jobs.inspect().unwrap().list(queue::backend::ListRequest::new(10)).await.unwrap();
    let charged = wait_for(&shop, charges[0].job.id, JobState::Completed).await;
    assert_eq!((charged.attempt, charged.errors[0].error.as_str()), (3, "the gateway is away"));

    let jobs = shop.jobs.inspect().unwrap().list(queue::backend::ListRequest::new(10)).await.unwrap();
    let receipt = jobs.iter().find(|record| record.job.kind.as_str() == "send-receipt").unwrap();
    wait_for(&shop, receipt.job.id, JobState::Completed).await;

    let (status, report) = post::<Report>(&shop, &format!("/orders/{}/report", order.id), "").await;
    assert_eq!((status, report), (StatusCode::OK, Report { order: order.id, charges: 1 }));
    worker.shutdown(PATIENCE).await;
}

/// The caller of `charge` chooses the transaction, and a second charge of the order is a duplicate.
#[tokio::test]
async fn an_order_is_charged_once_and_only_if_it_is_committed() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let order = Order { id: 7, customer: 3 };
    let mut tx = shop.pool.begin().await.unwrap();
    charge(&shop.jobs, &order).tx(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    let first = charge(&shop.jobs, &order).await.unwrap();
    assert!(first.is_new()); // the charge that was rolled back does not exist
    let mut tx = shop.pool.begin().await.unwrap();
    let second = charge(&shop.jobs, &order).tx(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((second.id(), second.is_new()), (first.id(), false));
}

#[tokio::test]
async fn an_unknown_customer_is_seen_among_the_failed() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let worker = TestWorker::start(shop.worker(Gateway::default())).await.unwrap();
    let job = charge(&shop.jobs, &Order { id: 7, customer: 0 }).await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), [JobState::Dead]);
    let request = Request::get("/admin/jobs/failed").body(Body::empty()).unwrap();
    let response = router(shop.clone()).oneshot(request).await.unwrap();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let failed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(failed[0]["id"], job.id().to_string());
    assert_eq!(failed[0]["error"], "no such customer");
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_and_retried() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let (status, user) = post::<i64>(&shop, "/signup", r#"{"email": "ada@example.com"}"#).await;
    assert_eq!((status, user), (StatusCode::CREATED, 1));
    let jobs = shop.jobs.inspect().unwrap().list(queue::backend::ListRequest::new(1)).await.unwrap();
    let path = format!("/admin/jobs/{}/cancel", jobs[0].job.id);
    let (status, reply) = post::<String>(&shop, &path, "").await;
    assert_eq!((status, reply.as_str()), (StatusCode::OK, "cancelled"));
    let path = format!("/admin/jobs/{}/retry", jobs[0].job.id);
    let (status, reply) = post::<String>(&shop, &path, "").await;
    assert_eq!((status, reply.as_str()), (StatusCode::OK, "retried"));
}

#[tokio::test]
async fn the_worker_stores_the_schedule_and_runs_its_job() {
    let database = database::create().await;
    let shop = Shop::open(&database.url).await.unwrap();
    let worker = TestWorker::start(shop.worker(Gateway::default())).await.unwrap();
    shop.jobs.schedules().run_now("clean-up").await.unwrap();
    assert_eq!(worker.run_ready().await.unwrap(), [JobState::Completed]);
}
