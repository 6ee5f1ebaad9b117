//! The floor in memory: maps under one lock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use super::store::{Claim, Id, KINDS, LEASE, NewJob, QUEUE, Store, Token, WORKER};

/// Jobs in this process.
#[derive(Debug)]
pub(super) struct MemoryStore {
    tables: Mutex<Tables>,
    /// The start of the clock.
    start: Instant,
}

#[derive(Debug, Default)]
struct Tables {
    jobs: HashMap<Id, Job>,
    live: HashMap<Id, Live>,
    /// The ready jobs of each queue, in claim order.
    ready: HashMap<i64, BTreeSet<ClaimOrder>>,
    outcomes: HashMap<Id, Outcome>,
}

/// The position of a job in its queue: by priority, then by due time.
type ClaimOrder = (Reverse<i64>, i64, Id);

#[derive(Debug)]
struct Job {
    kind: i64,
    payload: Arc<str>,
}

#[derive(Debug, Default)]
struct Live {
    attempt: i64,
    lease: Option<Lease>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "a real store keeps it, even if the loop never reads it")]
struct Lease {
    token: Token,
    worker: i64,
    deadline: i64,
}

#[derive(Debug)]
#[expect(dead_code, reason = "a real store keeps it, even if the loop never reads it")]
struct Outcome {
    finished_at: i64,
    attempt: i64,
    token: Token,
}

impl MemoryStore {
    /// An empty store.
    pub(super) fn new() -> Self {
        Self { tables: Mutex::default(), start: Instant::now() }
    }

    /// Microseconds.
    fn now(&self) -> Result<i64> {
        Ok(i64::try_from(self.start.elapsed().as_micros())?)
    }
}

impl Store for MemoryStore {
    type Key = Id;

    fn insert(&mut self, jobs: &[NewJob]) -> Result<()> {
        let now = self.now()?;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for NewJob { id, payload } in jobs {
            tables.jobs.insert(*id, Job { kind: KINDS[0], payload: Arc::clone(payload) });
            tables.live.insert(*id, Live::default());
            tables.ready.entry(QUEUE).or_default().insert((Reverse(0), now, *id));
        }
        Ok(())
    }

    fn turn(&mut self, done: &Claim<Id>, limit: usize) -> Result<Claim<Id>> {
        let now = self.now()?;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.settle(done, now)?;
        tables.claim(limit, now)
    }

    fn outcomes(&self) -> Result<usize> {
        Ok(self.tables.lock().unwrap_or_else(PoisonError::into_inner).outcomes.len())
    }

    fn settings(&self) -> Map<String, Value> {
        Map::from_iter([("durability".to_owned(), Value::from("none"))])
    }
}

impl Tables {
    fn settle(&mut self, done: &Claim<Id>, finished_at: i64) -> Result<()> {
        for id in &done.keys {
            let holds = |live: &&mut Live| live.lease.as_ref().is_some_and(|lease| lease.token == done.token);
            let attempt = self.live.get_mut(id).filter(holds).map(|live| live.attempt);
            let attempt = attempt.context("the floor lost a lease")?;
            self.live.remove(id);
            self.outcomes.insert(*id, Outcome { finished_at, attempt, token: done.token });
        }
        Ok(())
    }

    fn claim(&mut self, limit: usize, now: i64) -> Result<Claim<Id>> {
        let mut claim = Claim::fenced(limit);
        let Some(ready) = self.ready.get_mut(&QUEUE) else { return Ok(claim) };
        let handled =
            |place: &&ClaimOrder| self.jobs.get(&place.2).is_some_and(|job| KINDS.contains(&job.kind));
        let taken: Vec<ClaimOrder> = ready.iter().filter(handled).take(limit).copied().collect();
        for place in taken {
            ready.remove(&place);
            let id = place.2;
            let live = self.live.get_mut(&id).context("the floor found a ready job without a live row")?;
            ensure!(live.lease.is_none(), "the floor claimed a job twice");
            live.attempt += 1;
            live.lease = Some(Lease { token: claim.token, worker: WORKER, deadline: now + LEASE });
            claim.payload_bytes += self.jobs.get(&id).map_or(0, |job| job.payload.len());
            claim.keys.push(id);
        }
        Ok(claim)
    }
}
