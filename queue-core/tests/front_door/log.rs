//! What a worker logs about its jobs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use queue_core::runtime::WorkerSettings;
use queue_core::{
    CancellationToken, EnqueuerExt as _, HandlerResult, JobContext, JobError, JobId, JobQueue, JobState,
    Payload, Queue as _, QueueName, TaskOptions, Worker,
};

use tokio::sync::Notify;

use crate::tasks::Charge;
use crate::{PATIENCE, queue, wait_for};

/// All lines of this process, so that a test looks for those about its own job.
#[derive(Clone, Default)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    written: Arc<Notify>,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.text.lock().unwrap().write(bytes);
        self.written.notify_waiters();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> &'static Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let format = tracing_subscriber::fmt().with_ansi(false).without_time();
            format.with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).init();
            log
        })
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let all = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        all.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().into_iter()
    }

    /// Waits for a line.
    async fn wait_for(&self, is_wanted: impl Fn(&str) -> bool) {
        let wait = async {
            loop {
                let written = self.written.notified();
                if self.lines().any(|line| is_wanted(&line)) {
                    return;
                }
                written.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    /// The lines about a job.
    fn of(&self, id: JobId) -> Vec<String> {
        let id = format!("id={id} ");
        self.lines().filter(|line| line.contains(&id)).collect()
    }
}

/// Runs one job until it has the state. Returns its lines.
async fn logged(
    jobs: &JobQueue,
    worker: Worker,
    job: queue_core::Enqueue<Charge>,
    state: JobState,
) -> Vec<String> {
    let log = Log::start();
    let worker = worker.start().unwrap();
    let id = job.await.unwrap().id();
    wait_for(jobs, id, |job| job.state == state).await;
    worker.shutdown(PATIENCE).await;
    log.of(id)
}

fn assert_line(lines: &[String], level: &str, end: &str) {
    let found = lines.iter().any(|line| line.starts_with(level) && line.ends_with(end));
    assert!(found, "no {level} line ends with {end:?}:\n{}", lines.join("\n"));
}

#[tokio::test]
async fn span_names_the_job_and_debug_lines_its_start_and_end() {
    async fn charge(job: Charge) -> HandlerResult {
        tracing::info!(job.order, "charged");
        Ok(())
    }
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 7 });
    let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Completed).await;
    assert_line(&lines, "DEBUG", "started");
    assert_line(&lines, "INFO", "charged job.order=7");
    assert_line(&lines, "DEBUG", "completed");
    assert!(lines[0].contains("kind=charge queue=billing attempt=1"), "{}", lines[0]);
}

#[tokio::test]
async fn failed_attempt_warns_with_what_happens_next() {
    async fn charge(_: Charge) -> HandlerResult {
        Err(JobError::retry_after(Duration::from_secs(30), "the bank is away"))
    }
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 7 });
    let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Retrying).await;
    assert_line(&lines, "WARN", "attempt 1 of 5 failed, next in 30s: the bank is away");
}

#[tokio::test]
async fn last_attempt_and_bury_are_errors() {
    async fn charge(job: Charge) -> HandlerResult {
        let error = "the bank is away";
        Err(if job.order == 7 { JobError::bury(error) } else { JobError::retry(error) })
    }
    let jobs = queue();
    for (order, of) in [(7, 5), (8, 1)] {
        let job = jobs.enqueue(Charge { order }).max_retries(of - 1);
        let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Dead).await;
        assert_line(&lines, "ERROR", &format!("attempt 1 of {of} failed, the job is dead: the bank is away"));
    }
}

#[tokio::test]
async fn panic_and_timeout_are_errors() {
    async fn charge(job: Charge, stop: CancellationToken) -> HandlerResult {
        if job.order == 7 {
            panic!("no such order");
        }
        stop.cancelled().await;
        std::future::pending().await
    }
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 7 });
    let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Retrying).await;
    let line = lines.iter().find(|line| line.starts_with("ERROR")).unwrap();
    assert!(line.contains("attempt 1 of 5 failed, next in ") && line.ends_with(": no such order"), "{line}");
    assert!(line.contains(concat!(": panicked at ", file!(), ":")), "{line}");

    let job = jobs.enqueue(Charge { order: 8 }).timeout(Duration::from_millis(5));
    let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Retrying).await;
    let line = lines.iter().find(|line| line.starts_with("ERROR")).unwrap();
    assert!(line.ends_with("timed out after 5ms"), "{line}");
}

