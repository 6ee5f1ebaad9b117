//! The seam between an application's modules and the queue: registration of handlers.

use std::sync::Arc;

use crate::{Enqueuer, Handler, Result, TaskOptions};
#[cfg(feature = "runtime")]
use crate::{Kind, Task, TaskFunction, TaskHandle, task::handler_of};

/// An [`Enqueuer`] that also registers the handler of each kind.
///
/// It is object-safe: modules of an application register on a `&mut dyn Queue`. See
/// [`HasJobs`](crate::HasJobs).
pub trait Queue: Enqueuer {
    /// Registers the handler of a kind. `options` are the defaults of jobs that are enqueued on
    /// this queue. They are stored with each job, and a worker uses the stored ones.
    ///
    /// # Errors
    /// - [`Invalid`](crate::ErrorKind::Invalid) if the kind is not a valid name.
    /// - [`Conflict`](crate::ErrorKind::Conflict) if the kind already has a handler.
    fn handle(&mut self, kind: &str, handler: Arc<dyn Handler>, options: TaskOptions) -> Result<()>;

    /// Returns an enqueuer for the same kinds, which can outlive the borrow of this queue. Each
    /// call returns the same enqueuer, which the queue keeps.
    fn enqueuer(&self) -> Arc<dyn Enqueuer>;
}

#[cfg(feature = "runtime")]
impl dyn Queue + '_ {
    /// Registers an async function for the jobs of a payload type, as
    /// [`Worker::handle`](crate::Worker::handle) does, and returns the handle that enqueues them.
    ///
    /// # Errors
    /// Those of [`Queue::handle`].
    pub fn register<T: Task, Args: 'static>(
        &mut self,
        function: impl TaskFunction<T, Args>,
    ) -> Result<TaskHandle<T, T::Output>> {
        let (handler, options) = handler_of(function);
        self.handle(T::KIND, handler, options)?;
        Ok(TaskHandle::new(Kind::new(T::KIND)?, self.enqueuer()))
    }
}

/// A module of an application that registers its own handlers.
///
/// Call it after the configuration of the application and before workers start.
///
/// ```
/// use std::sync::Arc;
/// use queue_core::{HandlerResult, HasJobs, JobQueue, MemoryBackend, Queue, Result, Task};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct SendInvoice { order: i64 }
///
/// impl Task for SendInvoice { // or `#[derive(Task)]`
///     const KIND: &'static str = "send-invoice";
///     type Output = ();
/// }
///
/// async fn send_invoice(job: SendInvoice) -> HandlerResult {
///     println!("the invoice of order {}", job.order);
///     Ok(())
/// }
///
/// struct Billing;
///
/// impl HasJobs for Billing {
///     fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()> {
///         queue.register(send_invoice)?;
///         Ok(())
///     }
/// }
///
/// let mut jobs = JobQueue::new(Arc::new(MemoryBackend::new()));
/// Billing.register_jobs(&mut jobs)?;
/// # Ok::<(), queue_core::Error>(())
/// ```
pub trait HasJobs {
    /// Registers this module's handlers.
    ///
    /// # Errors
    /// Those of [`Queue::handle`], and those of the module itself.
    fn register_jobs(&self, queue: &mut dyn Queue) -> Result<()>;
}
