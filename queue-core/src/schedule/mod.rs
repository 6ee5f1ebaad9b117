//! Schedules: jobs that are inserted at the times of an expression.
//!
//! A schedule is a row of the storage. Any worker fires it: it inserts the job and moves the
//! schedule on in one transaction, which succeeds only if no other worker was first. So no leader
//! is needed, and each slot fires once.
//!
//! A *slot* is a time of the expression. The next slot is computed from the last one, and never
//! from the time at which a worker looked. A slot *fires* when its job is inserted.

#[cfg(feature = "runtime")]
mod advance;
mod declaration;
#[cfg(feature = "runtime")]
mod declared;
mod definition;
mod deployment;
#[cfg(feature = "runtime")]
mod fire;
mod manage;
mod record;
mod rule;
mod state;
mod text;
mod when;

#[cfg(feature = "runtime")]
pub(crate) use declaration::Declaration;
pub use declaration::Scheduled;
#[cfg(feature = "runtime")]
pub(crate) use declared::Declared;
pub use deployment::Deployment;
#[cfg(feature = "runtime")]
pub(crate) use fire::{Fired, Unreadable, fire_due};
pub use manage::Schedules;
pub use record::ScheduleRecord;
pub use state::{Fire, FireOutcome};
pub use when::{CatchUp, Overlap, Schedule};
