//! The interface that programs use: requests, handler functions, workers, and what they log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod handlers;
mod log;
mod requests;
mod results;
mod retries;
mod tasks;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use queue_core::{JobId, JobQueue, JobRecord, MemoryBackend};

/// A timeout that is reached only if the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn queue() -> JobQueue {
    JobQueue::new(Arc::new(MemoryBackend::new()))
}

async fn record(jobs: &JobQueue, id: JobId) -> JobRecord {
    jobs.inspect().unwrap().jobs(&[id]).await.unwrap().remove(0).unwrap()
}

/// Waits until the job has the wanted record.
async fn wait_for(jobs: &JobQueue, id: JobId, wanted: impl Fn(&JobRecord) -> bool) -> JobRecord {
    let wait = async {
        loop {
            let record = record(jobs, id).await;
            if wanted(&record) {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap()
}
