//! The protocol of all floors, and their jobs.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Map, Value};
use ulid::{Generator, Overflow};

use crate::postgres::Wal;

/// A job id: the bytes of a ULID.
pub(super) type Id = [u8; 16];
/// The token of a claim: random bytes.
pub(super) type Token = [u8; 16];

/// The kinds of the claims; all jobs have the first.
pub(super) const KINDS: [i64; 3] = [7, 8, 9];
/// The queue of all jobs.
pub(super) const QUEUE: i64 = 1;
/// The only worker.
pub(super) const WORKER: i64 = 1;
/// The maximum number of retries of a job.
pub(super) const MAX_RETRIES: i64 = 3;
/// The duration of a lease in microseconds.
pub(super) const LEASE: i64 = 960_000_000;

/// A job to insert.
#[derive(Debug)]
pub(super) struct NewJob {
    pub(super) id: Id,
    /// Shared, because long payloads would otherwise fill the memory of this process.
    pub(super) payload: Arc<str>,
}

/// Claimed jobs and the token that settles them.
#[derive(Debug)]
pub(super) struct Claim<Key> {
    pub(super) token: Token,
    /// The keys of the jobs in the store.
    pub(super) keys: Vec<Key>,
    /// The total length of the payloads, as proof that they were read.
    pub(super) payload_bytes: usize,
}

impl<Key> Claim<Key> {
    /// An empty claim.
    pub(super) fn empty() -> Self {
        Self { token: [0; 16], keys: Vec::new(), payload_bytes: 0 }
    }

    /// A claim with a new token.
    pub(super) fn fenced(limit: usize) -> Self {
        let mut token = [0; 16];
        fastrand::fill(&mut token);
        Self { token, keys: Vec::with_capacity(limit), payload_bytes: 0 }
    }
}

/// A minimal store of jobs. Each method is one transaction, durable when it returns.
pub(super) trait Store: Send {
    /// The key of a claimed job.
    type Key;

    /// Inserts the jobs as ready.
    fn insert(&mut self, jobs: &[NewJob]) -> Result<()>;

    /// Settles `done` as completed and claims up to `limit` jobs.
    ///
    /// One transaction for both is as safe as two, because the claim of a settled job was committed
    /// before.
    fn turn(&mut self, done: &Claim<Self::Key>, limit: usize) -> Result<Claim<Self::Key>>;

    /// The number of jobs with an outcome.
    fn outcomes(&self) -> Result<usize>;

    /// Settings for the report.
    fn settings(&self) -> Map<String, Value>;

    /// The size of the log written since the store was created, if it can be measured.
    fn logged(&self) -> Result<Option<Wal>> {
        Ok(None)
    }
}

/// Creates jobs with ascending ids, as one process would.
pub(super) fn jobs(many: usize, payload_bytes: usize) -> Vec<NewJob> {
    let mut generator = Generator::new();
    let payload: Arc<str> = format!("\"{}\"", "x".repeat(payload_bytes.saturating_sub(2))).into();
    (0..many)
        .map(|_| {
            let id = generator.generate().unwrap_or_else(Overflow::commit_overflow_increment);
            NewJob { id: id.to_bytes(), payload: Arc::clone(&payload) }
        })
        .collect()
}
