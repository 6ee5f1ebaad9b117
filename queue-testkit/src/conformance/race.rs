//! Several tasks at once.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Barrier;

/// Starts all tasks at the same moment, and gives their answers in order.
pub(crate) async fn race<T, F>(tasks: Vec<F>) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(tasks.len()));
    let start = |task: F| {
        let barrier = Arc::clone(&barrier);
        tokio::spawn(async move {
            barrier.wait().await;
            task.await
        })
    };
    let started: Vec<_> = tasks.into_iter().map(start).collect();
    let mut answers = Vec::with_capacity(started.len());
    for task in started {
        answers.push(task.await.context("a task of the race panicked")??);
    }
    Ok(answers)
}
