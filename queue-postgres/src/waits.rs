//! From when on jobs wait: what keeps the search for them from walking over entries that are long gone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use queue_core::backend::ignore_poison;
use queue_core::{QueueName, Timestamp};

/// How far behind the last look waiting jobs are looked for again: their commit may be late.
const LOOK_BACK: Duration = Duration::from_secs(2);

/// For each queue the moment before which nothing waits, as the last claim found it.
///
/// While an old snapshot is held PostgreSQL cannot remove index entries, and whoever looks for the job that is due
/// first walks over those of all that have been promoted since. Nothing here is needed to be correct: a claim from the head
/// looks at everything that waits.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<HashMap<QueueName, Timestamp>>);

impl Waits {
    /// Behind which time a claim with a cursor looks for waiting jobs.
    pub(crate) fn after(&self, queue: &QueueName) -> Option<Timestamp> {
        Some(self.lock().get(queue)?.saturating_sub(LOOK_BACK))
    }

    /// Takes note that nothing that waits is due before `now`.
    pub(crate) fn promoted(&self, queue: &QueueName, now: Timestamp) {
        self.lock().insert(queue.clone(), now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Timestamp>> {
        ignore_poison(self.0.lock())
    }
}