#[tokio::test]
async fn payload_is_not_logged() {
    async fn charge(job: Charge) -> HandlerResult {
        Err(JobError::cancel(format!("order {}", job.order)))
    }
    let jobs = queue();
    let job = jobs.enqueue(Charge { order: 123_456 });
    let lines = logged(&jobs, Worker::new(&jobs).handle(charge), job, JobState::Cancelled).await;
    assert_line(&lines, "INFO", "cancelled: order 123456");
    assert_eq!(lines.iter().filter(|line| line.contains("123456")).count(), 1);
}

#[tokio::test]
async fn payload_that_does_not_decode_is_not_logged() {
    async fn charge(_: Charge) -> HandlerResult {
        Ok(())
    }
    let jobs = queue();
    let log = Log::start();
    let id = jobs.enqueue_value("charge", &"a secret").await.unwrap();
    let mut raw = queue();
    let show = |_: JobContext, payload: Payload| async move {
        payload.decode::<u32>()?;
        HandlerResult::Ok(())
    };
    raw.handle("show", Arc::new(show), TaskOptions::new()).unwrap();
    let raw_id = raw.enqueue_value("show", &"a secret").await.unwrap();
    let settings = WorkerSettings::default().decode_retry_delay(Duration::ZERO);
    let worker = Worker::new(&jobs).handle(charge).queues([QueueName::default()]);
    let worker = worker.serve(&raw).settings(settings).start().unwrap();
    for (jobs, id) in [(&jobs, id), (&raw, raw_id)] {
        let dead = wait_for(jobs, id, |job| job.state == JobState::Dead).await;
        assert!(dead.attempt == 2 && dead.error.unwrap().contains("a secret"));
        let lines = log.of(id);
        assert_line(&lines, "WARN", "the payload does not decode; the record of the job has the error");
        assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
    }
    worker.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn kind_without_a_handler_is_named_once() {
    async fn charge(_: Charge) -> HandlerResult {
        Ok(())
    }
    let jobs = queue();
    let log = Log::start();
    let stray = jobs.enqueue_value("chrage", &7).await.unwrap();
    let settings = WorkerSettings::default().warn_unhandled_after(Duration::from_millis(1));
    let worker = Worker::new(&jobs).handle(charge).settings(settings).start().unwrap();
    let warnings = || -> Vec<String> {
        let of_this_job = format!("job={stray}");
        log.lines().filter(|line| line.starts_with("WARN") && line.contains(&of_this_job)).collect()
    };
    let wait = async {
        while warnings().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    worker.shutdown(PATIENCE).await;
    let [warning] = &warnings()[..] else { panic!("it is logged more than once") };
    assert!(warning.contains("no worker took the first job of this kind"), "{warning}");
    assert!(warning.contains("kind=chrage queue=default"), "{warning}");
}

/// The token of the job fires, but its future cannot be dropped while it blocks its thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_that_blocks_its_thread_is_reported_and_waited_for() {
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(blocked));
    let mut jobs = queue();
    let handler = move |_: JobContext, _: Payload| {
        let blocked = Arc::clone(&blocked);
        async move {
            blocked.lock().unwrap().recv().unwrap();
            HandlerResult::Err(JobError::retry("unblocked"))
        }
    };
    jobs.handle("block", Arc::new(handler), TaskOptions::new()).unwrap();
    let log = Log::start();
    let settings = WorkerSettings::default().cancellation_grace(Duration::from_millis(10));
    let worker = Worker::new(&jobs).settings(settings).start().unwrap();
    let id = jobs.enqueue_value("block", &()).await.unwrap();
    wait_for(&jobs, id, |job| job.state == JobState::Running).await;
    jobs.cancel(id).await.unwrap();
    let (level, job) = ("WARN", id.to_string());
    let is_report =
        |line: &str| line.starts_with(level) && line.contains(&job) && line.contains("blocks its thread");
    log.wait_for(is_report).await;
    unblock.send(()).unwrap();
    let job = wait_for(&jobs, id, |job| job.state.is_finished()).await;
    assert_eq!(job.state, JobState::Cancelled);
    worker.shutdown(PATIENCE).await;
}
