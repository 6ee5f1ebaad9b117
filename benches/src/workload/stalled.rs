//! Measures the loss of two databases of a worker when the connection to a third one stalls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use queue::postgres::tokio_postgres::Config;
use queue::postgres::tokio_postgres::config::Host;
use queue::postgres::{PostgresBackend, PostgresConfig};
use queue::sqlite::{SqliteBackend, SqliteConfig};
use queue::{Backend, JobQueue, QueueName, TaskDefinition, Worker};
use queue_testkit::proxy::{Proxy, Traffic};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Measured;
use super::parcel::{Parcel, task};
use crate::cli::BackendName;
use crate::floor::Floor;
use crate::plan::Plan;
use crate::postgres::Schema;
use crate::progress;
use crate::samples::{median, rate};

/// Rounds with and without a stalled connection; the medians count.
const ROUNDS: usize = 7;
/// Databases that keep working.
const FILES: usize = 2;
/// Jobs in the database that stalls: enough that it stalls during work.
const BACKLOG: usize = 5000;
/// Timeout of each wait.
const LOST: Duration = Duration::from_secs(60);

/// The state of the third connection after its database is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Third {
    Continues,
    Stalls,
}

/// The rates of the two databases while the third one is idle and while it stalls.
pub(super) fn measure(plan: &Plan) -> Result<(Floor, Measured)> {
    ensure!(plan.backend == BackendName::Postgres, "only a connection can stall: use --backend postgres");
    let bar = progress::bar("two files beside a third database", ROUNDS * 2)?;
    let runtime = Runtime::new()?;
    let round = |third| {
        let schema = Schema::named(plan.server()?.url());
        let rate = runtime.block_on(round(plan, &schema, third));
        bar.inc(1);
        rate
    };
    let (mut free, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        free.push(round(Third::Continues)?);
        beside.push(round(Third::Stalls)?);
    }
    bar.finish_and_clear();
    let settings = Map::from_iter([("rounds".to_owned(), Value::from(ROUNDS))]);
    let floor = Floor { value: median(free), settings };
    Ok((floor, Measured::new(median(beside)).setting("files", FILES).setting("stalled_jobs", BACKLOG)))
}

/// Jobs of the files started per second, from the resume of their queues.
async fn round(plan: &Plan, schema: &Schema, third: Third) -> Result<f64> {
    let (proxy, far) = behind_a_proxy(schema).await?;
    let folder = plan.scratch()?;
    let jobs = plan.jobs / FILES;

    let far_starts = Starts::of(if third == Third::Stalls { 1 } else { BACKLOG });
    let mut worker = Worker::new(&filled(plan, &far, BACKLOG, &far_starts).await?);
    let near_starts = Starts::of(jobs * FILES);
    let mut files = Vec::new();
    for number in 0..FILES {
        let config = SqliteConfig::new(folder.path().join(format!("{number}.db")));
        let backend: Arc<dyn Backend> = Arc::new(SqliteBackend::open(config).await?);
        // Paused until the measurement begins.
        manage(&*backend)?.pause(&QueueName::default()).await?;
        worker = worker.serve(&filled(plan, &backend, jobs, &near_starts).await?);
        files.push(backend);
    }
    let worker = worker.start()?;
    far_starts.all().await.context("the third database was never served")?;
    if third == Third::Stalls {
        proxy.set(Traffic::Stall);
    }

    let start = Instant::now();
    for file in &files {
        manage(&**file)?.resume(&QueueName::default()).await?;
    }
    near_starts.all().await.context("the files were not served to their end")?;
    let took = start.elapsed();
    proxy.set(Traffic::Pass);
    worker.shutdown(LOST).await;
    Ok(rate(jobs * FILES, took))
}

/// A handle on the schema whose connections can be stalled.
async fn behind_a_proxy(schema: &Schema) -> Result<(Proxy, Arc<dyn Backend>)> {
    let given: Config = schema.server().parse().context("the server's URL cannot be read")?;
    let host = match given.get_hosts() {
        [Host::Tcp(host)] => host.clone(),
        _ => bail!("a connection that stalls needs a server with one host name"),
    };
    let port = given.get_ports().first().copied().unwrap_or(5432);
    let proxy = Proxy::start((host, port)).await?;
    let mut config = Config::new();
    config.host(proxy.address().ip().to_string()).port(proxy.address().port());
    if let Some(user) = given.get_user() {
        config.user(user);
    }
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(name) = given.get_dbname() {
        config.dbname(name);
    }
    let backend = PostgresBackend::open(PostgresConfig::new(config).schema(&schema.name)?).await?;
    Ok((proxy, Arc::new(backend)))
}

fn manage(backend: &dyn Backend) -> Result<&dyn queue::backend::Manage> {
    backend.extensions().manage.context("the backend cannot pause")
}

/// A queue with this number of jobs. Their handler counts its starts.
async fn filled(plan: &Plan, backend: &Arc<dyn Backend>, jobs: usize, starts: &Starts) -> Result<JobQueue> {
    let mut queue = JobQueue::new(Arc::clone(backend));
    let handle = counting(starts).register(&mut queue)?;
    let parcels: Vec<Parcel> = (0..jobs).map(|number| Parcel::new(number, plan.payload_bytes)).collect();
    for batch in parcels.chunks(1000) {
        handle.enqueue_batch(batch).await?;
    }
    Ok(queue)
}

fn counting(starts: &Starts) -> TaskDefinition<Parcel> {
    let starts = starts.clone();
    task(move |_, _| {
        starts.count();
        async { Ok(()) }
    })
}

/// Counts starts up to a number.
#[derive(Debug, Clone)]
struct Starts(Arc<(AtomicUsize, usize, Notify)>);

impl Starts {
    fn of(enough: usize) -> Self {
        Self(Arc::new((AtomicUsize::new(0), enough, Notify::new())))
    }

    fn count(&self) {
        let (seen, enough, reached) = &*self.0;
        if seen.fetch_add(1, Ordering::Relaxed) + 1 == *enough {
            reached.notify_one();
        }
    }

    /// Waits until the number is reached.
    async fn all(&self) -> Result<()> {
        let (_, enough, reached) = &*self.0;
        timeout(LOST, reached.notified()).await.with_context(|| format!("{enough} jobs did not start"))
    }
}
