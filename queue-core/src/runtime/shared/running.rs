//! A job that runs in a slot, and how loops interrupt it.

use std::sync::{Arc, OnceLock};

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
    reason: Arc<OnceLock<Interruption>>,
}

impl Interrupt {
    /// Asks the run to stop. The first reason counts.
    fn request(&self, reason: Interruption) {
        self.set_reason(reason);
        self.requested.cancel();
    }

    /// Notes why the run stops, unless a reason is known.
    pub(crate) fn set_reason(&self, reason: Interruption) {
        let _ = self.reason.set(reason);
    }

    pub(crate) fn reason(&self) -> Option<Interruption> {
        self.reason.get().copied()
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
    /// Asks the run and its handler to stop.
    pub(crate) fn interrupt(&self, reason: Interruption) {
        self.interrupt.request(reason);
        self.context.cancellation().cancel();
    }
}
