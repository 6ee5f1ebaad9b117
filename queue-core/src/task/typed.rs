//! What all typed handlers share: decoding of payloads, and results.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TaskFn, TaskFuture, encode};
use crate::{Handler, HandlerResult, JobContext, JobError, Payload, Stop};

/// How a handler of a definition is called.
pub(super) enum Run<P, R> {
    Static(TaskFn<P, R>),
    Shared(Arc<dyn Fn(JobContext, P) -> TaskFuture<R> + Send + Sync>),
    #[cfg(feature = "runtime")]
    Blocking(Arc<dyn Fn(JobContext, P) -> HandlerResult<R> + Send + Sync>),
}

impl<P, R> Clone for Run<P, R> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(function) => Self::Static(*function),
            Self::Shared(function) => Self::Shared(Arc::clone(function)),
            #[cfg(feature = "runtime")]
            Self::Blocking(function) => Self::Blocking(Arc::clone(function)),
        }
    }
}

impl<P: Send + 'static, R: Send + 'static> Run<P, R> {
    fn start(&self, context: JobContext, payload: P) -> TaskFuture<R> {
        match self {
            Self::Static(function) => function(context, payload),
            Self::Shared(function) => function(context, payload),
            #[cfg(feature = "runtime")]
            Self::Blocking(function) => {
                let function = Arc::clone(function);
                Box::pin(crate::handler::off_thread(move || function(context, payload)))
            }
        }
    }

    fn stop(&self) -> Stop {
        match self {
            Self::Static(_) | Self::Shared(_) => Stop::OnDrop,
            #[cfg(feature = "runtime")]
            Self::Blocking(_) => Stop::OnReturn,
        }
    }
}

/// Decodes the payload, runs the handler, and captures the result.
pub(super) struct TypedHandler<P, R> {
    pub(super) run: Run<P, R>,
}

#[async_trait]
impl<P, R> Handler for TypedHandler<P, R>
where
    P: DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    async fn run(&self, context: JobContext, payload: Payload) -> HandlerResult {
        let value = decode::<P>(&payload)?;
        let result = self.run.start(context.clone(), value).await?;
        store_result(&context, &result)
    }

    fn stop(&self) -> Stop {
        self.run.stop()
    }
}

/// Decodes the payload of a typed task.
pub(super) fn decode<P: DeserializeOwned>(payload: &Payload) -> HandlerResult<P> {
    payload.decode().map_err(|error| {
        let wanted = type_name::<P>();
        JobError::undecodable(format!("the payload does not decode as `{wanted}`: {}", error.message()))
    })
}

/// Captures what a typed handler returned. A `()` is no result.
pub(super) fn store_result<R>(context: &JobContext, result: &R) -> HandlerResult
where
    R: Serialize + DeserializeOwned + 'static,
{
    if TypeId::of::<R>() != TypeId::of::<()>() {
        context.capture_result(encode::result(result)?);
    }
    Ok(())
}
