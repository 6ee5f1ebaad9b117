//! What a handler function can ask for besides its payload.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::state::StateType;
use crate::{Attributes, CancellationToken, HandlerResult, JobContext, JobId, JobQueue};

/// A parameter of a handler function, taken from the context of the job.
///
/// [`State<T>`](State), [`JobContext`], [`JobId`], [`JobQueue`], [`CancellationToken`] and
/// `Option<`[`Attributes`]`>` are such parameters. An application may add its own:
///
/// ```
/// use queue_core::{FromContext, HandlerResult, JobContext};
///
/// struct Attempt(u32);
///
/// impl FromContext for Attempt {
///     fn from_context(context: &JobContext) -> HandlerResult<Self> {
///         Ok(Self(context.attempt()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot ask for `{Self}`",
    label = "not a parameter of a handler",
    note = "parameters after the payload are `State<T>`, `JobContext`, `JobId`, `JobQueue`, \
            `CancellationToken`, `Option<Attributes>`, and types that implement `FromContext`"
)]
pub trait FromContext: Sized + Send + 'static {
    /// Takes the parameter from the context of the attempt.
    ///
    /// # Errors
    /// An error fails the attempt.
    fn from_context(context: &JobContext) -> HandlerResult<Self>;

    /// Returns the types of state that the parameter needs. A worker that lacks one does not start.
    #[must_use]
    fn needs() -> Vec<StateType> {
        Vec::new()
    }
}

/// A value that the handlers of a worker share, given by [`Worker::state`](crate::Worker::state).
///
/// It dereferences to the value. A test that calls a handler as a function makes one of any value:
///
/// ```
/// use queue_core::State;
///
/// async fn greet(name: String, greeting: State<String>) -> String {
///     format!("{} {name}", *greeting)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// assert_eq!(greet("ada".into(), State::from("hello".to_owned())).await, "hello ada");
/// # });
/// ```
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Shares a value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// Returns the shared value, which can outlive the job.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.0
    }
}

impl<T> From<T> for State<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0).finish()
    }
}

impl<T: Send + Sync + 'static> FromContext for State<T> {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(Self(context.state()?))
    }

    fn needs() -> Vec<StateType> {
        vec![StateType::of::<T>()]
    }
}

impl FromContext for JobContext {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(context.clone())
    }
}

impl FromContext for JobId {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(context.id())
    }
}

impl FromContext for JobQueue {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(context.jobs()?.clone())
    }
}

impl FromContext for CancellationToken {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(context.cancellation().clone())
    }
}

impl FromContext for Option<Attributes> {
    fn from_context(context: &JobContext) -> HandlerResult<Self> {
        Ok(context.attributes().cloned())
    }
}
