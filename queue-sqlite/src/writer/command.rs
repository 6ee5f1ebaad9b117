//! One request and its answer, from the arrival to the reply.

use std::time::Instant;

use queue_core::backend::WakeHints;
use queue_core::{Error, Result};

use crate::error::{Fault, Outcome, is_busy};
use crate::writer::session::Session;

/// Order of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Heartbeats, because a worker whose heartbeat waits too long loses its jobs.
    Urgent,
    /// All other requests.
    Normal,
}

/// A request of the contract. The writer may apply it more than once, but each earlier attempt is
/// rolled back first.
pub(crate) trait Request: Send + 'static {
    type Reply: Send + 'static;

    /// Completes the phrase "failed to …".
    const OPERATION: &'static str;

    /// Order of service.
    const URGENCY: Urgency = Urgency::Normal;

    /// The approximate number of rows that it writes.
    fn rows(&self) -> usize;

    /// Whether [`look`](Self::look) may answer it. Otherwise no snapshot is taken.
    fn can_look(&self, _session: &Session) -> bool {
        false
    }

    /// Answers from one snapshot if nothing has to be written, so that idle workers do not take the
    /// lock.
    fn look(&self, _session: &mut Session) -> Outcome<Option<Self::Reply>> {
        Ok(None)
    }

    /// Applies the request in the open transaction.
    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<Self::Reply>;
}

/// A request of any type, with the callback for its reply.
pub(crate) trait Command: Send {
    fn urgency(&self) -> Urgency;
    fn rows(&self) -> usize;
    fn arrived(&self) -> Instant;
    fn operation(&self) -> &'static str;

    fn can_look(&self, session: &Session) -> bool;

    /// Tries to answer without a transaction that writes. Returns whether it did.
    fn look(&mut self, session: &mut Session) -> bool;

    /// Applies the request and keeps the answer until the commit.
    fn apply(&mut self, session: &mut Session) -> Result<(), Fault>;

    /// Keeps an error as the answer until the commit.
    fn keep(&mut self, error: Error);

    /// Takes what to announce after the commit.
    fn hints(&mut self) -> Option<WakeHints>;

    /// Sends the kept answer.
    fn answer(self: Box<Self>);

    /// Sends an error.
    fn fail(self: Box<Self>, error: Error);
}

pub(super) struct Pending<R: Request, F> {
    request: R,
    arrived: Instant,
    answer: Option<Result<R::Reply>>,
    hints: WakeHints,
    reply: F,
}

impl<R: Request, F: FnOnce(Result<R::Reply>) + Send> Pending<R, F> {
    /// Calls `reply` with the answer after the commit.
    pub(super) fn new(request: R, reply: F) -> Self {
        Self { request, arrived: Instant::now(), answer: None, hints: WakeHints::default(), reply }
    }
}

impl<R: Request, F: FnOnce(Result<R::Reply>) + Send> Command for Pending<R, F> {
    fn urgency(&self) -> Urgency {
        R::URGENCY
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
            // `begin` waits for the lock, not this read.
            Err(Fault::Driver(error)) if is_busy(&error) => false,
            Err(fault) => {
                self.answer = Some(Err(session.error(fault, R::OPERATION)));
                true
            }
        }
    }

    fn apply(&mut self, session: &mut Session) -> Result<(), Fault> {
        self.hints = WakeHints::default();
        self.answer = Some(Ok(self.request.apply(session, &mut self.hints)?));
        Ok(())
    }

    fn keep(&mut self, error: Error) {
        self.hints = WakeHints::default();
        self.answer = Some(Err(error));
    }

    fn hints(&mut self) -> Option<WakeHints> {
        (!self.hints.is_empty()).then(|| std::mem::take(&mut self.hints))
    }

    fn answer(self: Box<Self>) {
        if let Some(answer) = self.answer {
            (self.reply)(answer);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        (self.reply)(Err(error));
    }
}
