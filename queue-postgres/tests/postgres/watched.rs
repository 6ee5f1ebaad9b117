//! A backend whose errors are counted: a test of a fault must know that the fault was met.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use queue_core::backend::{
    Audit, CancelReply, CancelRequest, Capabilities, ClaimReply, ClaimRequest, ClaimedJob, HeartbeatReply,
    HeartbeatRequest, InsertRequest, Inspect, LeasesRequest, MaintainReply, MaintainRequest, RegisterRequest,
    RetireRequest, SettleRequest, Settled, WakeReceiver,
};
use queue_core::{Backend, Error, Result, Submitted};
use queue_postgres::PostgresBackend;

/// Each operation with how often it failed, and the last error.
type Failures = BTreeMap<&'static str, (usize, String)>;

#[derive(Debug)]
pub(crate) struct Watched {
    inner: PostgresBackend,
    failures: Mutex<Failures>,
}

impl Watched {
    pub(crate) fn new(inner: PostgresBackend) -> Self {
        Self { inner, failures: Mutex::default() }
    }

    /// How often any operation failed.
    pub(crate) fn failures(&self) -> usize {
        self.lock().values().map(|(many, _)| many).sum()
    }

    /// How often this operation failed.
    pub(crate) fn failures_of(&self, operation: &str) -> usize {
        self.lock().get(operation).map_or(0, |(many, _)| *many)
    }

    /// What failed, for a test that did.
    pub(crate) fn report(&self) -> Failures {
        self.lock().clone()
    }

    fn note<T>(&self, operation: &'static str, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer {
            self.failed(operation, error);
        }
        answer
    }

    fn note_each<T>(
        &self,
        operation: &'static str,
        answer: Result<Vec<Result<T>>>,
    ) -> Result<Vec<Result<T>>> {
        for error in answer.iter().flatten().filter_map(|answer| answer.as_ref().err()) {
            self.failed(operation, error);
        }
        self.note(operation, answer)
    }

    fn failed(&self, operation: &'static str, error: &Error) {
        let mut failures = self.lock();
        let (many, last) = failures.entry(operation).or_default();
        *many += 1;
        *last = error.to_string();
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap()
    }
}

#[async_trait]
impl Backend for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn insert(&self, request: InsertRequest) -> Result<Vec<Result<Vec<Submitted>>>> {
        self.note_each("insert", self.inner.insert(request).await)
    }

    async fn claim(&self, request: ClaimRequest) -> Result<ClaimReply> {
        self.note("claim", self.inner.claim(request).await)
    }

    async fn leases(&self, request: LeasesRequest) -> Result<Vec<ClaimedJob>> {
        self.note("leases", self.inner.leases(request).await)
    }

    async fn settle(&self, request: SettleRequest) -> Result<Vec<Result<Settled>>> {
        self.note_each("settle", self.inner.settle(request).await)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.note("cancel", self.inner.cancel(request).await)
    }

    async fn register(&self, request: RegisterRequest) -> Result<()> {
        self.note("register", self.inner.register(request).await)
    }

    async fn heartbeat(&self, request: HeartbeatRequest) -> Result<HeartbeatReply> {
        self.note("heartbeat", self.inner.heartbeat(request).await)
    }

    async fn retire(&self, request: RetireRequest) -> Result<()> {
        self.note("retire", self.inner.retire(request).await)
    }

    async fn maintain(&self, request: MaintainRequest) -> Result<MaintainReply> {
        self.note("maintain", self.inner.maintain(request).await)
    }

    fn subscribe(&self) -> WakeReceiver {
        self.inner.subscribe()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }

    fn audit(&self) -> Option<&dyn Audit> {
        self.inner.audit()
    }
}
