//! A job that runs in a slot, and how loops interrupt it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{JobContext, Token};

/// Why a running job must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Its timeout has passed.
    TimedOut,
    /// A caller cancelled it.
    Cancelled,
    /// Its lease is lost, so it must not be settled.
    LeaseLost,
    /// The worker's shutdown has reached its deadline.
    ShutDown,
}

/// A request to stop one run. Clones belong to the same run.
///
/// It is apart from the handler's own token, because a handler that cancels that token stops only
/// its own work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    requested: CancellationToken,
    stop: Arc<StopState>,
}

/// Why and since when a handler should have stopped.
#[derive(Debug, Default)]
struct StopState {
    reason: OnceLock<Interruption>,
    /// When the heartbeat loop first saw that the handler should have stopped.
    seen: OnceLock<Instant>,
    is_reported: AtomicBool,
}

impl Interrupt {
    /// Asks the run to stop. The first reason counts.
    fn request(&self, reason: Interruption) {
        self.set_reason(reason);
        self.requested.cancel();
    }

    /// Notes why the run stops, unless a reason is known.
    pub(crate) fn set_reason(&self, reason: Interruption) {
        let _ = self.stop.reason.set(reason);
    }

    pub(crate) fn reason(&self) -> Option<Interruption> {
        self.stop.reason.get().copied()
    }

    /// Waits until the run is asked to stop.
    pub(crate) async fn requested(&self) {
        self.requested.cancelled().await;
    }
}

/// A job that runs in a slot.
#[derive(Debug)]
pub(crate) struct RunningJob {
    /// The index of its backend.
    pub(crate) backend: usize,
    pub(crate) token: Token,
    pub(crate) context: JobContext,
    pub(crate) interrupt: Interrupt,
}

impl RunningJob {
    /// Whether the handler runs on although it should have stopped more than `grace` ago. `true`
    /// once per run. A handler that blocks its thread cannot be dropped, and its slot cannot notice
    /// the timeout.
    pub(crate) fn became_stuck(&self, now: Instant, grace: Duration) -> bool {
        let is_late = self.context.deadline().is_some_and(|deadline| deadline < now);
        if self.interrupt.reason().is_none() && !is_late {
            return false;
        }
        let StopState { seen, is_reported, .. } = &*self.interrupt.stop;
        now.saturating_duration_since(*seen.get_or_init(|| now)) > grace
            && !is_reported.swap(true, Ordering::Relaxed)
    }

    /// Asks the run and its handler to stop.
    pub(crate) fn interrupt(&self, reason: Interruption) {
        self.interrupt.request(reason);
        self.context.cancellation().cancel();
    }
}
