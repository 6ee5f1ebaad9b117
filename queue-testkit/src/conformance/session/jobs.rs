//! Inserts, settles, cancels and reads jobs.

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimedJob, InsertRequest, JobEnd, JobRecord, LeasesRequest, RetryReply,
    RetryRequest, SettleRequest, Settled, Settlement, Stored, Verdict,
};
use queue_core::{ClaimId, JobId, JobSpec, JobState, Submitted, Token, WorkerId};

use super::super::spec::Spec;
use super::Session;

impl Session {
    /// Inserts one batch of new jobs.
    pub(crate) async fn insert(&self, specs: Vec<Spec>) -> anyhow::Result<Vec<JobId>> {
        let submitted = self.try_insert(specs).await??;
        ensure!(submitted.iter().all(|job| job.is_new()), "the backend already knew new jobs: {submitted:?}");
        Ok(submitted.into_iter().map(|job| job.id).collect())
    }

    /// Inserts one new job.
    pub(crate) async fn insert_one(&self, spec: Spec) -> anyhow::Result<JobId> {
        self.insert(vec![spec]).await?.pop().context("an insert of one job returned none")
    }

    /// Inserts one batch. Returns an error of the backend.
    pub(crate) async fn try_insert(
        &self,
        specs: Vec<Spec>,
    ) -> anyhow::Result<queue_core::Result<Vec<Submitted>>> {
        let many = specs.len();
        let mut results = match self.try_insert_batches(vec![specs]).await? {
            Ok(results) => results,
            Err(error) => return Ok(Err(error)),
        };
        ensure!(results.len() == 1, "the reply to one batch has {} results", results.len());
        let result = results.remove(0);
        if let Ok(submitted) = &result {
            ensure!(submitted.len() == many, "the reply to {many} jobs has {} entries", submitted.len());
        }
        Ok(result)
    }

    /// Inserts several batches in one request. Each batch succeeds or fails on its own.
    pub(crate) async fn insert_batches(
        &self,
        batches: Vec<Vec<Spec>>,
    ) -> anyhow::Result<Vec<queue_core::Result<Vec<Submitted>>>> {
        Ok(self.try_insert_batches(batches).await??)
    }

    async fn try_insert_batches(
        &self,
        batches: Vec<Vec<Spec>>,
    ) -> anyhow::Result<queue_core::Result<Vec<queue_core::Result<Vec<Submitted>>>>> {
        let build = |batch: Vec<Spec>| batch.into_iter().map(Spec::build).collect();
        let batches: Vec<Vec<JobSpec>> = batches.into_iter().map(build).collect::<queue_core::Result<_>>()?;
        self.shared.known().kinds.extend(batches.iter().flatten().map(|spec| spec.kind.clone()));
        let reply = self.backend()?.insert(InsertRequest::new(batches).at(self.now())).await;
        Ok(reply.map(|reply| reply.batches))
    }

    /// Inserts one job with fields that [`Spec`] does not set. Returns an error of the backend.
    pub(crate) async fn try_insert_exact(
        &self,
        spec: JobSpec,
    ) -> anyhow::Result<queue_core::Result<Vec<Submitted>>> {
        self.shared.known().kinds.insert(spec.kind.clone());
        let request = InsertRequest::new(vec![vec![spec]]).at(self.now());
        let mut results = self.backend()?.insert(request).await?.batches;
        ensure!(results.len() == 1, "the reply to one batch has {} results", results.len());
        Ok(results.remove(0))
    }

    /// Settles one lease for the worker that claimed it.
    pub(crate) async fn settle_one(&self, token: Token, verdict: Verdict) -> anyhow::Result<Settled> {
        let settled = self.settle(vec![(token, verdict)]).await?;
        settled.first().copied().context("the reply to one settlement is empty")
    }

    /// Settles several leases in one request. Fails if any of them fails.
    pub(crate) async fn settle(&self, settlements: Vec<(Token, Verdict)>) -> anyhow::Result<Vec<Settled>> {
        let answers = self.try_settle(settlements).await??;
        Ok(answers.into_iter().collect::<queue_core::Result<_>>()?)
    }

    /// Settles several leases in one request. Returns an error of the backend.
    pub(crate) async fn try_settle(
        &self,
        settlements: Vec<(Token, Verdict)>,
    ) -> anyhow::Result<queue_core::Result<Vec<queue_core::Result<Settled>>>> {
        let first = settlements.first().context("the case settles nothing")?.0;
        let worker = self.shared.known().claimers.get(&first.claim).copied();
        let worker = worker.unwrap_or_else(|| self.new_worker_id());
        let many = settlements.len();
        let settlements =
            settlements.into_iter().map(|(token, verdict)| Settlement::new(token, verdict)).collect();
        let answers = self.backend()?.settle(SettleRequest::new(worker, settlements).at(self.now())).await;
        if let Ok(answers) = &answers {
            ensure!(answers.len() == many, "the reply to {many} settlements has {} entries", answers.len());
        }
        Ok(answers)
    }

