//! Placeholder.

/// Placeholder.
#[derive(Debug)]
pub struct Worker;
/// Placeholder.
#[derive(Debug)]
pub struct RunningWorker;
