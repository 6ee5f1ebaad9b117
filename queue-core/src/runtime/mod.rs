//! The worker runtime: claims jobs from a list of backends, runs them, and settles them.
//!
//! # Who does what
//!
//! | folder | contents | may use |
//! |---|---|---|
//! | `decide` | decisions without side effects, to which time is passed | |
//! | `shared` | state that several loops use, one lock or signal per type | `decide` |
//! | `run` | one attempt of a job: handler, timeout, panic, verdict | `shared` |
//! | `loops` | the tasks: await, ask `decide`, act | `run`, `shared`, `decide` |
//! | `worker` | builds the state of a worker | `shared` |
//! | `running_worker` | starts the loops, and shuts them down | all of them |
//! | `inline` | runs jobs in the caller's task, without loops, for tests | `run`, `shared` |
//!
//! Everything may use `environment` (time, random numbers, threads) and `settings`.
//!
//! # Which part signals which, and by what
//!
//! There is one claim, settle, heartbeat and upkeep loop per backend, and one slot loop per slot.
//! The claim, settle, heartbeat and upkeep loops run where no handler does. So does the loop that
//! stores and fires schedules, which shares nothing with the others.
//!
//! ```text
//!                    Membership: worker id, may_rescue
//!  ┌────────────────┐  set_id ──► registered     ┌─────────────┐
//!  │ heartbeat loop │ ─────────────────────────► │ upkeep loop │
//!  └─┬──────────────┘                            └──────┬──────┘
//!    │   ▲ Membership::report_loss                      │
//!    │   │ (a claim returned WorkerLost)                │ ClaimSignals::change_plan
//!    │   │                                              │ (jobs were rescued)
//!    │   │      ClaimSignals::change_plan               │
//!    │   │      (registered; a job is due)              │
//!    │ ┌─┴───────────────────────────────────┐          │
//!    ├►│             claim loop              │◄─────────┘
//!    │ │  Planner: which queue, from where   │◄── wake-ups; replies to parked claims
//!    │ └─┬───────────────────────────────────┘
//!    │   │ Slots::add         ▲  ▲
//!    │   ▼                    │  │ ClaimSignals::end_settle_outage
//!    │ ┌───────────────────┐  │  │ (while settles fail, may_claim is false)
//!    │ │ Slots             │  │  │
//!    │ │  Buffer │ running │  │  └───────────────────────────┐
//!    │ └─┬───────────────┬─┘  │                              │
//!    │   │ next_job      │    │ ClaimSignals::check_again    │
//!    │   ▼               │    │ (room, if want_room was set) │
//!    │ ┌───────────┐     │    │                              │
//!    │ │ slot loop ├─────┼────┘                              │
//!    │ │  Attempt  │     │   SettlementQueue::push    ┌──────┴──────┐
//!    │ └───┬───────┘     │   ┌──────────────────────► │ settle loop │
//!    │     └─────────────┼───┤                        └─────────────┘
//!    │      a verdict    │   │ a job that was released or cancelled before it started
//!    │                   └───┘
//!    └► Slots::interrupt (job cancelled, lease lost), Slots::running (progress to report)
//! ```
//!
//! The claim loop (for wake-ups) and the heartbeat loop (for replies) cancel jobs by
//! `Slots::remove` and `Slots::interrupt`. A shutdown ends the loops by `StopSignals`: claims; then
//! the slots, by `Slots::close`; then settles; then heartbeats and upkeep.

mod decide;
mod environment;
#[cfg(feature = "testing")]
mod inline;
mod loops;
mod run;
mod running_worker;
mod settings;
mod shared;
#[cfg(test)]
mod testing;
mod worker;

#[cfg(feature = "testing")]
pub(crate) use inline::InlineWorker;
#[cfg(feature = "testing")]
pub use inline::{Run, Runs};

pub use environment::{Environment, EnvironmentFuture, Place};
pub use loops::shutdown::ShutdownReport;
pub use running_worker::RunningWorker;
pub use settings::{DEFAULT_SLOTS, WorkerSettings};
pub use worker::Worker;