    /// Settles several leases in one request that names this worker. Fails if any of them fails.
    pub(crate) async fn settle_exact(
        &self,
        worker: WorkerId,
        settlements: Vec<Settlement>,
    ) -> anyhow::Result<Vec<Settled>> {
        let answers = self.backend()?.settle(SettleRequest::new(worker, settlements).at(self.now())).await?;
        Ok(answers.into_iter().collect::<queue_core::Result<_>>()?)
    }

    /// Cancels a job that has not started.
    pub(crate) async fn cancel(&self, id: JobId) -> anyhow::Result<CancelReply> {
        self.cancel_with(CancelRequest::new(vec![id])).await
    }

    /// Cancels a job, and signals it if it runs.
    pub(crate) async fn cancel_running(&self, id: JobId) -> anyhow::Result<CancelReply> {
        self.cancel_with(CancelRequest::new(vec![id]).signal_running()).await
    }

    async fn cancel_with(&self, request: CancelRequest) -> anyhow::Result<CancelReply> {
        let replies = self.backend()?.cancel(request.at(self.now())).await?;
        ensure!(replies.len() == 1, "the reply to one cancel has {} entries", replies.len());
        Ok(replies[0])
    }

    /// Retries a job by hand.
    pub(crate) async fn retry(&self, id: JobId) -> anyhow::Result<RetryReply> {
        let backend = self.backend()?;
        let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
        let replies = manage.retry(RetryRequest::new(vec![id]).at(self.now())).await?;
        ensure!(replies.len() == 1, "the reply to one retry has {} entries", replies.len());
        Ok(replies[0])
    }

    /// Reads the live leases of a claim. Returns an error of the backend.
    pub(crate) async fn try_leases(
        &self,
        worker: WorkerId,
        claim: ClaimId,
    ) -> queue_core::Result<Vec<ClaimedJob>> {
        let backend = self.backend().map_err(closed)?;
        backend.leases(LeasesRequest::new(worker, claim)).await
    }

    /// Reads the live leases of a claim.
    pub(crate) async fn leases(&self, worker: WorkerId, claim: ClaimId) -> anyhow::Result<Vec<ClaimedJob>> {
        Ok(self.backend()?.leases(LeasesRequest::new(worker, claim)).await?)
    }

    /// Returns how jobs ended, and watches the unfinished ones.
    pub(crate) async fn watch(&self, jobs: &[JobId]) -> anyhow::Result<Vec<Option<JobEnd>>> {
        let backend = self.backend()?;
        let ends = backend.extensions().watch.context("the backend offers no `watch`")?.watch(jobs).await?;
        ensure!(ends.len() == jobs.len(), "the reply to {} ids has {} ends", jobs.len(), ends.len());
        Ok(ends)
    }

    /// Reads a job. Fails if it does not exist.
    pub(crate) async fn record(&self, id: JobId) -> anyhow::Result<JobRecord> {
        self.find(id).await?.with_context(|| format!("job {id} does not exist"))
    }

    /// Reads a job; `None` if it does not exist.
    pub(crate) async fn find(&self, id: JobId) -> anyhow::Result<Option<JobRecord>> {
        let backend = self.backend()?;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let mut records = inspect.jobs(&[id]).await?;
        ensure!(records.len() == 1, "the reply to one id has {} records", records.len());
        Ok(records.remove(0))
    }

    pub(crate) async fn state(&self, id: JobId) -> anyhow::Result<JobState> {
        Ok(self.record(id).await?.state)
    }

    /// Reads the raw rows. Returns an error of the backend.
    pub(crate) async fn try_stored(&self) -> queue_core::Result<Stored> {
        let backend = self.backend().map_err(closed)?;
        backend.extensions().audit.ok_or_else(|| closed("the backend offers no `audit`"))?.stored().await
    }

    /// Reads the raw rows.
    pub(crate) async fn stored(&self) -> anyhow::Result<Stored> {
        let backend = self.backend()?;
        Ok(backend.extensions().audit.context("the backend offers no `audit`")?.stored().await?)
    }
}

/// An error of the case itself, not of the backend.
fn closed(error: impl std::fmt::Display) -> queue_core::Error {
    queue_core::Error::new(queue_core::ErrorKind::Unsupported, "use a handle", error.to_string())
}
