//! An application with its data in one database and its jobs in three others: two SQLite files and
//! one PostgreSQL database. One worker serves all of them with one set of slots.
//!
//! ```sh
//! cargo run --release --example multi_db
//! ```
//!
//! If `JOBS_DATABASE_URL` names a PostgreSQL database, the example uses a schema of its own there,
//! which it does not drop. Otherwise the example starts a temporary server.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use queue::postgres::{PostgresBackend, PostgresConfig};
use queue::sqlite::rusqlite::{self, Connection};
use queue::sqlite::{SqliteBackend, SqliteConfig};
use queue::{Backend, HandlerResult, JobHandle, JobId, JobQueue, JobState, State, Task, Worker};
use queue_examples::Result;
use queue_testserver::{Options, Server};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const SLOTS: usize = 8;

/// The number of orders; each database has one job per order.
const ORDERS: u32 = 100;

#[derive(Debug, Serialize, Deserialize, Task)]
#[task(kind = "send-receipt")]
struct SendReceipt {
    order: u32,
}

/// The application's data, and the number of running handlers.
struct Shop {
    data: Mutex<Connection>,
    running: AtomicUsize,
    most: AtomicUsize,
    sent: UnboundedSender<u32>,
}

impl Shop {
    fn open(path: &Path, sent: UnboundedSender<u32>) -> Result<Self> {
        let data = Connection::open(path)?;
        data.execute_batch(
            "PRAGMA journal_mode = wal; CREATE TABLE orders (number INTEGER PRIMARY KEY, receipts)",
        )?;
        let mut insert = data.prepare("INSERT INTO orders VALUES (?1, 0)")?;
        (1..=ORDERS).try_for_each(|number| insert.execute([number]).map(drop))?;
        drop(insert);
        Ok(Self { data: Mutex::new(data), running: 0.into(), most: 0.into(), sent })
    }

    fn with_data<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        question(&self.data.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The handler does not depend on the database of the job.
async fn send_receipt(SendReceipt { order }: SendReceipt, shop: State<Arc<Shop>>) -> HandlerResult {
    shop.most.fetch_max(shop.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(10)).await;
    shop.running.fetch_sub(1, Ordering::SeqCst);
    shop.with_data(|data| {
        data.execute("UPDATE orders SET receipts = receipts + 1 WHERE number = ?1", [order])
    })?;
    shop.sent.send(order)?;
    Ok(())
}

/// A database of jobs, and the ids of the jobs enqueued here.
struct Jobs {
    name: &'static str,
    queue: JobQueue,
    ids: Vec<JobId>,
}

impl Jobs {
    async fn new(name: &'static str, backend: impl Backend + 'static) -> Result<Self> {
        let queue = JobQueue::new(Arc::new(backend));
        let jobs = queue.enqueue_batch((1..=ORDERS).map(|order| SendReceipt { order })).await?;
        let ids = jobs.iter().map(JobHandle::id).collect();
        Ok(Self { name, queue, ids })
    }

    async fn sqlite(name: &'static str, folder: &Path) -> Result<Self> {
        Self::new(name, SqliteBackend::open(SqliteConfig::new(folder.join(name))).await?).await
    }

    async fn postgres(name: &'static str, url: &str) -> Result<Self> {
        let config = PostgresConfig::from_url(url)?.schema("multi_db_example")?;
        Self::new(name, PostgresBackend::open(config).await?).await
    }

    async fn completed(&self) -> Result<usize> {
        let jobs = self.queue.inspect()?.jobs(&self.ids).await?;
        Ok(jobs.iter().flatten().filter(|job| job.state == JobState::Completed).count())
    }
}

/// The PostgreSQL database in `JOBS_DATABASE_URL`, otherwise a server that ends when it is dropped.
async fn postgres() -> Result<(String, Option<Server>)> {
    match std::env::var(queue::DATABASE_URL_VARIABLE) {
        Ok(url) if url.starts_with("postgres") => Ok((url, None)),
        _ => {
            let server = tokio::task::spawn_blocking(|| Server::start(&Options::throwaway())).await??;
            Ok((server.url(), Some(server)))
        }
    }
}

async fn run() -> Result {
    let folder = tempfile::tempdir()?;
    let (url, _server) = postgres().await?;
    let (sent, mut receipts) = unbounded_channel();
    let shop = Arc::new(Shop::open(&folder.path().join("shop.db"), sent)?);
    let all = [
        Jobs::sqlite("mail.db", folder.path()).await?,
        Jobs::sqlite("archive.db", folder.path()).await?,
        Jobs::postgres("PostgreSQL", &url).await?,
    ];
    println!("one worker with {SLOTS} slots serves {} databases:", all.len());

    let started = Instant::now();
    let [mail, archive, postgres] = &all;
    let worker = Worker::new(&mail.queue).serve(&archive.queue).serve(&postgres.queue);
    let worker = worker.state(Arc::clone(&shop)).handle(send_receipt).slots(SLOTS).start()?;
    for _ in all.iter().flat_map(|jobs| &jobs.ids) {
        receipts.recv().await.ok_or("the worker ended")?;
    }
    let took = started.elapsed();
    worker.shutdown(Duration::from_secs(5)).await;

    for jobs in &all {
        println!("  {:<12}{} of {} jobs completed", jobs.name, jobs.completed().await?, jobs.ids.len());
    }
    println!("all in {took:.1?}, never more than {} at the same time", shop.most.load(Ordering::SeqCst));
    let receipts: u32 =
        shop.with_data(|data| data.query_row("SELECT sum(receipts) FROM orders", [], |row| row.get(0)))?;
    println!("the shop's own database counts {receipts} receipts");
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    queue_examples::exit_code(run().await)
}
