//! Tests that `hash_folder` resumes after a kill and counts each file once.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::Program;
use queue::backend::{JobRecord, ListRequest};
use queue::{JobState, Timestamp};
use serde::Deserialize;

const FILES: usize = 400;
const DEMONSTRATIONS: usize = 3;

/// Enough time to kill the program: with 4 slots, 3 s in all.
const DELAY: Duration = Duration::from_millis(30);

/// The expiry of a worker of `hash_folder` without a heartbeat.
const EXPIRY: Duration = Duration::from_secs(1);
/// Timeout of the test.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct File {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Measured {
    bytes: u64,
    lines: u64,
    start: Start,
}

#[derive(Deserialize)]
struct Start {
    at_micros: i64,
}

fn write_files(folder: &Path) -> (u64, u64) {
    let (mut bytes, mut lines) = (0, 0);
    for number in 0..FILES {
        let text = "a line of text\n".repeat(number % 7) + "the end";
        bytes += text.len() as u64;
        lines += (number % 7 + 1) as u64;
        std::fs::write(folder.join(format!("{number}.txt")), text).unwrap();
    }
    (bytes, lines)
}

fn hash_folder(folder: &Path, database: &Path, delay: Duration) -> Program {
    let (folder, database) = (folder.to_str().unwrap(), database.to_str().unwrap());
    let delay = delay.as_millis().to_string();
    Program::start("hash_folder", &[folder, "--database", database, "--delay", &delay])
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_hash_folder_resumes_and_counts_each_file_once() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, database) = (temporary.path().join("files"), temporary.path().join("jobs.db"));
    std::fs::create_dir(&folder).unwrap();
    let (bytes, lines) = write_files(&folder);

    let mut first = hash_folder(&folder, &database, DELAY);
    // Lines such as `progress: 100 of 403 jobs`.
    first.wait_for(|line| progress(line).is_some_and(|done| done >= FILES / 4));
    first.kill();

    let restarted = Timestamp::now();
    let (output, notes) = hash_folder(&folder, &database, DELAY).finish();
    let resumed = notes.lines().find(|line| line.starts_with("resumed")).expect(&notes);
    let done: usize = resumed.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((FILES / 4..FILES).contains(&done), "{resumed}");
    assert!(!notes.contains("enqueued"), "{notes}");
    let total = format!("{FILES} files, {:.2} kB, 1,597 lines; 0 failed", bytes as f64 / 1000.0);
    assert_eq!(lines, 1597);
    assert!(output.contains(&total), "{total}\n{output}");

    let records = all(&database).await;
    assert_each_file_once(&records, bytes, lines);
    assert_soon_again(&records, restarted);

    let (_, notes) = hash_folder(&folder, &database, Duration::ZERO).finish();
    assert!(notes.contains("the run before this one is complete; this is a new one"), "{notes}");
}

fn progress(line: &str) -> Option<usize> {
    line.strip_prefix("progress: ")?.split(' ').next()?.parse().ok()
}

async fn all(database: &Path) -> Vec<JobRecord> {
    let jobs = queue::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    jobs.inspect().unwrap().list(ListRequest::new(10_000)).await.unwrap()
}

fn measurements(records: &[JobRecord]) -> impl Iterator<Item = (&JobRecord, Measured)> {
    let of_files = records.iter().filter(|record| record.job.kind.as_str() == "measure-file");
    of_files.map(|record| (record, serde_json::from_slice(record.result.as_ref().unwrap()).unwrap()))
}

fn assert_each_file_once(records: &[JobRecord], bytes: u64, lines: u64) {
    assert_eq!(records.len(), FILES + DEMONSTRATIONS);
    assert!(records.iter().all(|record| record.state == JobState::Completed));
    let path = |record: &JobRecord| record.job.payload.decode::<File>().unwrap().path;
    let paths: HashSet<PathBuf> = measurements(records).map(|(record, _)| path(record)).collect();
    assert_eq!(paths.len(), FILES);
    assert_eq!(measurements(records).map(|(_, measured)| measured.bytes).sum::<u64>(), bytes);
    assert_eq!(measurements(records).map(|(_, measured)| measured.lines).sum::<u64>(), lines);
}

/// Checks that interrupted jobs ran again after the worker expired, and that the attempt was
/// counted.
fn assert_soon_again(records: &[JobRecord], restarted: Timestamp) {
    let again: Vec<_> = measurements(records).filter(|(record, _)| !record.errors.is_empty()).collect();
    let by_attempt = again.iter().fold(HashMap::<u32, usize>::new(), |mut many, (record, _)| {
        *many.entry(record.attempt).or_default() += 1;
        many
    });
    assert!(!again.is_empty(), "nothing was running when the program was killed");
    assert_eq!(by_attempt, HashMap::from([(2, again.len())]));
    for (record, measured) in again {
        let wait = restarted.until(Timestamp::from_micros(measured.start.at_micros).unwrap());
        assert!(wait <= EXPIRY + PATIENCE, "{}: {wait:?}", record.job.id);
    }
}

#[test]
fn invalid_input_prints_one_clear_line() {
    let temporary = tempfile::tempdir().unwrap();
    let empty = temporary.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let database = temporary.path().join("jobs.db");
    let nowhere = temporary.path().join("no/such/folder/jobs.db");
    let no_database = temporary.path().join("no-database.txt");
    std::fs::write(&no_database, "this is text, and rather more of it than fits into a header ".repeat(20))
        .unwrap();
    for (folder, database, error) in [
        (temporary.path().join("missing"), &database, "error: failed to open the folder `"),
        (no_database.clone(), &database, "it is not a folder"),
        (empty, &database, "error: failed to find work: there is no file in `"),
        (temporary.path().to_owned(), &nowhere, "no/such/folder/jobs.db`: "),
        (temporary.path().to_owned(), &no_database, "the file is not an SQLite database"),
    ] {
        let (code, notes) = hash_folder(&folder, database, Duration::ZERO).fail();
        let last = notes.lines().last().unwrap();
        assert_eq!(code, 1, "{notes}");
        assert!(last.starts_with("error: failed to ") && last.contains(error), "{notes}");
    }
}
