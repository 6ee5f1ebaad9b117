//! Typed tasks, the contract between a queue and its storage, and the worker runtime.
//!
//! This crate has no SQL and no driver. Programs use it through the facade `queue`. A storage
//! backend implements [`Backend`], and `queue-testkit` tests it.
//!
//! | to | start at |
//! |---|---|
//! | enqueue, cancel and inspect jobs | [`JobQueue`], [`Task`], [`Enqueue`] |
//! | await the result of a job | [`JobHandle::result`], [`JobQueue::result`], [`ResultError`] |
//! | learn what happens to jobs | [`JobQueue::events`], [`JobEvent`] |
//! | handle jobs | [`Worker`], [`TaskFunction`], [`State`], [`JobContext`], [`JobError`] |
//! | insert jobs at the times of a cron expression | [`Schedule`], [`JobQueue::schedules`] |
//! | define a task as a value | [`TaskDefinition`], [`ResultTask`] |
//! | enqueue and handle kinds that are texts | [`Enqueuer`], [`Queue`], [`Handler`] |
//! | let modules register their own jobs | [`HasJobs`] |
//! | write a backend | [`backend`] |
//! | test a program that uses the queue | the module `testing`, with the feature of that name |

mod attributes;
pub mod backend;
mod border;
mod capture;
mod clock;
mod context;
mod enqueue;
mod enqueuer;
mod error;
mod error_chain;
mod events;
mod handler;
mod id;
mod job;
mod job_queue;
mod job_state;
pub mod limits;
#[cfg(feature = "memory")]
mod memory;
mod metrics;
#[cfg(feature = "runtime")]
mod middleware;
mod name;
#[cfg(feature = "runtime")]
mod panic;
#[cfg(feature = "runtime")]
mod parked;
mod payload;
mod poison;
mod prepared;
mod queue;
mod result_error;
mod results;
mod retry;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "schedules")]
mod schedule;
mod sql_contract;
mod state;
mod submitted;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod unique;
mod waiters;

pub use attributes::Attributes;
pub use backend::{Backend, CancelReply, JobEnd, JobRecord, RetryReply};
pub use capture::ResultCapture;
pub use context::{Complete, JobContext, Progress};
pub use enqueue::{Enqueue, EnqueueFuture, IntoJob, JobHandle};
pub use enqueuer::{Enqueuer, EnqueuerExt};
pub use error::{Error, ErrorKind, Result};
pub use events::{JobAttempt, JobEvent, JobEvents};
#[cfg(feature = "runtime")]
pub use handler::{Blocking, blocking};
pub use handler::{Handler, HandlerResult, JobError, Stop};
pub use id::{ClaimId, JobId, Token, WorkerId};
pub use job::{JobSpec, NewJob, TaskOptions};
pub use job_queue::JobQueue;
pub use job_state::JobState;
pub use limits::Limits;
#[cfg(feature = "memory")]
pub use memory::MemoryBackend;
#[cfg(feature = "runtime")]
pub use middleware::{Middleware, Next};
pub use name::{Kind, QueueName, ScheduleName};
pub use payload::Payload;
pub use prepared::Prepared;
pub use queue::{HasJobs, Queue};
pub use result_error::{ResultError, ResultErrorKind};
pub use retry::{Backoff, DelayFn, RetryPolicy};
#[cfg(feature = "runtime")]
pub use runtime::{RunningWorker, Worker};
#[cfg(feature = "schedules")]
pub use schedule::{
    CatchUp, Deployment, Fire, FireOutcome, Overlap, Schedule, ScheduleRecord, Scheduled, Schedules,
};
pub use sql_contract::{Deferred, SqlFailure, SqlRequest, SqlStatement, SqlWake};
pub use state::StateType;
pub use submitted::{Insertion, Submitted};
#[cfg(feature = "runtime")]
pub use task::{BlockingTaskFunction, TaskFunction};
pub use task::{
    FromContext, ResultTask, ResultTaskHandle, State, Task, TaskDefinition, TaskFn, TaskFuture, TaskHandle,
};
pub use time::{Timestamp, saturating_micros};
pub use unique::{Unique, UniqueKey};

/// The token that is cancelled when a handler must stop.
pub use tokio_util::sync::CancellationToken;
