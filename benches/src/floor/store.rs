//! The protocol that every floor keeps, and the jobs that it is kept with.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Map, Value};
use ulid::{Generator, Overflow};

use crate::postgres::Wal;

/// The name of a job: the bytes of a ULID.
pub(super) type Id = [u8; 16];
/// The fence of a claim: random bytes that no other claim has.
pub(super) type Token = [u8; 16];

/// The kinds that the loop subscribes to; all jobs are of the first.
pub(super) const KINDS: [i64; 3] = [7, 8, 9];
/// The queue of all jobs.
pub(super) const QUEUE: i64 = 1;
/// The one worker.
pub(super) const WORKER: i64 = 1;
/// How often a job would be tried again.
pub(super) const MAX_RETRIES: i64 = 3;
/// How long a lease lasts, in microseconds.
pub(super) const LEASE: i64 = 960_000_000;

/// A job to be stored.
#[derive(Debug)]
pub(super) struct NewJob {
    pub(super) id: Id,
    /// Shared, because a loop over long payloads should fill the store and not this process.
    pub(super) payload: Arc<str>,
}

/// Jobs taken together, and the fence to settle them by.
#[derive(Debug)]
pub(super) struct Claim<Key> {
    pub(super) token: Token,
    /// By what the store finds each job again.
    pub(super) keys: Vec<Key>,
    /// The length of all payloads: proof that they were read.
    pub(super) payload_bytes: usize,
}

impl<Key> Claim<Key> {
    /// A claim of nothing yet.
    pub(super) fn of_none() -> Self {
        Self { token: [0; 16], keys: Vec::new(), payload_bytes: 0 }
    }

    /// A claim with a fence of its own.
    pub(super) fn fenced(limit: usize) -> Self {
        let mut token = [0; 16];
        fastrand::fill(&mut token);
        Self { token, keys: Vec::with_capacity(limit), payload_bytes: 0 }
    }
}

/// A place for jobs, seen as barely as possible. Each method is one transaction, durable when it returns.
pub(super) trait Store: Send {
    /// By what a claimed job is found again.
    type Key;

    /// Stores the jobs, ready to run.
    fn insert(&mut self, jobs: &[NewJob]) -> Result<()>;

    /// Settles `done` as completed and claims up to `limit` jobs.
    ///
    /// One transaction for both is as safe as two: no job is settled before its own claim was committed.
    fn turn(&mut self, done: &Claim<Self::Key>, limit: usize) -> Result<Claim<Self::Key>>;

    /// How many jobs have an outcome.
    fn outcomes(&self) -> Result<usize>;

    /// What belongs to the figures of this store.
    fn settings(&self) -> Map<String, Value>;

    /// How much was logged since the store was made, where that can be told.
    fn logged(&self) -> Result<Option<Wal>> {
        Ok(None)
    }
}

/// Jobs with ascending ids, as a process would make them.
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
