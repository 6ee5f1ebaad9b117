//! Typed tasks: a kind together with its payload type, its handler and its options.

mod definition;
mod encode;
mod handle;
mod payload_task;
mod result;
mod typed;

use std::future::Future;
use std::pin::Pin;

pub use definition::TaskDefinition;
pub use handle::TaskHandle;
pub use payload_task::Task;
pub use result::{ResultTask, ResultTaskHandle};

use crate::{HandlerResult, JobContext};

/// The future of a typed handler.
pub type TaskFuture<R> = Pin<Box<dyn Future<Output = HandlerResult<R>> + Send>>;

/// A typed handler that captures nothing, so that a definition can be a `static`.
pub type TaskFn<P, R> = fn(JobContext, P) -> TaskFuture<R>;
