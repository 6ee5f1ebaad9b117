//! Tests that the suite cannot make: a disk failure, and requests that share a transaction.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use queue_core::backend::{Audit as _, Backend as _, InsertRequest};
use queue_core::{
    Enqueuer as _, Error, ErrorKind, JobId, JobQueue, JobSpec, Kind, NewJob, Payload, QueueName, Timestamp,
};
use redb::{Database, StorageBackend};

use super::RedbBackend;
use crate::rows::Live;

/// A disk in memory that fails while `fails` is set, like a full or removed disk. `fails_once`
/// makes one operation fail.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    fails: Arc<AtomicBool>,
    fails_once: Arc<AtomicBool>,
}

impl Disk {
    async fn open(&self) -> RedbBackend {
        let disk = self.clone();
        let open = move || Database::builder().create_with_backend(disk.clone());
        RedbBackend::open_with(open).await.unwrap()
    }

    fn works(&self) -> io::Result<()> {
        let fails = self.fails.load(Ordering::SeqCst) || self.fails_once.swap(false, Ordering::SeqCst);
        if fails { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock().unwrap()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.works()?;
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.works()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.works()?;
        let start = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn spec() -> JobSpec {
    JobSpec::new(JobId::generate(), Kind::new("job").unwrap(), Payload::json("{}").unwrap())
        .max_retries(0)
        .priority(0)
        .timeout(std::time::Duration::from_secs(1))
        .queue(QueueName::default())
}

async fn insert(backend: &RedbBackend, spec: &JobSpec) -> Result<bool, Error> {
    let mut reply = backend.insert(InsertRequest::new(vec![vec![spec.clone()]])).await?;
    Ok(reply.batches.remove(0)?[0].is_new())
}

#[tokio::test]
async fn handle_works_after_a_disk_failure() {
    let disk = Disk::default();
    let backend = disk.open().await;
    let (before, during) = (spec(), spec());
    assert!(insert(&backend, &before).await.unwrap());

    disk.fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = insert(&backend, &during).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    disk.fails.store(false, Ordering::SeqCst);

    // The first tries may have stored the job, but it must be stored once.
    insert(&backend, &during).await.unwrap();
    assert!(!insert(&backend, &before).await.unwrap(), "an acknowledged job is still stored");
    assert_eq!(backend.stored().await.unwrap().jobs, [before.id, during.id]);
}

#[tokio::test]
async fn failed_commit_has_an_unknown_outcome() {
    let disk = Disk::default();
    let client = JobQueue::new(Arc::new(disk.open().await));
    disk.fails.store(true, Ordering::SeqCst);
    let job = NewJob::new(Kind::new("job").unwrap(), Payload::json("{}").unwrap()).id(JobId::generate());
    let error = client.submit(vec![job]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "{error:?}");
    assert_eq!(error.jobs().len(), 1, "the queue adds the ids");
}

#[tokio::test]
async fn commit_that_left_nothing_is_refused_not_unknown() {
    let disk = Disk::default();
    let backend = disk.open().await;
    let job = spec();
    disk.fails_once.store(true, Ordering::SeqCst);
    let error = insert(&backend, &job).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(insert(&backend, &job).await.unwrap(), "the first try stored nothing");
}

#[tokio::test]
async fn failed_request_does_not_fail_its_group() {
    let backend = Disk::default().open().await;
    let (good, bad) = (spec(), spec());
    let now = Timestamp::now();
    // The first request blocks the thread, so that the next two share a transaction.
    let (release, wait) = mpsc::channel::<()>();
    let blocks = backend.writer.write(move |_| Ok(wait.recv().is_err()));
    let spoils = backend.writer.write(move |tables| {
        tables.add_job(&bad, now)?;
        tables.add_live(bad.id, &Live::new(&bad, now))?;
        Err::<(), _>(Error::new(ErrorKind::Corrupt, "do it", "only a part is done"))
    });
    let releases = async move { drop(release) };
    let (_, inserted, spoilt, _) = tokio::join!(blocks, insert(&backend, &good), spoils, releases);
    assert!(inserted.unwrap());
    assert_eq!(spoilt.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(backend.stored().await.unwrap().jobs, [good.id], "the failed request left no rows");
}

#[tokio::test]
async fn open_or_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs.redb");
    let first = RedbBackend::open(&file).await.unwrap();
    assert_eq!(RedbBackend::open(&file).await.unwrap_err().kind(), ErrorKind::Busy);
    drop(first);
    RedbBackend::open(&file).await.unwrap();

    let text = folder.path().join("text");
    std::fs::write(&text, "x".repeat(10_000)).unwrap();
    assert_eq!(RedbBackend::open(&text).await.unwrap_err().kind(), ErrorKind::Corrupt);
}
