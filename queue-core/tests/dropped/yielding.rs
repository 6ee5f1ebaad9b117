//! A backend that yields before and after each request, so that a test can drop the request there.

use async_trait::async_trait;
use queue_core::backend::{
    CancelReply, CancelRequest, ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, Extensions,
    InsertReply, InsertRequest, JobEnd, Manage, RetryReply, RetryRequest, ScheduleChanged, ScheduleStore,
    StoredSchedule, Watch, Wrapper,
};
use queue_core::{Backend, JobId, MemoryBackend, QueueName, Result, ScheduleName};

#[derive(Debug, Clone, Default)]
pub(crate) struct YieldingBackend(pub(crate) MemoryBackend);

impl YieldingBackend {
    async fn yield_around<T>(&self, answer: impl Future<Output = T>) -> T {
        tokio::task::yield_now().await;
        let answer = answer.await;
        tokio::task::yield_now().await;
        answer
    }

    pub(crate) async fn jobs(&self) -> usize {
        self.0.extensions().audit.unwrap().stored().await.unwrap().jobs.len()
    }
}

#[async_trait]
impl Wrapper for YieldingBackend {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }

    fn name(&self) -> &'static str {
        "yielding"
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.yield_around(self.0.insert(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.yield_around(self.0.cancel(request)).await
    }

    fn extensions(&self) -> Extensions<'_> {
        let mut extensions = self.0.extensions();
        extensions.watch = Some(self);
        extensions.manage = Some(self);
        extensions.schedules = Some(self);
        extensions
    }
}

#[async_trait]
impl Watch for YieldingBackend {
    async fn watch(&self, jobs: &[JobId]) -> Result<Vec<Option<JobEnd>>> {
        self.yield_around(self.0.watch(jobs)).await
    }
}

#[async_trait]
impl Manage for YieldingBackend {
    async fn retry(&self, request: RetryRequest) -> Result<Vec<RetryReply>> {
        self.yield_around(self.0.retry(request)).await
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.yield_around(self.0.pause(queue)).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.yield_around(self.0.resume(queue)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>> {
        self.yield_around(self.0.paused()).await
    }
}

#[async_trait]
impl ScheduleStore for YieldingBackend {
    async fn due(&self, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        self.yield_around(self.0.due(request)).await
    }

    async fn change(&self, request: ChangeSchedulesRequest) -> Result<Vec<Result<ScheduleChanged>>> {
        self.yield_around(self.0.change(request)).await
    }

    async fn get(&self, names: &[ScheduleName]) -> Result<Vec<Option<StoredSchedule>>> {
        self.yield_around(self.0.get(names)).await
    }

    async fn list(&self, after: Option<&ScheduleName>, limit: u32) -> Result<Vec<StoredSchedule>> {
        self.yield_around(self.0.list(after, limit)).await
    }
}
