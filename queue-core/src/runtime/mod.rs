//! The worker runtime: claims jobs of a list of backends, runs them, and settles them.
//!
//! Each part can be read by itself:
//!
//! | part | what it does |
//! |---|---|
//! | `planner` | decides what to claim next, from which queue and from where in it |
//! | `claim` | the claim loop of a backend: plan, claim, hand over, wait |
//! | `buffer` | claimed jobs that wait for a slot, in the order of their priority |
//! | `slot`, `attempt` | take a job, run one attempt of it, find its verdict |
//! | `settle` | verdicts on their way to the backend, as many together as arrive |
//! | `heartbeat` | the life of the worker on a backend |
//! | `upkeep` | rescue and pruning |
//! | `shutdown` | stop claiming, release, let finish, cancel, release |
//! | `served_backend`, `worker_state` | what the loops of one backend share, and those of all |
//! | `environment` | time, chance, and where tasks run |
//!
//! The deciding parts (`planner`, `buffer`, the heartbeat's rhythm, what a settle's answer means)
//! are plain values to which time is passed; the loops around them act in an [`Environment`].

mod decide;
mod environment;
mod loops;
mod run;
mod settings;
mod shared;
#[cfg(test)]
mod testing;
mod worker;

pub use environment::{Environment, EnvironmentFuture, Place};
pub use loops::shutdown::ShutdownReport;
pub use settings::{DEFAULT_SLOTS, WorkerSettings};
pub use worker::{RunningWorker, Worker};
