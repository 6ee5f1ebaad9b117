//! Functions that handle the jobs of a payload type.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;

use super::typed::{decode, store_result};
use super::{FromContext, Task};
use crate::handler::off_thread;
use crate::state::StateType;
use crate::{Handler, HandlerResult, JobContext, JobError, Payload, Stop, TaskOptions};

/// An async function that handles the jobs of `T`: the payload first, then up to eight parameters
/// that implement [`FromContext`].
///
/// It returns a `Result<T::Output, E>`, for any error that converts into a [`JobError`]. `Args` is
/// the tuple of its further parameters, which the compiler infers. A closure must name its error
/// type: `|job: Greet| async { HandlerResult::Ok(()) }`. The trait is implemented for all
/// such functions and is not meant to be implemented by hand.
///
/// ```
/// use queue_core::{HandlerResult, JobId, State, Task, Worker};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Greet { name: String }
/// # impl Task for Greet { const KIND: &'static str = "greet"; type Output = (); }
///
/// async fn greet(job: Greet, id: JobId, greeting: State<String>) -> HandlerResult {
///     println!("{id}: {} {}", *greeting, job.name);
///     Ok(())
/// }
/// # fn worker(jobs: &queue_core::JobQueue) -> Worker {
/// Worker::new(jobs).state("hello".to_owned()).handle(greet)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle jobs",
    label = "not a handler function",
    note = "a handler is an `async fn(job: T, …) -> HandlerResult<T::Output>`; check that",
    note = "- the first parameter is the payload, and its type `T` derives `Task`",
    note = "- the others implement `FromContext`: `State<…>`, `JobContext`, `JobId`, `JobQueue`, …",
    note = "- all of them are taken by value",
    note = "- it returns the `output` of the task, which is `()` if none is given",
    note = "- its error is a `JobError`, a text, or any error that is `Send + Sync`",
    note = "- its future is `Send`: it holds no `Rc` and no lock guard across an `.await`",
    note = "the types, written out, show which: `.handle::<T, (State<…>, JobId)>(function)`",
    note = "a function that blocks its thread is registered with `handle_blocking`"
)]
pub trait TaskFunction<T: Task, Args>: Send + Sync + 'static {
    /// Takes the parameters from the context, and calls the function, e.g. in a test of a handler.
    fn handle(&self, job: T, context: &JobContext) -> impl Future<Output = HandlerResult<T::Output>> + Send;

    /// Returns the types of state that the parameters need.
    fn needs() -> Vec<StateType>;
}

/// A function that handles the jobs of `T` and blocks its thread. Its parameters are those of a
/// [`TaskFunction`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle jobs on a blocking thread",
    label = "not a blocking handler function",
    note = "a blocking handler is a `fn(job: T, …) -> HandlerResult<T::Output>`; check that",
    note = "- the first parameter is the payload, and its type `T` derives `Task`",
    note = "- the others implement `FromContext`: `State<…>`, `JobContext`, `JobId`, `JobQueue`, …",
    note = "- all of them are taken by value",
    note = "- it returns the `output` of the task, which is `()` if none is given",
    note = "- its error is a `JobError`, a text, or any error that is `Send + Sync`",
    note = "the types, written out, show which: `.handle_blocking::<T, (State<…>, JobId)>(function)`",
    note = "an `async fn` is registered with `handle`"
)]
pub trait BlockingTaskFunction<T: Task, Args>: Send + Sync + 'static {
    /// Takes the parameters from the context, and calls the function.
    ///
    /// # Errors
    /// Those of the parameters, and those of the function.
    fn handle(&self, job: T, context: &JobContext) -> HandlerResult<T::Output>;

    /// Returns the types of state that the parameters need.
    fn needs() -> Vec<StateType>;
}

macro_rules! task_functions {
    ($($parameter:ident)*) => {
        impl<F, Fut, E, T, $($parameter,)*> TaskFunction<T, ($($parameter,)*)> for F
        where
            F: Fn(T, $($parameter,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T::Output, E>> + Send,
            E: Into<JobError>,
            T: Task,
            $($parameter: FromContext,)*
        {
            async fn handle(&self, job: T, context: &JobContext) -> HandlerResult<T::Output> {
                let _ = context; // A function without parameters does not read it.
                self(job, $($parameter::from_context(context)?,)*).await.map_err(Into::into)
            }

            fn needs() -> Vec<StateType> {
                std::iter::empty()$(.chain($parameter::needs()))*.collect()
            }
        }

        impl<F, E, T, $($parameter,)*> BlockingTaskFunction<T, ($($parameter,)*)> for F
        where
            F: Fn(T, $($parameter,)*) -> Result<T::Output, E> + Send + Sync + 'static,
            E: Into<JobError>,
            T: Task,
            $($parameter: FromContext,)*
        {
            fn handle(&self, job: T, context: &JobContext) -> HandlerResult<T::Output> {
                let _ = context; // A function without parameters does not read it.
                self(job, $($parameter::from_context(context)?,)*).map_err(Into::into)
            }

            fn needs() -> Vec<StateType> {
                std::iter::empty()$(.chain($parameter::needs()))*.collect()
            }
        }
    };
}

task_functions!();
task_functions!(A);
task_functions!(A B);
task_functions!(A B C);
task_functions!(A B C D);
task_functions!(A B C D G);
task_functions!(A B C D G H);
task_functions!(A B C D G H I);
task_functions!(A B C D G H I J);

/// Returns the handler of an async function, and the options of its jobs with what it needs.
pub(crate) fn handler_of<T: Task, Args: 'static, F: TaskFunction<T, Args>>(
    function: F,
) -> (Arc<dyn Handler>, TaskOptions) {
    let types = PhantomData::<fn(T, Args)>;
    (Arc::new(FunctionHandler { function, types }), options_of::<T>(F::needs()))
}

/// The same for a function that blocks its thread.
pub(crate) fn blocking_handler_of<T: Task, Args: 'static, F: BlockingTaskFunction<T, Args>>(
    function: F,
) -> (Arc<dyn Handler>, TaskOptions) {
    let types = PhantomData::<fn(T, Args)>;
    let handler = BlockingFunctionHandler { function: Arc::new(function), types };
    (Arc::new(handler), options_of::<T>(F::needs()))
}

fn options_of<T: Task>(needs: Vec<StateType>) -> TaskOptions {
    let mut options = T::options();
    options.needs.extend(needs);
    options
}

/// The [`Handler`] of an async function.
struct FunctionHandler<F, T, Args> {
    function: F,
    types: PhantomData<fn(T, Args)>,
}

#[async_trait]
impl<F, T, Args> Handler for FunctionHandler<F, T, Args>
where
    F: TaskFunction<T, Args>,
    T: Task,
    Args: 'static,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        let output = self.function.handle(decode(&payload)?, &context).await?;
        store_result(&context, &output)
    }
}

/// The [`Handler`] of a function that blocks its thread.
struct BlockingFunctionHandler<F, T, Args> {
    function: Arc<F>,
    types: PhantomData<fn(T, Args)>,
}

#[async_trait]
impl<F, T, Args> Handler for BlockingFunctionHandler<F, T, Args>
where
    F: BlockingTaskFunction<T, Args>,
    T: Task,
    Args: 'static,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        let (function, job) = (Arc::clone(&self.function), decode(&payload)?);
        let output = off_thread({
            let context = context.clone();
            move || function.handle(job, &context)
        });
        store_result(&context, &output.await?)
    }

    fn stop(&self) -> Stop {
        Stop::OnReturn
    }
}
