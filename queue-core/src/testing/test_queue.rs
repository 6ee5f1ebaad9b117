//! A queue in memory whose clock a test moves.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::{Error, JobQueue, JobRecord, Limits, MemoryBackend, Result, Task, Timestamp};

/// A [`JobQueue`] in memory for a test. Its clock stands still until the test moves it. Wherever a
/// program takes `&JobQueue`, the test gives `&TestQueue`.
///
/// ```
/// use std::time::Duration;
/// use queue_core::testing::TestQueue;
/// use queue_core::{JobQueue, Task, assert_enqueued, assert_not_enqueued};
///
/// #[derive(Debug, serde::Serialize, serde::Deserialize)]
/// struct SendWelcome { user: i64 }
///
/// impl Task for SendWelcome { // or `#[derive(Task)]`
///     const KIND: &'static str = "send-welcome";
///     type Output = ();
/// }
///
/// async fn sign_up(jobs: &JobQueue, user: i64) -> queue_core::Result<()> {
///     jobs.enqueue(SendWelcome { user }).run_in(Duration::from_secs(60)).await?;
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let queue = TestQueue::new();
/// sign_up(&queue, 7).await?;
/// assert_enqueued!(queue, SendWelcome { user: 7 });
/// assert_enqueued!(queue, SendWelcome { .. }, in Duration::from_secs(60));
/// assert_not_enqueued!(queue, SendWelcome { user: 8 });
/// assert_eq!(queue.enqueued::<SendWelcome>()?.len(), 1);
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
///
/// [`TestWorker`](super::TestWorker) runs its jobs.
#[derive(Debug, Clone)]
pub struct TestQueue {
    jobs: JobQueue,
    backend: MemoryBackend,
}

impl TestQueue {
    /// Creates a queue without jobs.
    #[must_use]
    pub fn new() -> Self {
        let clock = Clock::for_test();
        let backend = MemoryBackend::with_clock(clock.clone());
        let jobs = JobQueue::with_clock(Arc::new(backend.clone()), Limits::default(), clock);
        Self { jobs, backend }
    }

    /// Returns the time of its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.jobs.clock().now()
    }

    /// Moves its clock forward. No job runs by that.
    pub fn advance(&self, by: Duration) {
        self.jobs.clock().advance(by);
    }

    /// Returns the payloads of the unfinished jobs of this type, in the order of their submission.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a payload of the kind is not of this type.
    pub fn enqueued<T: Task>(&self) -> Result<Vec<T>> {
        let of_type = self.unfinished().into_iter().filter(|record| record.job.kind.as_str() == T::KIND);
        of_type.map(|record| record.job.payload.decode()).collect()
    }

    fn unfinished(&self) -> Vec<JobRecord> {
        let mut records = self.backend.records();
        records.retain(|record| !record.state.is_finished());
        records.sort_by_key(|record| record.created_at);
        records
    }

    /// Returns whether an unfinished job of the type matches, and otherwise what there is.
    #[doc(hidden)]
    pub fn find_enqueued<T: Task>(
        &self,
        delay: Option<Duration>,
        is_wanted: impl Fn(&T) -> bool,
    ) -> (bool, String) {
        let now = self.now();
        let mut is_found = false;
        let mut seen = String::new();
        for record in self.unfinished() {
            let payload: Result<T, Error> = record.job.payload.decode();
            let waits = now.until(record.run_at);
            is_found |= record.job.kind.as_str() == T::KIND
                && payload.is_ok_and(|payload| is_wanted(&payload))
                && delay.is_none_or(|delay| delay == waits);
            let (kind, payload) = (&record.job.kind, record.job.payload.as_str());
            let waits = humantime::format_duration(waits);
            seen += &format!("\n  {kind} {payload}, {} in {waits}", record.state);
        }
        if seen.is_empty() {
            seen.push_str(" none");
        }
        (is_found, seen)
    }
}

impl Default for TestQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestQueue {
    type Target = JobQueue;

    fn deref(&self) -> &JobQueue {
        &self.jobs
    }
}

/// Asserts that an unfinished job matches a pattern, in a [`TestQueue`](crate::testing::TestQueue).
/// The message shows which jobs there are.
///
/// ```
/// # use std::time::Duration;
/// # use queue_core::{Task, assert_enqueued, testing::TestQueue};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct SendWelcome { user: i64 }
/// # impl Task for SendWelcome { const KIND: &'static str = "welcome"; type Output = (); }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let queue = TestQueue::new();
/// # queue.enqueue(SendWelcome { user: 7 }).run_in(Duration::from_secs(60)).await.unwrap();
/// assert_enqueued!(queue, SendWelcome { user: 7 });
/// assert_enqueued!(queue, SendWelcome { user } if *user > 5);
/// assert_enqueued!(queue, SendWelcome { .. }, in Duration::from_secs(60)); // runs in a minute
/// # });
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($queue:expr, $pattern:pat $(if $guard:expr)? $(, in $delay:expr)? $(,)?) => {{
        let delay = ::core::option::Option::<::core::time::Duration>::None;
        $(let delay = delay.or(::core::option::Option::Some($delay));)?
        let (is_found, seen) =
            $queue.find_enqueued(delay, |job| ::core::matches!(job, $pattern $(if $guard)?));
        assert!(
            is_found,
            "no job matches `{}`; unfinished jobs:{seen}",
            stringify!($pattern $(if $guard)? $(, in $delay)?),
        );
    }};
}

/// Asserts that no unfinished job matches a pattern: the opposite of
/// [`assert_enqueued!`](crate::assert_enqueued).
#[macro_export]
macro_rules! assert_not_enqueued {
    ($queue:expr, $pattern:pat $(if $guard:expr)? $(, in $delay:expr)? $(,)?) => {{
        let delay = ::core::option::Option::<::core::time::Duration>::None;
        $(let delay = delay.or(::core::option::Option::Some($delay));)?
        let (is_found, seen) =
            $queue.find_enqueued(delay, |job| ::core::matches!(job, $pattern $(if $guard)?));
        assert!(
            !is_found,
            "a job matches `{}`; unfinished jobs:{seen}",
            stringify!($pattern $(if $guard)? $(, in $delay)?),
        );
    }};
}
