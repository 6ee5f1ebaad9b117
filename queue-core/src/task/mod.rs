//! Typed tasks: a kind together with its payload type, its handler and its options.

mod definition;
pub(crate) mod encode;
mod extract;
#[cfg(feature = "runtime")]
mod function;
mod handle;
mod payload_type;
mod typed;

use std::future::Future;
use std::pin::Pin;

pub use definition::{ResultTask, TaskDefinition};
pub use extract::{FromContext, State};
#[cfg(feature = "runtime")]
pub use function::{BlockingTaskFunction, TaskFunction};
#[cfg(feature = "runtime")]
pub(crate) use function::{blocking_handler_of, handler_of};
pub use handle::{ResultTaskHandle, TaskHandle};
pub use payload_type::Task;

use crate::{HandlerResult, JobContext};

/// The future of a typed handler.
pub type TaskFuture<R> = Pin<Box<dyn Future<Output = HandlerResult<R>> + Send>>;

/// A typed handler that captures nothing, so that a definition can be a `static`.
pub type TaskFn<P, R> = fn(JobContext, P) -> TaskFuture<R>;
