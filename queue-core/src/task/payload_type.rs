//! Payload types that say of which kind their jobs are.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{TaskOptions, Unique};

/// A payload type: the kind, the options and the result type of its jobs.
///
/// Usually it is derived: `#[derive(Task)]`, from the crate `queue` with the feature `derive`. The
/// handler is a function of the type, which [`Worker::handle`](crate::Worker::handle) registers. A
/// program that only enqueues needs the type alone.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{JobQueue, MemoryBackend, Task, TaskOptions};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct SendEmail { to: String }
///
/// impl Task for SendEmail {
///     const KIND: &'static str = "send-email";
///     type Output = ();
///
///     fn options() -> TaskOptions {
///         TaskOptions::new().max_retries(3)
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let job = jobs.enqueue(SendEmail { to: "ada".into() }).priority(5).await?;
/// assert!(job.is_new());
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "this type has no kind",
    note = "derive it: `#[derive(Serialize, Deserialize, Task)]` and `#[task(kind = \"…\")]`"
)]
pub trait Task: Serialize + DeserializeOwned + Send + 'static {
    /// The kind of its jobs. It must not change when the type is renamed.
    const KIND: &'static str;

    /// What its handler returns. It is stored with the job; `()` stores nothing.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Returns the options of its jobs. A single [`Enqueue`](crate::Enqueue) may override them. The
    /// delays of retries are not stored with the jobs: see [`RetryPolicy`](crate::RetryPolicy).
    fn options() -> TaskOptions {
        TaskOptions::new()
    }

    /// Returns what makes this job unique among the jobs of its kind (default: nothing).
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// Returns when a job of this type is inserted without a request, and the job (default: never).
    /// [`Worker::handle`](crate::Worker::handle) stores the schedule, with the kind as its name.
    #[cfg(feature = "schedules")]
    #[must_use]
    fn schedule() -> Option<(crate::Schedule, Self)> {
        None
    }
}
