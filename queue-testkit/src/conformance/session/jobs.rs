//! Inserting, settling, cancelling and reading jobs.

use anyhow::{Context as _, ensure};
use queue_core::backend::{
    CancelReply, CancelRequest, ClaimedJob, InsertRequest, JobRecord, LeasesRequest, SettleRequest, Settled,
    Settlement, Stored, Verdict,
};
use queue_core::{ClaimId, JobId, JobSpec, State, Submitted, Token, WorkerId};

use super::super::spec::Spec;
use super::Session;

impl Session {
    /// Inserts one batch of new jobs.
    pub(crate) async fn insert(&self, specs: Vec<Spec>) -> anyhow::Result<Vec<JobId>> {
        let submitted = self.try_insert(specs).await??;
        ensure!(submitted.iter().all(|job| job.is_new()), "new jobs were there already: {submitted:?}");
        Ok(submitted.into_iter().map(|job| job.id).collect())
    }

    /// Inserts one new job.
    pub(crate) async fn insert_one(&self, spec: Spec) -> anyhow::Result<JobId> {
        self.insert(vec![spec]).await?.pop().context("an insert of one job was answered with none")
    }

    /// Inserts one batch, which may fail.
    pub(crate) async fn try_insert(
        &self,
        specs: Vec<Spec>,
    ) -> anyhow::Result<queue_core::Result<Vec<Submitted>>> {
        let many = specs.len();
        let mut fates = match self.try_insert_batches(vec![specs]).await? {
            Ok(fates) => fates,
            Err(error) => return Ok(Err(error)),
        };
        ensure!(fates.len() == 1, "one batch was answered with {} fates", fates.len());
        let fate = fates.remove(0);
        if let Ok(submitted) = &fate {
            ensure!(submitted.len() == many, "{many} jobs were answered with {}", submitted.len());
        }
        Ok(fate)
    }

    /// Inserts several batches in one request, each with a fate of its own.
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
        Ok(self.backend()?.insert(InsertRequest::new(batches).at(self.now())).await)
    }

    /// Inserts one job with fields that a [`Spec`] does not set; the backend's answer may be an error.
    pub(crate) async fn try_insert_exact(
        &self,
        spec: JobSpec,
    ) -> anyhow::Result<queue_core::Result<Vec<Submitted>>> {
        self.shared.known().kinds.insert(spec.kind.clone());
        let mut fates = self.backend()?.insert(InsertRequest::new(vec![vec![spec]]).at(self.now())).await?;
        ensure!(fates.len() == 1, "one batch was answered with {} fates", fates.len());
        Ok(fates.remove(0))
    }

    /// Settles one lease in the name of the worker that claimed it.
    pub(crate) async fn settle_one(&self, token: Token, verdict: Verdict) -> anyhow::Result<Settled> {
        let settled = self.settle(vec![(token, verdict)]).await?;
        settled.first().copied().context("one settlement was answered with none")
    }

    /// Settles several leases in one request, none of which may fail.
    pub(crate) async fn settle(&self, settlements: Vec<(Token, Verdict)>) -> anyhow::Result<Vec<Settled>> {
        let answers = self.try_settle(settlements).await??;
        Ok(answers.into_iter().collect::<queue_core::Result<_>>()?)
    }

    /// Settles several leases in one request; the backend's answer may be an error.
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
            ensure!(answers.len() == many, "{many} settlements were answered with {}", answers.len());
        }
        Ok(answers)
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
        ensure!(replies.len() == 1, "one cancel was answered with {} replies", replies.len());
        Ok(replies[0])
    }

    /// The live leases of a claim; the backend's answer may be an error.
    pub(crate) async fn try_leases(
        &self,
        worker: WorkerId,
        claim: ClaimId,
    ) -> queue_core::Result<Vec<ClaimedJob>> {
        let backend = self.backend().map_err(closed)?;
        backend.leases(LeasesRequest::new(worker, claim)).await
    }

    /// The live leases of a claim.
    pub(crate) async fn leases(&self, worker: WorkerId, claim: ClaimId) -> anyhow::Result<Vec<ClaimedJob>> {
        Ok(self.backend()?.leases(LeasesRequest::new(worker, claim)).await?)
    }

    /// A job as it stands, which must exist.
    pub(crate) async fn record(&self, id: JobId) -> anyhow::Result<JobRecord> {
        self.find(id).await?.with_context(|| format!("job {id} does not exist"))
    }

    /// A job as it stands, if it exists.
    pub(crate) async fn find(&self, id: JobId) -> anyhow::Result<Option<JobRecord>> {
        let backend = self.backend()?;
        let inspect = backend.extensions().inspect.context("the backend offers no `inspect`")?;
        let mut records = inspect.jobs(&[id]).await?;
        ensure!(records.len() == 1, "one id was answered with {} records", records.len());
        Ok(records.remove(0))
    }

    pub(crate) async fn state(&self, id: JobId) -> anyhow::Result<State> {
        Ok(self.record(id).await?.state)
    }

    /// The raw rows; the backend's answer may be an error.
    pub(crate) async fn try_stored(&self) -> queue_core::Result<Stored> {
        let backend = self.backend().map_err(closed)?;
        backend.extensions().audit.ok_or_else(|| closed("the backend offers no `audit`"))?.stored().await
    }

    /// The raw rows.
    pub(crate) async fn stored(&self) -> anyhow::Result<Stored> {
        let backend = self.backend()?;
        Ok(backend.extensions().audit.context("the backend offers no `audit`")?.stored().await?)
    }
}

/// What is the case's own fault.
fn closed(error: impl std::fmt::Display) -> queue_core::Error {
    queue_core::Error::new(queue_core::ErrorKind::Unsupported, "use a handle", error.to_string())
}
