//! The thread on which everything happens that talks to the server.

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

/// How long what was asked for may still take when the last handle is dropped.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// How long the drop waits for that: a program that enqueues a job and ends is to tell of it first.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A thread of its own, so that neither handlers that block their threads nor the end of a runtime of
/// the caller's hold up or cut a connection.
///
/// When it is dropped, what was asked for is still done, and then the thread ends.
#[derive(Debug)]
pub(crate) struct Home {
    runtime: Handle,
    tasks: TaskTracker,
    closing: CancellationToken,
    ended: Mutex<Receiver<()>>,
    process: OwnProcess,
    abandoned: Arc<watch::Sender<usize>>,
}

impl Home {
    pub(crate) fn start() -> Result<Self> {
        let fail = |error: std::io::Error| {
            let message = "the thread for the connections cannot be started";
            Error::new(ErrorKind::Unavailable, "open the database", message).with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let handle = runtime.handle().clone();
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let (waiting, closed) = (tasks.clone(), closing.clone());
        let live = async move {
            closed.cancelled().await;
            waiting.close();
            // What is cut then is told nobody: there is no handle left.
            let _ = tokio::time::timeout(LAST_REQUESTS, waiting.wait()).await;
        };
        let (end, ended) = channel();
        let run = move || {
            runtime.block_on(live);
            // Nobody waits if that took too long.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("queue-postgres".into()).spawn(run).map_err(fail)?;
        let abandoned = Arc::new(watch::Sender::new(0));
        let process = OwnProcess::current();
        Ok(Self { runtime: handle, tasks, closing, ended: Mutex::new(ended), process, abandoned })
    }

    /// Runs a request to its end, also if the caller drops this future.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.process.check("talk to the database")?;
        let mut watch = Watch { state: Arc::default(), abandoned: Arc::clone(&self.abandoned) };
        let ended = watch.ended();
        let task = self.tasks.spawn_on(
            async move {
                let _ended = ended;
                request.await
            },
            &self.runtime,
        );
        let answer = task.await;
        watch.is_over();
        answer.unwrap_or_else(|error| {
            let message = "the request was cut off when the database was closed";
            Err(Error::new(ErrorKind::UnknownOutcome, "talk to the database", message).with_source(error))
        })
    }

    /// Runs a task that ends by itself once all handles are gone.
    pub(crate) fn serve(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Runs a task until the home is closed.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.runtime.spawn(async move { closing.run_until_cancelled(task).await });
    }

    /// Waits for the requests whose futures were dropped before they ended: whoever asks later sees what they did. Not in a child
    /// that was forked, where they never end.
    pub(crate) async fn abandoned_ended(&self) {
        if !self.process.is_current() {
            return;
        }
        // Cannot fail: the sender lives as long as `self`.
        let _ = self.abandoned.subscribe().wait_for(|many| *many == 0).await;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        self.closing.cancel();
        let ended = ignore_poison(self.ended.get_mut());
        // What is not done by then goes on behind.
        let _ = ended.recv_timeout(LAST_WAIT);
    }
}

const RUNS: u8 = 0;
const ABANDONED: u8 = 1;
const OVER: u8 = 2;

/// Held by whoever waits for a request. Dropped before the request has ended, it counts it as abandoned.
struct Watch {
    state: Arc<AtomicU8>,
    abandoned: Arc<watch::Sender<usize>>,
}

/// Held by the request.
struct Ended {
    state: Arc<AtomicU8>,
    abandoned: Arc<watch::Sender<usize>>,
}

impl Watch {
    fn ended(&self) -> Ended {
        Ended { state: Arc::clone(&self.state), abandoned: Arc::clone(&self.abandoned) }
    }

    fn is_over(&mut self) {
        self.state.store(OVER, Ordering::SeqCst);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.state.load(Ordering::SeqCst) != RUNS {
            return;
        }
        // Counted first: the request may end at this very moment, and takes itself off again.
        self.abandoned.send_modify(|many| *many += 1);
        if self.state.swap(ABANDONED, Ordering::SeqCst) == OVER {
            self.abandoned.send_modify(|many| *many -= 1);
        }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.state.swap(OVER, Ordering::SeqCst) == ABANDONED {
            self.abandoned.send_modify(|many| *many -= 1);
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
    async fn a_request_that_is_dropped_goes_on_and_later_ones_wait_for_it() {
        let home = Home::start().unwrap();
        let (release, released) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        {
            let request = home.run(async move {
                released.await.ok();
                tell.send("done").ok();
                Ok(())
            });
            assert!(pin!(request).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(pin!(home.abandoned_ended()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        release.send(()).unwrap();
        home.abandoned_ended().await;
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn what_was_asked_for_is_done_though_the_home_is_closed() {
        let home = Home::start().unwrap();
        let (tell, told) = oneshot::channel();
        let request = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tell.send("done").ok();
            Ok(())
        };
        assert!(pin!(home.run(request)).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(home);
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let home = Home::start().unwrap();
        let request: std::future::Ready<Result<()>> = std::future::ready(Ok(()));
        let error = home.run(async move { request.await.map(|()| panic!("broken")) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
        home.abandoned_ended().await;
    }
}
