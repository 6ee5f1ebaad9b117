//! A helper that runs a handler without a queue.

use crate::{Handler, HandlerResult, JobContext, JobSpec, Payload, ResultCapture};

/// The outcome of a handler, and its result.
#[derive(Debug)]
pub struct Inline {
    /// The outcome.
    pub outcome: HandlerResult,
    /// The captured result. A worker stores it only if the outcome is `Ok`.
    pub result: Option<Vec<u8>>,
    /// The [follow-ups](crate::Enqueue::on_success). A worker stores them only if the outcome is
    /// `Ok`.
    pub follow_ups: Vec<JobSpec>,
}

/// Runs one attempt of a handler in this task.
///
/// ```
/// use queue_core::{HandlerResult, JobContext, Kind, Payload};
/// use queue_core::testing::run_inline;
///
/// async fn double(context: JobContext, payload: Payload) -> HandlerResult {
///     let number: u32 = payload.decode()?;
///     context.capture_json(&(number * 2))?;
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let context = JobContext::new(Kind::new("double")?).with_attempt(2);
/// let run = run_inline(&double, context, Payload::json("21")?).await;
/// assert!(run.outcome.is_ok());
/// assert_eq!(run.result.as_deref(), Some(b"42".as_slice()));
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
pub async fn run_inline(handler: &dyn Handler, context: JobContext, payload: Payload) -> Inline {
    let capture = ResultCapture::new();
    let outcome = handler.run(context.clone().with_result_capture(capture.clone()), payload).await;
    Inline { outcome, result: capture.result(), follow_ups: context.follow_ups() }
}
