//! What the clones of a context share while the attempt runs.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::Progress;
use crate::poison::ignore_poison;
use crate::{Error, JobId, JobSpec, Result};

/// What a handler reported of its attempt so far.
#[derive(Debug, Default)]
pub(crate) struct AttemptState {
    progress: Mutex<Option<Progress>>,
    follow_ups: Mutex<FollowUps>,
}

#[derive(Debug, Default)]
struct FollowUps {
    jobs: Vec<JobSpec>,
    /// Only ids that the handler chose can be the same.
    ids: BTreeSet<JobId>,
    stage: Stage,
}

/// Whether follow-ups can be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    #[default]
    Open,
    /// A transaction of the application completes the job, if it is committed. It may be another
    /// one than the first, which was rolled back.
    MayBeCompleted,
    #[cfg_attr(not(feature = "runtime"), expect(dead_code, reason = "only a worker ends attempts"))]
    Ended,
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
        let refused = |message: String| Err(Error::invalid("keep a follow-up job", message));
        match follow_ups.stage {
            Stage::Open => {}
            Stage::MayBeCompleted => {
                let advice = "keep it before `complete`, or enqueue it in the transaction";
                return refused(format!("the request to complete the job has been made; {advice}"));
            }
            Stage::Ended => return refused("the attempt has ended".to_owned()),
        }
        if follow_ups.jobs.len() + jobs.len() > limit {
            return refused(format!("the job would have more than {limit} follow-ups"));
        }
        if let Some(job) = jobs.iter().find(|job| follow_ups.ids.contains(&job.id)) {
            return refused(format!("the id {} was given before", job.id));
        }
        follow_ups.ids.extend(jobs.iter().map(|job| job.id));
        follow_ups.jobs.extend(jobs);
        Ok(())
    }

    pub(super) fn follow_ups(&self) -> Vec<JobSpec> {
        ignore_poison(self.follow_ups.lock()).jobs.clone()
    }

    /// Returns the follow-ups for a transaction that completes the job, and the stage before. None
    /// can be added any more.
    pub(super) fn begin_completion(&self) -> (Vec<JobSpec>, Stage) {
        let mut follow_ups = ignore_poison(self.follow_ups.lock());
        let before = std::mem::replace(&mut follow_ups.stage, Stage::MayBeCompleted);
        (follow_ups.jobs.clone(), before)
    }

    /// Goes back to this stage, because the request was refused before it could be sent.
    pub(super) fn end_completion(&self, before: Stage) {
        ignore_poison(self.follow_ups.lock()).stage = before;
    }

    /// Ends the attempt. Returns whether a transaction of the application may have completed the
    /// job.
    #[cfg(feature = "runtime")]
    pub(crate) fn end(&self) -> bool {
        let mut follow_ups = ignore_poison(self.follow_ups.lock());
        std::mem::replace(&mut follow_ups.stage, Stage::Ended) == Stage::MayBeCompleted
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn take_follow_ups(&self) -> Vec<JobSpec> {
        std::mem::take(&mut ignore_poison(self.follow_ups.lock()).jobs)
    }
}
