//! Hashes the files of a folder, one background job per file, with the jobs in an SQLite file.
//!
//! ```sh
//! cargo run --release --example quickstart -- FOLDER
//! ```

#![expect(clippy::print_stdout, reason = "the example prints its hashes")]

use std::path::PathBuf;
use std::time::Duration;

use queue::{HandlerResult, JobHandle, JobId, Task, Worker};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

/// The payload of a job. It is stored as JSON.
#[derive(Serialize, Deserialize, Task)]
#[task(kind = "hash-file", max_retries = 3, backoff = "200ms..10s", timeout = "1m")]
struct HashFile {
    path: PathBuf,
}

/// Runs once per job. An error is a failed attempt, which is retried after a delay.
async fn hash_file(job: HashFile) -> HandlerResult {
    let content = tokio::fs::read(&job.path).await?;
    let hash = Sha256::digest(&content);
    println!("{}  {}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), job.path.display());
    Ok(())
}

#[tokio::main]
async fn main() -> queue_examples::Result {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or(".".to_owned())).canonicalize()?;
    let database = std::env::temp_dir().join("queue-quickstart.db");
    let jobs = queue::connect(&database.to_string_lossy()).await?;

    let mut files = Vec::new();
    let is_of_tools = |entry: &DirEntry| entry.file_name() == "target" || entry.file_name() == ".git";
    for entry in WalkDir::new(folder).into_iter().filter_entry(|entry| !is_of_tools(entry)) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(HashFile { path: entry.into_path() });
        }
    }
    let enqueued = jobs.enqueue_batch(files).await?; // all files become jobs, or none

    let worker = Worker::new(&jobs).handle(hash_file).slots(4).start()?;
    let ids: Vec<JobId> = enqueued.iter().map(JobHandle::id).collect();
    while jobs.inspect()?.jobs(&ids).await?.iter().flatten().any(|job| !job.state.is_finished()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.shutdown(Duration::from_secs(30)).await;
    println!("{} files; their jobs are in {}", ids.len(), database.display());
    Ok(())
}
