//! Locks that a panic has poisoned.

use std::sync::{LockResult, PoisonError};

/// Returns the guard of a lock, even if a thread panicked while it held the lock.
///
/// Otherwise one panic would fail all later requests on the same handle. Use it only if the data is
/// valid at each step of each critical section.
///
/// ```
/// use std::sync::Mutex;
/// use queue_core::backend::ignore_poison;
///
/// let counter = Mutex::new(1);
/// *ignore_poison(counter.lock()) += 1;
/// assert_eq!(*ignore_poison(counter.lock()), 2);
/// ```
pub fn ignore_poison<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
