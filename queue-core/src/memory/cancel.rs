//! Cancels of jobs.

use super::store::{Ending, LiveState, Store};
use crate::backend::{CancelReply, CancelRequest, IfRunning};
use crate::{JobId, JobState, Timestamp};

impl Store {
    pub(super) fn cancel(&mut self, now: Timestamp, request: &CancelRequest) -> Vec<CancelReply> {
        request.jobs.iter().map(|id| self.cancel_one(*id, now, request.if_running)).collect()
    }

    fn cancel_one(&mut self, id: JobId, now: Timestamp, if_running: IfRunning) -> CancelReply {
        let Some(live) = self.live.get_mut(&id) else {
            return match self.outcomes.get(&id) {
                Some(outcome) => CancelReply::Finished(outcome.state),
                None => CancelReply::NotFound,
            };
        };
        match (&live.state, if_running) {
            (LiveState::Running(_), IfRunning::Leave) => CancelReply::Running,
            (LiveState::Running(_), IfRunning::Signal) => {
                live.cancel_wanted = true;
                self.hints.add_cancel(id);
                CancelReply::Running
            }
            (LiveState::Scheduled | LiveState::Retrying | LiveState::Ready, _) => {
                let ending = Ending { state: JobState::Cancelled, claim: None, result: None, error: None };
                self.finish(id, now, ending);
                CancelReply::Cancelled
            }
        }
    }
}
