//! The errors that a rescue records.

/// The error of an attempt that a rescue took from a lost worker. It is the same in every backend,
/// so that operators can look for it.
pub const WORKER_LOST_ERROR: &str = "the worker that ran the job was lost: it sent no heartbeat in time";

/// The error of an attempt that a rescue took because its lease passed its deadline.
pub const DEADLINE_PASSED_ERROR: &str = "the lease passed its deadline";
