//! Typed tasks, the contract between a queue and its storage, and the worker runtime.
//!
//! This crate has no SQL and no driver. Programs use it through the facade `queue`. A storage
//! backend implements [`Backend`], and `queue-testkit` tests it.
//!
//! | to | start at |
//! |---|---|
//! | enqueue jobs | [`Enqueuer`], [`Client`] |
//! | handle jobs | [`TaskDefinition`], [`ResultTask`], [`Task`], [`Handler`], [`JobContext`] |
//! | assemble a program | [`JobQueue`], [`HasJobs`] |
//! | write a backend | [`backend`] |
//! | test a program that uses the queue | the module `testing`, with the feature of that name |

mod attributes;
pub mod backend;
mod border;
mod capture;
mod client;
mod context;
mod enqueuer;
mod error;
mod error_chain;
mod handler;
mod id;
mod job;
mod job_state;
pub mod limits;
#[cfg(feature = "memory")]
mod memory;
mod name;
#[cfg(feature = "runtime")]
mod parked;
mod payload;
mod poison;
mod prepared;
mod queue;
mod retry;
#[cfg(feature = "runtime")]
pub mod runtime;
mod state;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use attributes::Attributes;
pub use backend::Backend;
pub use capture::ResultCapture;
pub use client::Client;
pub use context::{JobContext, Progress};
pub use enqueuer::{Dequeued, Enqueuer, EnqueuerExt};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "runtime")]
pub use handler::{Blocking, blocking};
pub use handler::{Handler, HandlerResult, JobError, Stop};
pub use id::{ClaimId, JobId, Token, WorkerId};
pub use job::{Insertion, JobSpec, NewJob, Submitted, TaskOptions};
pub use job_state::JobState;
pub use limits::Limits;
#[cfg(feature = "memory")]
pub use memory::MemoryBackend;
pub use name::{Kind, QueueName};
pub use payload::Payload;
pub use prepared::Prepared;
pub use queue::{HasJobs, JobQueue, Queue};
pub use retry::{Backoff, DelayFn, RetryPolicy};
#[cfg(feature = "runtime")]
pub use runtime::{RunningWorker, Worker};
pub use task::{ResultTask, ResultTaskHandle, Task, TaskDefinition, TaskFn, TaskFuture, TaskHandle};
pub use time::{Timestamp, saturating_micros};

/// The token that is cancelled when a handler must stop.
pub use tokio_util::sync::CancellationToken;
