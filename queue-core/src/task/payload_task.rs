//! A task whose payload type is also its handler.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::TaskHandle;
use super::typed::decode;
use crate::{Handler, HandlerResult, JobContext, Kind, Payload, Queue, Result, TaskOptions};

/// A payload type with a kind, options and a handler.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, JobContext, JobQueue, MemoryBackend, Task, TaskOptions};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct SendEmail { to: String }
///
/// impl Task for SendEmail {
///     const KIND: &'static str = "send-email";
///
///     fn options() -> TaskOptions {
///         TaskOptions::new().max_retries(3)
///     }
///
///     async fn run(self, context: JobContext) -> HandlerResult {
///         println!("{} to {}", context.id(), self.to);
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut queue = JobQueue::new(Arc::new(MemoryBackend::new()));
/// let send_email = SendEmail::register(&mut queue)?;
/// send_email.enqueue(&SendEmail { to: "ada".into() }).await?;
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind of its jobs. It must not change when the type is renamed.
    const KIND: &'static str;

    /// Returns the options of its jobs.
    fn options() -> TaskOptions {
        TaskOptions::new()
    }

    /// Runs one attempt.
    fn run(self, context: JobContext) -> impl Future<Output = HandlerResult> + Send;

    /// Registers the task, and returns the handle that enqueues its jobs.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    fn register(queue: &mut dyn Queue) -> Result<TaskHandle<Self>> {
        queue.handle(Self::KIND, Arc::new(TaskHandler::<Self>(std::marker::PhantomData)), Self::options())?;
        Ok(TaskHandle::new(Kind::new(Self::KIND)?, queue.enqueuer()))
    }
}

struct TaskHandler<T>(std::marker::PhantomData<fn() -> T>);

#[async_trait]
impl<T: Task> Handler for TaskHandler<T> {
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        decode::<T>(&payload)?.run(context).await
    }
}
