//! Cancelling jobs.

use super::store::{Ending, Stage, Store};
use crate::backend::{CancelReply, CancelRequest, IfRunning};
use crate::{JobId, State, Timestamp};

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
        match (&live.stage, if_running) {
            (Stage::Running(_), IfRunning::Leave) => CancelReply::Running,
            (Stage::Running(_), IfRunning::Signal) => {
                live.cancel_wanted = true;
                self.hints.add_cancel(id);
                CancelReply::Running
            }
            (Stage::Scheduled | Stage::Retrying | Stage::Ready, _) => {
                let ending = Ending { state: State::Cancelled, claim: None, result: None, error: None };
                self.finish(id, now, ending);
                CancelReply::Cancelled
            }
        }
    }
}
