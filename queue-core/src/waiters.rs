//! Callers that wait for the ends of jobs.
//!
//! All callers of a queue share one request at a time. The future that sends the requests, the
//! *driver*, is shared too: each caller polls it when it is polled itself. No task is spawned, so
//! that waiting works on any executor. A caller that is dropped, or that is kept and not polled,
//! holds up no other.
//!
//! The driver asks for a job when a caller begins to wait for it, when its end is announced, and at
//! each tick, because announcements may be lost.

mod list;
mod ticker;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use self::list::WaitList;
use crate::backend::{self, JobEnd, WakeReceiver};
use crate::poison::ignore_poison;
use crate::{Backend, Error, ErrorKind, JobId, Result};

const OPERATION: &str = "wait for jobs";

/// The callers of one queue that wait.
pub(crate) struct Waiters(Arc<Shared>);

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Shared {
    list: Mutex<WaitList>,
    /// Holds the backend, so it is removed with the queue and when no caller has waited for long.
    driver: Mutex<Option<Driver>>,
    /// The driver has something to do.
    changed: Notify,
    poll_interval: Duration,
}

impl Waiters {
    pub(crate) fn new(poll_interval: Duration) -> Self {
        Self(Arc::new(Shared {
            list: Mutex::default(),
            driver: Mutex::default(),
            changed: Notify::new(),
            poll_interval: poll_interval.max(ticker::LEAST_INTERVAL),
        }))
    }

    /// Waits until all of these jobs have ended, and returns their ends in the order of `jobs`.
    ///
    /// # Cancellation
    /// If this future is dropped, the other callers still wait.
    pub(crate) async fn wait(&self, backend: &Arc<dyn Backend>, jobs: &[JobId]) -> Result<Vec<JobEnd>> {
        let (waiter, answers) = Waiter::join(&self.0, jobs);
        ticker::start(&self.0)?;
        let mut ends = pin!(collect(answers));
        poll_fn(|context| {
            if let Poll::Ready(ends) = ends.as_mut().poll(context) {
                return Poll::Ready(ends);
            }
            self.0.list().polled(waiter.number, context.waker());
            self.0.poll_driver(backend);
            ends.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        self.0.remove_driver();
    }
}

async fn collect(answers: Vec<oneshot::Receiver<Result<JobEnd>>>) -> Result<Vec<JobEnd>> {
    let mut ends = Vec::with_capacity(answers.len());
    for answer in answers {
        ends.push(
            answer.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Unavailable, OPERATION, "the wait was ended"))
            })?,
        );
    }
    Ok(ends)
}

impl Shared {
    /// Polls the driver for all callers.
    fn poll_driver(self: &Arc<Self>, backend: &Arc<dyn Backend>) {
        let mut slot = ignore_poison(self.driver.lock());
        // Taken out, so that a driver that panicked is not polled again.
        let mut driver =
            slot.take().unwrap_or_else(|| Box::pin(drive(Arc::clone(self), Arc::clone(backend))));
        let waker = Waker::from(Arc::new(DriverWaker(Arc::downgrade(self))));
        if driver.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *slot = Some(driver);
        }
    }

    fn remove_driver(&self) {
        let driver = ignore_poison(self.driver.lock()).take();
        // It may hold the last reference to the backend, whose drop may take long.
        drop(driver);
    }

    fn list(&self) -> MutexGuard<'_, WaitList> {
        ignore_poison(self.list.lock())
    }
}

/// Sends the requests of all callers, one after the other.
async fn drive(shared: Arc<Shared>, backend: Arc<dyn Backend>) {
    // Before the first request, so that no announcement is missed.
    let mut receiver = backend.subscribe().only_ends();
    // An earlier driver may have missed announcements.
    shared.list().ask_for_all();
    loop {
        shared.list().wake(&receiver.take());
        let request = shared.list().next_request();
        match request {
            Some(request) => {
                let reply = ends(&*backend, &request.jobs).await;
                let answers = shared.list().answer(request, reply);
                // Without the lock, because it wakes the callers.
                answers.into_iter().for_each(list::Delivery::send);
            }
            None => next_change(&shared, &mut receiver).await,
        }
    }
}

/// Waits until there may be a request to send.
async fn next_change(shared: &Shared, receiver: &mut WakeReceiver) {
    let (mut wakes, mut changed) = (pin!(receiver.recv()), pin!(shared.changed.notified()));
    poll_fn(|context| {
        if let Poll::Ready(wakes) = wakes.as_mut().poll(context) {
            shared.list().wake(&wakes);
            return Poll::Ready(());
        }
        changed.as_mut().poll(context)
    })
    .await;
}

/// Wakes a caller, which then polls the driver.
struct DriverWaker(Weak<Shared>);

impl Wake for DriverWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            let caller = shared.list().caller_to_wake();
            caller.into_iter().for_each(Waker::wake);
        }
    }
}

/// Asks for the ends of jobs: by a watch, else by a read.
async fn ends(backend: &dyn Backend, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
    let ends = match backend.extensions().watch {
        Some(watch) => watch.watch(jobs).await?,
        None => {
            let records = backend::inspect(backend)?.jobs(jobs).await?;
            let end = |record: Option<backend::JobRecord>| match record {
                Some(record) => JobEnd::of(record.state, record.result, record.error),
                None => Some(JobEnd::Gone),
            };
            records.into_iter().map(end).collect()
        }
    };
    if ends.len() == jobs.len() {
        return Ok(ends);
    }
    let message =
        format!("the backend `{}` returned {} ends for {} jobs", backend.name(), ends.len(), jobs.len());
    Err(Error::new(ErrorKind::Unsupported, OPERATION, message))
}

/// One caller. When it is dropped, its jobs are no longer asked for.
struct Waiter<'a> {
    shared: &'a Shared,
    jobs: &'a [JobId],
    number: u64,
}

impl<'a> Waiter<'a> {
    fn join(shared: &'a Shared, jobs: &'a [JobId]) -> (Self, Vec<oneshot::Receiver<Result<JobEnd>>>) {
        let (number, answers) = shared.list().add(jobs);
        shared.changed.notify_one();
        (Self { shared, jobs, number }, answers)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut list = self.shared.list();
        list.remove(self.jobs, self.number);
        // This caller may have been woken to poll the driver.
        let next = list.caller_to_wake();
        drop(list);
        next.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiters({} jobs)", self.0.list().len())
    }
}
