//! The jobs whose ends a handle announces.

use std::collections::HashMap;

use queue_core::JobId;
use queue_core::backend::WakeHints;

/// The maximum number of watched jobs. Jobs that end in other processes stay in the list, so
/// without a limit it would grow for ever.
const MAX_WATCHED: usize = 100_000;

/// The jobs whose ends this handle announces.
///
/// They are in memory and not in the file, so that a caller that waits writes nothing and never
/// needs the lock. Other handles notice each commit of this one by a look at the file
/// ([`ForeignCommits`](crate::wake::ForeignCommits)), so that only its own callers need an
/// announcement. A list that is lost with its connection is filled by the next poll of the callers.
#[derive(Default)]
pub(crate) struct WatchedJobs(HashMap<i64, JobId>);

impl WatchedJobs {
    pub(crate) fn add(&mut self, seq: i64, job: JobId) {
        if self.0.len() >= MAX_WATCHED {
            self.0.clear();
        }
        self.0.insert(seq, job);
    }

    pub(crate) fn remove(&mut self, seq: i64) {
        self.0.remove(&seq);
    }

    /// Announces those of these jobs, which have just ended, that are watched.
    ///
    /// They stay in the list until the watch that sees them ended, because this transaction may be
    /// rolled back and repeated.
    pub(crate) fn announce(&self, ended: impl Iterator<Item = i64>, hints: &mut WakeHints) {
        if !self.0.is_empty() {
            let watched = ended.filter_map(|seq| self.0.get(&seq));
            watched.for_each(|job| hints.add_finished(*job));
        }
    }
}
