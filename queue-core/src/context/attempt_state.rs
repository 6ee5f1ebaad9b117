//! What the clones of a context share while the attempt runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Progress;
use crate::poison::ignore_poison;
use crate::{Error, JobSpec, Result};

/// What a handler reported of its attempt so far.
#[derive(Debug, Default)]
pub(crate) struct AttemptState {
    progress: Mutex<Option<Progress>>,
    follow_ups: Mutex<Vec<JobSpec>>,
    may_be_completed: AtomicBool,
}

impl AttemptState {
    pub(super) fn set_progress(&self, progress: Progress) {
        *ignore_poison(self.progress.lock()) = Some(progress);
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        ignore_poison(self.progress.lock()).clone()
    }

    /// Adds follow-ups, of which there may be `limit`.
    pub(super) fn add_follow_ups(&self, jobs: Vec<JobSpec>, limit: usize) -> Result<()> {
        let mut follow_ups = ignore_poison(self.follow_ups.lock());
        let refused = |message| Err(Error::invalid("keep a follow-up job", message));
        if self.may_be_completed() {
            return refused("the job is already completed in a transaction of the application".to_owned());
        }
        if follow_ups.len() + jobs.len() > limit {
            return refused(format!("the job would have more than {limit} follow-ups"));
        }
        // Only ids that the handler chose can be the same.
        if let Some(job) = jobs.iter().find(|job| follow_ups.iter().any(|other| other.id == job.id)) {
            return refused(format!("the id {} was given before", job.id));
        }
        follow_ups.extend(jobs);
        Ok(())
    }

    pub(crate) fn follow_ups(&self) -> Vec<JobSpec> {
        ignore_poison(self.follow_ups.lock()).clone()
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn take_follow_ups(&self) -> Vec<JobSpec> {
        std::mem::take(&mut *ignore_poison(self.follow_ups.lock()))
    }

    /// Notes that a transaction of the application completes the job if it is committed.
    pub(super) fn set_may_be_completed(&self) {
        self.may_be_completed.store(true, Ordering::Release);
    }

    pub(crate) fn may_be_completed(&self) -> bool {
        self.may_be_completed.load(Ordering::Acquire)
    }
}
