//! One open handle on the storage, with short methods for the operations.

mod claiming;
mod jobs;
mod schedules;
mod upkeep;
mod verdicts;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use queue_core::{Backend, ClaimId, JobId, Kind, QueueName, Timestamp, WorkerId};

use super::clock::Clock;
use super::history::History;
use super::spec::Spec;

pub(crate) use claiming::Inserted;
pub(crate) use schedules::schedules;
pub(crate) use verdicts::{bury, cancelled, complete, complete_then, complete_with, release, retry, snooze};

/// Time after its last heartbeat at which a worker of the kit is lost.
pub(crate) const EXPIRY: Duration = Duration::from_secs(15);
/// Time between the job's timeout and the deadline of its lease, in claims of the kit.
pub(crate) const GRACE: Duration = Duration::from_secs(30);
/// The smallest step of the clock.
pub(crate) const TICK: Duration = Duration::from_micros(1);

/// The state that all handles of a case share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) history: Arc<History>,
    names: AtomicU64,
    known: Mutex<Known>,
}

/// The kinds and claims that the case has used, so that cases need not repeat them.
#[derive(Debug, Default)]
struct Known {
    kinds: BTreeSet<Kind>,
    claimers: BTreeMap<ClaimId, WorkerId>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            clock: Clock::new(),
            history: Arc::default(),
            names: AtomicU64::new(1),
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an unused number. Numbers are counted, so that ids are the same in each run.
    fn next_name(&self) -> u64 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }
}

/// One handle. All its requests carry the time of the case's clock.
#[derive(Debug)]
pub(crate) struct Session {
    backend: Mutex<Option<Arc<dyn Backend>>>,
    pub(super) shared: Arc<Shared>,
}

impl Session {
    pub(crate) fn new(backend: Arc<dyn Backend>, shared: Arc<Shared>) -> Self {
        Self { backend: Mutex::new(Some(backend)), shared }
    }

    /// The backend, for operations without a method here.
    pub(crate) fn backend(&self) -> anyhow::Result<Arc<dyn Backend>> {
        self.slot().clone().context("the case uses a handle that it closed")
    }

    /// Replaces the handle and returns the previous one.
    pub(crate) fn replace(&self, backend: Option<Arc<dyn Backend>>) -> Option<Arc<dyn Backend>> {
        std::mem::replace(&mut *self.slot(), backend)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<dyn Backend>>> {
        self.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operations of all handles on this storage.
    pub(crate) fn history(&self) -> &Arc<History> {
        &self.shared.history
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Advances the clock and returns the new time.
    pub(crate) fn advance(&self, by: Duration) -> Timestamp {
        self.shared.clock.advance(by)
    }

    /// Sets the clock, forward or backward.
    pub(crate) fn set_clock(&self, time: Timestamp) {
        self.shared.clock.set(time);
    }

    /// Creates a job of this kind. Its id carries the present time and is greater than all before.
    pub(crate) fn spec(&self, kind: &'static str) -> Spec {
        Spec::new(self.id_at(self.now()), kind)
    }

    /// Returns a new id that carries this time.
    pub(crate) fn id_at(&self, time: Timestamp) -> JobId {
        let mut bytes = JobId::least_at(time).to_bytes();
        bytes[8..].copy_from_slice(&self.shared.next_name().to_be_bytes());
        JobId::from_bytes(bytes)
    }

    /// Returns a number that the case has not used.
    pub(crate) fn new_number(&self) -> u64 {
        self.shared.next_name()
    }

    pub(crate) fn new_claim_id(&self) -> ClaimId {
        let mut bytes = [0xc1; 16];
        bytes[8..].copy_from_slice(&self.shared.next_name().to_be_bytes());
        ClaimId::from_bytes(bytes)
    }

    pub(crate) fn new_worker_id(&self) -> WorkerId {
        let mut bytes = [0x3f; 16];
        bytes[8..].copy_from_slice(&self.shared.next_name().to_be_bytes());
        WorkerId::from_bytes(bytes)
    }

    /// Adds a kind to the kinds of later claims.
    pub(crate) fn knows_kind(&self, kind: &Kind) {
        self.shared.known().kinds.insert(kind.clone());
    }

    /// All kinds that the case has inserted.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.shared.known().kinds.iter().cloned().collect()
    }
}

/// The queue of this name.
pub(crate) fn queue(name: &str) -> queue_core::Result<QueueName> {
    QueueName::new(name)
}
