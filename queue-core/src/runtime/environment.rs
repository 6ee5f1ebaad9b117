//! What the runtime needs from outside: time, random numbers, and threads for its tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::{Error, ErrorKind, Result};

/// A task that the environment runs, or a wait that it ends.
pub type EnvironmentFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With claims, settles, heartbeats and the shutdown. No user code runs here.
    Control,
    /// With the handlers, which may block their threads.
    Handlers,
}

/// Time, random numbers and threads, so that a test can simulate them.
pub trait Environment: fmt::Debug + Send + Sync + 'static {
    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// Waits for this long.
    fn sleep(&self, duration: Duration) -> EnvironmentFuture;

    /// A random number over all of `u64`.
    fn random(&self) -> u64;

    /// Runs a task to its end.
    fn spawn(&self, place: Place, task: EnvironmentFuture);
}

/// Runs handlers on the caller's tokio runtime and everything else on a thread of its own, so that
/// a handler that blocks its thread delays no heartbeat.
#[derive(Debug)]
pub(crate) struct TokioEnvironment {
    control: Handle,
    handlers: Handle,
}

/// Ends the control thread and all tasks on it when dropped.
#[derive(Debug)]
pub(crate) struct ControlThread {
    _stop: oneshot::Sender<()>,
}

impl TokioEnvironment {
    /// Starts the control thread. Handlers run on the tokio runtime of the caller.
    pub(crate) fn start() -> Result<(Self, ControlThread)> {
        let failed = |message: &'static str| Error::new(ErrorKind::Unavailable, "start a worker", message);
        let handlers = Handle::try_current().map_err(|error| {
            Error::invalid("start a worker", "it must be called within a tokio runtime").with_source(error)
        })?;
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| failed("the control runtime could not be built").with_source(error))?;
        let control = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("queue-control".into())
            .spawn(move || {
                // Ends when the sender is dropped, because nothing is ever sent.
                let _ = runtime.block_on(stopped);
            })
            .map_err(|error| failed("the control thread could not be started").with_source(error))?;
        Ok((Self { control, handlers }, ControlThread { _stop: stop }))
    }
}

impl Environment for TokioEnvironment {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) -> EnvironmentFuture {
        // For handlers too, because their runtime may have no timer.
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
