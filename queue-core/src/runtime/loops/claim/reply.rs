//! What a claim loop does with the reply to a claim.

use super::{ClaimLoop, SentClaim};
use crate::backend::{ClaimReply, ClaimedJob, LeasesRequest};
use crate::runtime::decide::planner::{ClaimOutcome, ClaimPlan, MoreJobs};
use crate::{Error, ErrorKind, Result, WorkerId};

impl ClaimLoop<'_> {
    pub(super) async fn take_reply(&mut self, plan: &ClaimPlan, sent: &SentClaim, reply: Result<ClaimReply>) {
        match reply {
            Ok(reply) => self.claimed(plan, sent, reply),
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => {
                self.recover(plan, sent, error).await;
            }
            Err(error) if error.kind() == ErrorKind::WorkerLost => self.lost(plan, sent.worker),
            Err(error) => self.failed(plan, &error).await,
        }
    }

    fn claimed(&mut self, plan: &ClaimPlan, sent: &SentClaim, reply: ClaimReply) {
        self.outage.succeeded();
        let jobs = reply.jobs.len();
        let last_attempts = reply.jobs.iter().filter(|job| job.is_last_attempt()).count();
        let more = if jobs >= sent.limit {
            MoreJobs::Yes
        } else if last_attempts >= sent.last_attempts {
            MoreJobs::WhenSlotFree
        } else {
            MoreJobs::No
        };
        let outcome = ClaimOutcome { has_jobs: jobs > 0, more, next_due: reply.next_due };
        self.planner.claimed(plan, &outcome, self.worker.now());
        self.hand_over(sent.worker, reply.jobs);
    }

    /// Hands jobs to the slots. Releases them if the worker has registered again or shuts down.
    fn hand_over(&self, id: WorkerId, jobs: Vec<ClaimedJob>) {
        if self.backend.membership.id() == Some(id) && !self.worker.stop.claims.is_cancelled() {
            self.worker.add_jobs(self.backend, jobs);
        } else {
            self.backend.release(jobs, self.worker.now());
        }
    }

    /// Stops claims until the heartbeat loop has registered the worker again. If it already has,
    /// the reply speaks of the earlier registration.
    fn lost(&mut self, plan: &ClaimPlan, id: WorkerId) {
        self.planner.failed(plan);
        if self.backend.membership.id() == Some(id) {
            self.backend.set_worker_id(None);
            self.backend.membership.report_loss();
        }
    }

    pub(super) async fn failed(&mut self, plan: &ClaimPlan, error: &Error) {
        self.planner.failed(plan);
        self.outage.failed(error);
        self.pause().await;
    }

    /// Asks which jobs a claim took whose reply was lost. Until that is known, nothing new is
    /// claimed. A shutdown waits for it, too, as long as the storage answers.
    async fn recover(&mut self, plan: &ClaimPlan, sent: &SentClaim, mut error: Error) {
        self.planner.failed(plan);
        loop {
            self.outage.failed(&error);
            self.pause().await;
            let request = LeasesRequest::new(sent.worker, sent.claim);
            match self.backend.backend.leases(request).await {
                Ok(jobs) => {
                    self.outage.succeeded();
                    let count = jobs.len();
                    tracing::info!(jobs = count, "recovered the jobs of a claim whose reply was lost");
                    return self.hand_over(sent.worker, jobs);
                }
                Err(next) if !next.is_final() && !self.worker.stop.claims.is_cancelled() => {
                    error = next;
                }
                // The leases end when the worker expires.
                Err(next) => return self.outage.failed(&next),
            }
        }
    }
}
