//! A storage that hesitates before it acts and before it answers, so that there is something to drop.

use async_trait::async_trait;
use queue_core::backend::{CancelReply, CancelRequest, InsertReply, InsertRequest, Wrapper};
use queue_core::{Backend, MemoryBackend, Result};

#[derive(Debug, Clone, Default)]
pub(crate) struct Hesitant(pub(crate) MemoryBackend);

impl Hesitant {
    async fn hesitates<T>(&self, answer: impl Future<Output = T>) -> T {
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
impl Wrapper for Hesitant {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }

    fn name(&self) -> &'static str {
        "hesitant"
    }

    async fn insert(&self, request: InsertRequest) -> Result<InsertReply> {
        self.hesitates(self.0.insert(request)).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<Vec<CancelReply>> {
        self.hesitates(self.0.cancel(request)).await
    }
}
