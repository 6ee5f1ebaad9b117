//! A queue in memory whose clock a test moves.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::{JobQueue, JobRecord, Limits, MemoryBackend, Result, Task, Timestamp};

/// A [`JobQueue`] in memory for a test. Its clock stands still until the test moves it. Wherever a
/// program takes `&JobQueue`, the test gives `&TestQueue`, and [`jobs`](Self::jobs) where it takes
/// one of its own.
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
/// [`TestWorker`](super::TestWorker) runs its jobs. A worker that is *started* does not see that
/// the clock was moved.
///
/// Jobs in transactions of the application (`.tx`) need the database of the application: they are
/// [`Unsupported`](crate::ErrorKind::Unsupported) here.
#[derive(Debug, Clone)]
pub struct TestQueue {
    jobs: JobQueue,
    backend: MemoryBackend,
}

impl TestQueue {
    /// Creates a queue without jobs, whose clock shows the time of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Timestamp::now())
    }

    /// Creates a queue without jobs, whose clock shows this time.
    #[must_use]
    pub fn at(time: impl Into<Timestamp>) -> Self {
        let clock = Clock::at(time.into());
        let backend = MemoryBackend::with_clock(clock.clone());
        let jobs = JobQueue::with_clock(Arc::new(backend.clone()), Limits::default(), clock);
        Self { jobs, backend }
    }

    /// Returns the queue, for a program that keeps one.
    #[must_use]
    pub fn jobs(&self) -> JobQueue {
        self.jobs.clone()
    }

    /// Returns the time of its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.jobs.clock().now()
    }

    /// Moves its clock forward. No job runs by that.
    pub fn advance(&self, by: Duration) {
        self.advance_to(self.now().saturating_add(by));
    }

    /// Moves its clock forward to this time; not back.
    pub fn advance_to(&self, time: impl Into<Timestamp>) {
        self.jobs.clock().advance_to(time.into());
    }

    /// Returns the payloads of the unfinished jobs of this type, in the order of their ids.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a payload of the kind is not of this type.
    pub fn enqueued<T: Task>(&self) -> Result<Vec<T>> {
        self.records_of::<T>().into_iter().map(|record| record.job.payload.decode()).collect()
    }

    /// Returns the records of the unfinished jobs of this type, with their queue, priority, time
    /// and all other options.
    #[must_use]
    pub fn records_of<T: Task>(&self) -> Vec<JobRecord> {
        let mut records = self.unfinished();
        records.retain(|record| record.job.kind.as_str() == T::KIND);
        records
    }

    fn unfinished(&self) -> Vec<JobRecord> {
        let mut records = self.backend.records();
        records.retain(|record| !record.state.is_finished());
        records
    }
}

/// What an assertion has found.
#[doc(hidden)]
#[derive(Debug)]
pub struct Found {
    /// Whether an unfinished job matches.
    pub matches: bool,
    /// Whether a payload of the kind is not of the type, so that it cannot be compared.
    pub undecodable: bool,
    /// All unfinished jobs.
    pub seen: String,
}

/// Looks for an unfinished job of the type.
#[doc(hidden)]
pub fn find_enqueued<T: Task>(
    queue: &TestQueue,
    delay: Option<Duration>,
    is_wanted: impl Fn(&T) -> bool,
) -> Found {
    let now = queue.now();
    let mut found = Found { matches: false, undecodable: false, seen: String::new() };
    for record in queue.unfinished() {
        let waits = now.until(record.run_at);
        let (kind, payload) = (&record.job.kind, &record.job.payload);
        if kind.as_str() == T::KIND {
            match payload.decode::<T>() {
                Ok(payload) => {
                    found.matches |= is_wanted(&payload) && delay.is_none_or(|delay| delay == waits);
                }
                Err(_) => found.undecodable = true,
            }
        }
        let (payload, waits) = (payload.as_str(), humantime::format_duration(waits));
        found.seen += &format!("\n  {kind} {payload}, {} in {waits}", record.state);
    }
    if found.seen.is_empty() {
        found.seen.push_str(" none");
    }
    found
}

/// Returns whether a payload has the same JSON as another one.
#[doc(hidden)]
pub fn is_same<T: Task>(job: &T, other: &T) -> bool {
    let json = |job: &T| serde_json::to_value(job).ok();
    json(job).is_some_and(|value| Some(value) == json(other))
}

impl Default for TestQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&TestQueue> for JobQueue {
    fn from(queue: &TestQueue) -> Self {
        queue.jobs()
    }
}

impl Deref for TestQueue {
    type Target = JobQueue;

    fn deref(&self) -> &JobQueue {
        &self.jobs
    }
}

/// Asserts that an unfinished job matches a pattern, or equals a value, in a
/// [`TestQueue`](crate::testing::TestQueue). The message shows which jobs there are.
///
/// ```
/// # use std::time::Duration;
/// # use queue_core::{Task, assert_enqueued, testing::TestQueue};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct SendWelcome { user: i64 }
/// # impl Task for SendWelcome { const KIND: &'static str = "welcome"; type Output = (); }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let queue = TestQueue::new();
/// # let user = 7;
/// # queue.enqueue(SendWelcome { user: 7 }).run_in(Duration::from_secs(60)).await.unwrap();
/// assert_enqueued!(queue, SendWelcome { .. });
/// assert_enqueued!(queue, SendWelcome { user } if *user > 5);
/// assert_enqueued!(queue, == SendWelcome { user }); // the same JSON
/// assert_enqueued!(queue, SendWelcome { .. }, in Duration::from_secs(60)); // exactly a minute
/// # });
/// ```
///
/// A pattern names the type. A variable in it would match anything, so one that is not used does
/// not compile: compare with a value instead.
///
/// ```compile_fail
/// # use queue_core::{Task, assert_enqueued, testing::TestQueue};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct SendWelcome { user: i64 }
/// # impl Task for SendWelcome { const KIND: &'static str = "welcome"; type Output = (); }
/// # let queue = TestQueue::new();
/// let user = 7;
/// assert_enqueued!(queue, SendWelcome { user }); // error: unused variable: `user`
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($queue:expr, $($wanted:tt)+) => {{
        let found = $crate::__find_enqueued!($queue, $($wanted)+);
        assert!(found.matches, "no job matches `{}`; unfinished jobs:{}", stringify!($($wanted)+), found.seen);
    }};
}

/// Asserts that no unfinished job matches a pattern, or equals a value: the opposite of
/// [`assert_enqueued!`](crate::assert_enqueued).
#[macro_export]
macro_rules! assert_not_enqueued {
    ($queue:expr, $($wanted:tt)+) => {{
        let found = $crate::__find_enqueued!($queue, $($wanted)+);
        assert!(!found.undecodable, "a payload of the kind does not decode; unfinished jobs:{}", found.seen);
        assert!(!found.matches, "a job matches `{}`; unfinished jobs:{}", stringify!($($wanted)+), found.seen);
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __find_enqueued {
    ($queue:expr, == $job:expr $(, in $delay:expr)? $(,)?) => {{
        let wanted = $job;
        let delay = [$($delay)?].into_iter().next();
        $crate::testing::find_enqueued(&$queue, delay, |job| $crate::testing::is_same(job, &wanted))
    }};
    ($queue:expr, $pattern:pat $(if $guard:expr)? $(, in $delay:expr)? $(,)?) => {{
        let delay = [$($delay)?].into_iter().next();
        #[deny(unused_variables)]
        let found = $crate::testing::find_enqueued(
            &$queue,
            delay,
            |job| ::core::matches!(job, $pattern $(if $guard)?),
        );
        found
    }};
}
