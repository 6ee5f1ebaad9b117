//! What the runtime needs of the world: time, chance, and somewhere to run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::{Error, ErrorKind, Result};

/// A future that the environment runs, or that waits for it.
pub type EnvironmentFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where claims, settles, heartbeats and shutdown run; nothing of the user's does.
    Control,
    /// Where handlers run, which may hold up their threads.
    Handlers,
}

/// Time, chance, and somewhere to run, so that the runtime can be simulated.
pub trait Environment: fmt::Debug + Send + Sync + 'static {
    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// Waits.
    fn sleep(&self, duration: Duration) -> EnvironmentFuture;

    /// A random number over all of `u64`.
    fn random(&self) -> u64;

    /// Runs a task to its end.
    fn spawn(&self, place: Place, task: EnvironmentFuture);
}

/// A moment after `now`. What is too far to be reckoned with is a year.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now + by.min(FAR)
}

/// The real world: handlers on the caller's tokio runtime, everything else on a thread of its own,
/// so that a handler that holds up its thread delays no heartbeat.
#[derive(Debug)]
pub(crate) struct TokioEnvironment {
    control: Handle,
    handlers: Handle,
}

/// Ends the control thread, and with it all tasks there, when dropped.
#[derive(Debug)]
pub(crate) struct ControlThread {
    _stop: oneshot::Sender<()>,
}

impl TokioEnvironment {
    /// Starts the control thread; handlers run on the runtime of the caller.
    pub(crate) fn start() -> Result<(Self, ControlThread)> {
        let failed = |message: &'static str| Error::new(ErrorKind::Unavailable, "start a worker", message);
        let handlers = Handle::try_current().map_err(|error| {
            Error::invalid("start a worker", "it must be started within a tokio runtime").with_source(error)
        })?;
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| failed("its control runtime cannot be made").with_source(error))?;
        let control = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("queue-control".into())
            .spawn(move || {
                // Ends when the sender is dropped; nothing is ever sent.
                let _ = runtime.block_on(stopped);
            })
            .map_err(|error| failed("its control thread cannot be started").with_source(error))?;
        Ok((Self { control, handlers }, ControlThread { _stop: stop }))
    }
}

impl Environment for TokioEnvironment {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> EnvironmentFuture {
        // The control runtime's timer serves handlers too: theirs may have none.
        let _entered = self.control.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }

    fn spawn(&self, place: Place, task: EnvironmentFuture) {
        match place {
            Place::Control => drop(self.control.spawn(task)),
            Place::Handlers => drop(self.handlers.spawn(task)),
        }
    }
}
