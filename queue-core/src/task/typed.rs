//! The common part of all task definitions: registration, enqueue, decoding and results.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, RwLock, Weak};

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{TaskFn, TaskFuture, TaskHandle, encode};
use crate::poison::ignore_poison;
use crate::{
    Enqueuer, Error, ErrorKind, Handler, HandlerResult, JobContext, JobError, Kind, NewJob, Payload, Queue,
    Result, Stop, TaskOptions,
};

/// The common part of both definitions. `R` is the result type of the handler.
pub(super) struct Definition<P, R> {
    pub(super) name: &'static str,
    pub(super) options: TaskOptions,
    pub(super) options_fn: Option<fn() -> TaskOptions>,
    run: Run<P, R>,
    registered: RwLock<Option<Weak<dyn Enqueuer>>>,
    payload: PhantomData<fn(P)>,
}

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

impl<P, R> Definition<P, R>
where
    P: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    pub(super) const fn new(name: &'static str, run: Run<P, R>) -> Self {
        let registered = RwLock::new(None);
        Self { name, options: TaskOptions::new(), options_fn: None, run, registered, payload: PhantomData }
    }

    #[cfg(feature = "runtime")]
    pub(super) fn blocking<F>(name: &'static str, function: F) -> Self
    where
        F: Fn(JobContext, P) -> HandlerResult<R> + Send + Sync + 'static,
    {
        Self::new(name, Run::Blocking(Arc::new(function)))
    }

    pub(super) fn from_fn<F, Fut>(name: &'static str, handler: F) -> Self
    where
        F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = HandlerResult<R>> + Send + 'static,
    {
        Self::new(name, Run::Shared(Arc::new(move |context, payload| Box::pin(handler(context, payload)))))
    }

    pub(super) fn options(&self) -> TaskOptions {
        self.options_fn.map_or_else(|| self.options.clone(), |make| make())
    }

    pub(super) fn register(&self, queue: &mut dyn Queue) -> Result<TaskHandle<P>> {
        let handler = TypedHandler { run: self.run.clone() };
        queue.handle(self.name, Arc::new(handler), self.options())?;
        let enqueuer = queue.enqueuer();
        *ignore_poison(self.registered.write()) = Some(Arc::downgrade(&enqueuer));
        Ok(TaskHandle::new(Kind::new(self.name)?, enqueuer))
    }

    pub(super) fn handle(&self) -> Result<TaskHandle<P>> {
        let fault = |fault| {
            let message = format!("task `{}` {fault}", self.name);
            Error::new(ErrorKind::NotFound, "enqueue a job", message)
        };
        let registered = ignore_poison(self.registered.read()).clone();
        let enqueuer = registered.ok_or_else(|| fault("was never registered on a queue"))?;
        let enqueuer =
            enqueuer.upgrade().ok_or_else(|| fault("was registered on a queue that was dropped"))?;
        Ok(TaskHandle::new(Kind::new(self.name)?, enqueuer))
    }

    pub(super) fn job(&self, payload: &P) -> Result<NewJob> {
        let job = NewJob::new(Kind::new(self.name)?, encode::payload(self.name, payload)?);
        Ok(job.with_defaults(&self.options()))
    }
}

/// Decodes the payload, runs the handler, and captures the result.
struct TypedHandler<P, R> {
    run: Run<P, R>,
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
        if !is_unit::<R>() {
            context.capture_result(encode::result(&result)?);
        }
        Ok(())
    }

    fn stop(&self) -> Stop {
        self.run.stop()
    }
}

/// Decodes the payload of a typed task. A payload of another type fails the attempt.
pub(super) fn decode<P: DeserializeOwned>(payload: &Payload) -> HandlerResult<P> {
    payload.decode().map_err(|error| {
        let wanted = std::any::type_name::<P>();
        JobError::retry(format!("the payload does not decode as `{wanted}`: {}", error.message()))
    })
}

fn is_unit<R: 'static>() -> bool {
    std::any::TypeId::of::<R>() == std::any::TypeId::of::<()>()
}
