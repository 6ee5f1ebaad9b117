//! One operation on its way through the writer.

use std::time::Instant;

use queue_core::backend::Hint;
use queue_core::{Error, JobId, Result};

use crate::error::{Fault, Outcome, is_busy};
use crate::writer::session::Session;

/// What is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Heartbeats: a worker whose heartbeat waits too long loses its jobs.
    Urgent,
    /// The rest.
    Normal,
}

/// What to tell subscribers once the operation is committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) ready: Vec<Hint>,
    pub(crate) cancels: Vec<JobId>,
}

impl Effects {
    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.cancels.is_empty()
    }

    /// Adds those of another operation.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.ready.append(&mut other.ready);
        self.cancels.append(&mut other.cancels);
    }
}

/// A request of the contract. It may be applied more than once, each time to a database that bears
/// no trace of the time before.
pub(crate) trait Request: Send + 'static {
    /// The answer.
    type Reply: Send + 'static;

    /// Completes the phrase "failed to …".
    const OPERATION: &'static str;

    /// What is served first.
    const LANE: Lane = Lane::Normal;

    /// About how many rows it writes.
    fn rows(&self) -> usize;

    /// Whether [`look`](Self::look) may answer it. Otherwise no snapshot is taken.
    fn can_look(&self, _session: &Session) -> bool {
        false
    }

    /// Answers by reading one snapshot, if there is nothing to write, so that idle workers do not
    /// ask for the lock.
    fn look(&self, _session: &mut Session) -> Outcome<Option<Self::Reply>> {
        Ok(None)
    }

    /// Does it within the transaction that is open.
    fn apply(&self, session: &mut Session, effects: &mut Effects) -> Outcome<Self::Reply>;
}

/// A request of any type, together with who waits for its answer.
pub(crate) trait Command: Send {
    fn lane(&self) -> Lane;
    fn rows(&self) -> usize;
    fn arrived(&self) -> Instant;
    fn operation(&self) -> &'static str;

    fn can_look(&self, session: &Session) -> bool;

    /// Tries to do without a transaction that writes; whether it is done.
    fn look(&mut self, session: &mut Session) -> bool;

    /// Does it, keeping the answer until the commit.
    fn apply(&mut self, session: &mut Session) -> Result<(), Fault>;

    /// Keeps an error until the commit instead.
    fn keep(&mut self, error: Error);

    /// Takes what is to be told after the commit.
    fn effects(&mut self) -> Option<Effects>;

    /// Sends the answer that was kept.
    fn answer(self: Box<Self>);

    /// Sends an error instead.
    fn fail(self: Box<Self>, error: Error);
}

pub(super) struct Pending<R: Request, F> {
    request: R,
    arrived: Instant,
    answer: Option<Result<R::Reply>>,
    effects: Effects,
    tell: F,
}

impl<R: Request, F: FnOnce(Result<R::Reply>) + Send> Pending<R, F> {
    /// `tell` is called with the answer, after the commit.
    pub(super) fn new(request: R, tell: F) -> Self {
        Self { request, arrived: Instant::now(), answer: None, effects: Effects::default(), tell }
    }
}

impl<R: Request, F: FnOnce(Result<R::Reply>) + Send> Command for Pending<R, F> {
    fn lane(&self) -> Lane {
        R::LANE
    }

    fn rows(&self) -> usize {
        self.request.rows()
    }

    fn arrived(&self) -> Instant {
        self.arrived
    }

    fn operation(&self) -> &'static str {
        R::OPERATION
    }

    fn can_look(&self, session: &Session) -> bool {
        self.request.can_look(session)
    }

    fn look(&mut self, session: &mut Session) -> bool {
        match self.request.look(session) {
            Ok(None) => false,
            Ok(Some(reply)) => {
                self.answer = Some(Ok(reply));
                true
            }
            // The lock is waited for where there is the patience to do so.
            Err(Fault::Driver(error)) if is_busy(&error) => false,
            Err(fault) => {
                self.answer = Some(Err(session.error(fault, R::OPERATION)));
                true
            }
        }
    }

    fn apply(&mut self, session: &mut Session) -> Result<(), Fault> {
        self.effects = Effects::default();
        self.answer = Some(Ok(self.request.apply(session, &mut self.effects)?));
        Ok(())
    }

    fn keep(&mut self, error: Error) {
        self.effects = Effects::default();
        self.answer = Some(Err(error));
    }

    fn effects(&mut self) -> Option<Effects> {
        (!self.effects.is_empty()).then(|| std::mem::take(&mut self.effects))
    }

    fn answer(self: Box<Self>) {
        if let Some(answer) = self.answer {
            (self.tell)(answer);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        (self.tell)(Err(error));
    }
}
