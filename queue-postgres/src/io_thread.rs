//! The thread that does all communication with the server.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue_core::backend::{OwnProcess, ignore_poison};
use queue_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Maximum time for pending requests after the last handle is dropped.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Maximum wait of the drop for pending requests, so that a program that enqueues and exits sends
/// its wake-ups first.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A separate thread, so that handlers that block their threads never delay a connection. The end
/// of the caller's runtime never breaks one.
///
/// Dropping it lets pending requests finish and then ends the thread.
#[derive(Debug)]
pub(crate) struct IoThread {
    runtime: Handle,
    tasks: TaskTracker,
    closing: CancellationToken,
    ended: Mutex<Receiver<()>>,
    process: OwnProcess,
    dropped_requests: Arc<watch::Sender<usize>>,
}

impl IoThread {
    pub(crate) fn start() -> Result<Self> {
        let fail = |error: std::io::Error| {
            let message = "the I/O thread could not be started";
            Error::new(ErrorKind::Unavailable, "open the database", message).with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let handle = runtime.handle().clone();
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (waiting, closed) = (tasks.clone(), closing.clone());
        let serve = async move {
            closed.cancelled().await;
            waiting.close();
            // No handle is left to report requests that are cut off here.
            let _ = tokio::time::timeout(LAST_REQUESTS, waiting.wait()).await;
        };
        let (end, ended) = channel();
        let run = move || {
            runtime.block_on(serve);
            // The drop no longer waits if that took too long.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("queue-postgres".into()).spawn(run).map_err(fail)?;
        let dropped_requests = Arc::new(watch::Sender::new(0));
        let process = OwnProcess::current();
        Ok(Self { runtime: handle, tasks, closing, ended: Mutex::new(ended), process, dropped_requests })
    }

    /// Runs a request to its end, even if the caller drops this future.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.process.check("talk to the database")?;
        let mut caller =
            CallerGuard { state: Arc::default(), dropped_requests: Arc::clone(&self.dropped_requests) };
        let guard = caller.request_guard();
        let task = self.tasks.spawn_on(
            async move {
                let _guard = guard;
                request.await
            },
            &self.runtime,
        );
        let answer = task.await;
        caller.set_ended();
        answer.unwrap_or_else(|error| {
            let message = "the request was cut off when the database was closed";
            Err(Error::new(ErrorKind::UnknownOutcome, "talk to the database", message).with_source(error))
        })
    }

    /// Runs a task that ends after all handles were dropped.
    pub(crate) fn serve(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Runs a task until the last handle is dropped.
    pub(crate) fn run_until_closed(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.runtime.spawn(async move { closing.run_until_cancelled(task).await });
    }

    /// Waits until requests whose futures were dropped have finished, because the contract says
    /// that later requests on this handle see their effects. Returns at once in a forked child,
    /// where they never finish.
    pub(crate) async fn dropped_requests_ended(&self) {
        if !self.process.is_current() {
            return;
        }
        // Never fails, because the sender lives as long as `self`.
        let _ = self.dropped_requests.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        self.closing.cancel();
        let ended = ignore_poison(self.ended.get_mut());
        // Requests that are not done by then continue in the background.
        let _ = ended.recv_timeout(LAST_WAIT);
    }
}

const RUNNING: u8 = 0;
const DROPPED: u8 = 1;
const ENDED: u8 = 2;

/// Held by the caller's future. If it is dropped before the request ends, it counts the request.
struct CallerGuard {
    state: Arc<AtomicU8>,
    dropped_requests: Arc<watch::Sender<usize>>,
}

/// Held by the request.
struct RequestGuard {
    state: Arc<AtomicU8>,
    dropped_requests: Arc<watch::Sender<usize>>,
}

impl CallerGuard {
    fn request_guard(&self) -> RequestGuard {
        RequestGuard { state: Arc::clone(&self.state), dropped_requests: Arc::clone(&self.dropped_requests) }
    }

    fn set_ended(&mut self) {
        self.state.store(ENDED, Ordering::SeqCst);
    }
}

impl Drop for CallerGuard {
    fn drop(&mut self) {
        if self.state.load(Ordering::SeqCst) != RUNNING {
            return;
        }
        // Counts first, because the request may end at the same time and subtracts itself.
        self.dropped_requests.send_modify(|count| *count += 1);
        if self.state.swap(DROPPED, Ordering::SeqCst) == ENDED {
            self.dropped_requests.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if self.state.swap(ENDED, Ordering::SeqCst) == DROPPED {
            self.dropped_requests.send_modify(|count| *count -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn later_requests_wait_for_a_dropped_one() {
        let io = IoThread::start().unwrap();
        let (release, released) = oneshot::channel::<()>();
        let (sender, receiver) = oneshot::channel();
        {
            let request = io.run(async move {
                released.await.ok();
                sender.send("done").ok();
                Ok(())
            });
            assert!(pin!(request).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(pin!(io.dropped_requests_ended()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        release.send(()).unwrap();
        io.dropped_requests_ended().await;
        assert_eq!(receiver.await, Ok("done"));
    }

    #[tokio::test]
    async fn drop_waits_for_pending_requests() {
        let io = IoThread::start().unwrap();
        let (sender, receiver) = oneshot::channel();
        let request = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            sender.send("done").ok();
            Ok(())
        };
        assert!(pin!(io.run(request)).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(io);
        assert_eq!(receiver.await, Ok("done"));
    }

    #[tokio::test]
    async fn panic_is_an_unknown_outcome() {
        let io = IoThread::start().unwrap();
        let request: std::future::Ready<Result<()>> = std::future::ready(Ok(()));
        let error = io.run(async move { request.await.map(|()| panic!("broken")) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
        io.dropped_requests_ended().await;
    }
}
