//! Placeholder.

/// Placeholder.
#[derive(Debug)]
pub struct MemoryBackend;
