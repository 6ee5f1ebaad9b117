//! Tests Q22 on files with overwritten pages. If SQLite notices the damage, the error is `Corrupt`.
//! Nothing panics or hangs, and no job is returned that was not stored.

use std::collections::BTreeMap;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use queue_core::backend::{Completion, ListRequest, SettleRequest, Settlement, Verdict};
use queue_core::{Backend, Error, ErrorKind, JobId, JobSpec};
use queue_sqlite::SqliteBackend;

use crate::common::{TestFolder, claim, insert, spec};

const PAGE: u64 = 4096;

/// Bytes that are not a page: neither all equal nor a pattern.
fn rubbish(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    (0..PAGE).map(|_| next()).collect()
}

fn overwrite(file: &Path, page: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(page * PAGE)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Creates a file with jobs in every state and closes it. Returns the jobs by id.
async fn filled(folder: &TestFolder) -> BTreeMap<JobId, JobSpec> {
    let backend = folder.open().await;
    let specs: Vec<JobSpec> = (0..400).map(|number| spec(&format!("{{\"number\":{number}}}"))).collect();
    insert(&backend, specs.clone()).await.unwrap();
    let worker = crate::common::register(&backend).await;
    let held = backend.claim(claim(worker, 150)).await.unwrap().jobs;
    let end = |job: &queue_core::backend::ClaimedJob| {
        Settlement::new(job.token, Verdict::Complete(Completion::new().result(b"\"done\"".to_vec())))
    };
    let request = SettleRequest::new(worker, held.iter().take(100).map(end).collect());
    backend.settle(request).await.unwrap();
    specs.into_iter().map(|spec| (spec.id, spec)).collect()
}

/// Counts the replies without and with an error.
#[derive(Debug, Default)]
struct Met {
    corrupt: usize,
    fine: usize,
}

impl Met {
    fn note<T>(&mut self, what: &str, page: u64, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.fine += 1;
                Some(answer)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "page {page}, {what}: {error:?}");
                assert!(!error.is_retryable());
                self.corrupt += 1;
                None
            }
        }
    }
}

/// Runs every operation on a file with the damaged page `page`.
async fn try_everything(folder: &TestFolder, page: u64, known: &BTreeMap<JobId, JobSpec>, met: &mut Met) {
    let Some(backend) = met.note("open", page, SqliteBackend::open(folder.config()).await) else { return };
    let worker = queue_core::WorkerId::generate();
    let register =
        queue_core::backend::RegisterRequest::new(worker, "test", std::time::Duration::from_secs(60));
    let registered = met.note("register", page, backend.register(register).await);
    if registered.is_some()
        && let Some(reply) = met.note("claim", page, backend.claim(claim(worker, 50)).await)
    {
        for job in &reply.jobs {
            let stored = known.get(&job.token.job).map(|spec| &spec.payload);
            assert_eq!(stored, Some(&job.payload), "page {page}");
        }
        let ends = reply.jobs.iter().map(|job| Settlement::new(job.token, Verdict::Release)).collect();
        if let Some(answers) =
            met.note("settle", page, backend.settle(SettleRequest::new(worker, ends)).await)
        {
            for answer in answers {
                met.note("settle one", page, answer);
            }
        }
    }
    let (inspect, audit) = (backend.extensions().inspect.unwrap(), backend.extensions().audit.unwrap());
    if let Some(records) = met.note("list", page, inspect.list(ListRequest::new(1000)).await) {
        for record in records {
            assert_eq!(
                known.get(&record.job.id).map(|spec| &spec.payload),
                Some(&record.job.payload),
                "page {page}"
            );
        }
    }
    met.note("read", page, inspect.jobs(&known.keys().copied().collect::<Vec<_>>()).await);
    met.note("audit", page, audit.stored().await);
    met.note("insert", page, insert(&backend, vec![spec("1")]).await);
    let prune = queue_core::backend::MaintainRequest::rescue(1000);
    met.note("maintain", page, backend.maintain(prune).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwritten_page_gives_error_or_correct_reply() {
    let folder = TestFolder::new();
    let known = filled(&folder).await;
    let sound = std::fs::read(folder.file()).unwrap();
    let pages = sound.len() as u64 / PAGE;
    let mut met = Met::default();
    for page in 1..pages {
        for suffix in ["db-wal", "db-shm"] {
            std::fs::remove_file(folder.file().with_extension(suffix)).ok();
        }
        std::fs::write(folder.file(), &sound).unwrap();
        overwrite(&folder.file(), page, &rubbish(page));
        try_everything(&folder, page, &known, &mut met).await;
    }
    assert!(
        met.corrupt > usize::try_from(pages).unwrap(),
        "hardly any damage was met: {met:?} of {pages} pages"
    );
    assert!(met.fine > met.corrupt, "most requests succeed: {met:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_under_an_open_handle_is_corrupt() {
    let folder = TestFolder::new();
    let known = filled(&folder).await;
    // Without a cache, each page is read from the file.
    let backend = SqliteBackend::open(folder.config().cache_bytes(0)).await.unwrap();
    let pages = std::fs::metadata(folder.file()).unwrap().len() / PAGE;
    for page in 1..pages {
        overwrite(&folder.file(), page, &rubbish(page));
    }
    let ids: Vec<JobId> = known.keys().copied().collect();
    let error = backend.extensions().inspect.unwrap().jobs(&ids).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    let error = backend.extensions().audit.unwrap().stored().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}
