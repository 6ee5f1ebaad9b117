//! A transaction of an application, by the driver.

use async_trait::async_trait;
use queue_core::{Complete, Deferred, Enqueue, NewJob};
use queue_postgres::Tx as _;
use queue_postgres::tokio_postgres::{Client, NoTls, Transaction, connect};
use queue_testkit::conformance::{ApplicationTransaction, Handles, SetupResult};
use tokio::sync::{mpsc, oneshot};

/// Sends requests to the task that owns the connection, because the driver's transaction borrows
/// it.
pub(crate) struct OpenTransaction(mpsc::Sender<Request>);

enum Request {
    Enqueue(Enqueue<Vec<NewJob>>, oneshot::Sender<queue_core::Result<Handles>>),
    EnqueueDeferred(Enqueue<Vec<NewJob>>, oneshot::Sender<queue_core::Result<Deferred<Handles>>>),
    Complete(Complete, oneshot::Sender<queue_core::Result<()>>),
    Commit(oneshot::Sender<SetupResult<()>>),
    RollBack(oneshot::Sender<SetupResult<()>>),
}

impl OpenTransaction {
    pub(crate) async fn begin(url: &str) -> SetupResult<Self> {
        let (client, connection) = connect(url, NoTls).await?;
        tokio::spawn(connection);
        let (sender, requests) = mpsc::channel(1);
        let (begun, is_begun) = oneshot::channel();
        tokio::spawn(serve(client, requests, begun));
        is_begun.await??;
        Ok(Self(sender))
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> SetupResult<T> {
        let (reply, answer) = oneshot::channel();
        self.0.send(request(reply)).await.map_err(|_| "the transaction has ended")?;
        Ok(answer.await?)
    }
}

async fn serve(
    mut client: Client,
    mut requests: mpsc::Receiver<Request>,
    begun: oneshot::Sender<SetupResult<()>>,
) {
    let transaction = match client.transaction().await {
        Ok(transaction) => transaction,
        Err(error) => return drop(begun.send(Err(error.into()))),
    };
    let _ = begun.send(Ok(()));
    let end = loop {
        match requests.recv().await {
            Some(Request::Enqueue(batch, reply)) => drop(reply.send(batch.tx(&transaction).await)),
            Some(Request::EnqueueDeferred(batch, reply)) => {
                drop(reply.send(batch.tx_deferred(&transaction).await));
            }
            Some(Request::Complete(job, reply)) => drop(reply.send(job.tx(&transaction).await)),
            end => break end,
        }
    };
    finish(transaction, end).await;
}

/// Without a request, the connection is closed with the transaction open.
async fn finish(transaction: Transaction<'_>, end: Option<Request>) {
    match end {
        Some(Request::Commit(reply)) => drop(reply.send(transaction.commit().await.map_err(Into::into))),
        Some(Request::RollBack(reply)) => drop(reply.send(transaction.rollback().await.map_err(Into::into))),
        _ => {}
    }
}

#[async_trait]
impl ApplicationTransaction for OpenTransaction {
    async fn enqueue(&mut self, batch: Enqueue<Vec<NewJob>>) -> queue_core::Result<Handles> {
        self.ask(|reply| Request::Enqueue(batch, reply)).await.unwrap_or_else(|error| Err(ended(&*error)))
    }

    async fn enqueue_deferred(
        &mut self,
        batch: Enqueue<Vec<NewJob>>,
    ) -> queue_core::Result<Deferred<Handles>> {
        let reply = self.ask(|reply| Request::EnqueueDeferred(batch, reply)).await;
        reply.unwrap_or_else(|error| Err(ended(&*error)))
    }

    async fn complete(&mut self, job: Complete) -> queue_core::Result<()> {
        self.ask(|reply| Request::Complete(job, reply)).await.unwrap_or_else(|error| Err(ended(&*error)))
    }

    async fn commit(self: Box<Self>) -> SetupResult<()> {
        self.ask(Request::Commit).await?
    }

    async fn roll_back(self: Box<Self>) -> SetupResult<()> {
        self.ask(Request::RollBack).await?
    }
}

fn ended(error: &(dyn std::error::Error + Send + Sync)) -> queue_core::Error {
    queue_core::Error::new(queue_core::ErrorKind::Unavailable, "ask the transaction", error.to_string())
}
