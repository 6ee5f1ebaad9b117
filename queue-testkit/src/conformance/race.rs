//! Runs several tasks concurrently.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::Barrier;
use tokio::time::sleep;

/// Number of wins of each task after which the rounds end.
const ENOUGH_WINS: u32 = 6;
/// Maximum number of rounds.
const MOST_ROUNDS: u32 = 400;
/// Number of different leads. The longest is `LEADS` times `LEAD`, which is longer than most
/// requests take. `LEAD` is about the finest resolution of timers.
const LEADS: u32 = 16;
const LEAD: Duration = Duration::from_millis(1);

/// Starts all tasks at the same moment and returns their results in order.
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

/// The task that was executed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    First,
    Second,
}

/// Two tasks that race repeatedly until each has won often, because rounds that the same task
/// always wins test only one order.
#[derive(Debug, Default)]
pub(crate) struct RepeatedRace {
    round: u32,
    wins: [u32; 2],
}

impl RepeatedRace {
    /// Returns the number of the next round; `None` if both tasks have won often enough.
    ///
    /// # Errors
    /// If a task has won too few rounds.
    pub(crate) fn next_round(&mut self) -> anyhow::Result<Option<u32>> {
        if self.wins.iter().all(|wins| *wins >= ENOUGH_WINS) {
            return Ok(None);
        }
        if self.round == MOST_ROUNDS {
            bail!("in {MOST_ROUNDS} rounds the two tasks won only {:?}", self.wins);
        }
        self.round += 1;
        Ok(Some(self.round))
    }

    /// Starts both tasks. One has a lead, which differs from round to round and is sometimes zero.
    pub(crate) async fn run_round<A, B>(
        &self,
        first: impl Future<Output = anyhow::Result<A>> + Send + 'static,
        second: impl Future<Output = anyhow::Result<B>> + Send + 'static,
    ) -> anyhow::Result<(A, B)>
    where
        A: Send + 'static,
        B: Send + 'static,
    {
        let lead = LEAD * (self.round / 2 % LEADS);
        let delays =
            if self.round.is_multiple_of(2) { [Duration::ZERO, lead] } else { [lead, Duration::ZERO] };
        let (first, second) = (tokio::spawn(after(delays[0], first)), tokio::spawn(after(delays[1], second)));
        Ok((
            first.await.context("the first task of the race panicked")??,
            second.await.context("the second task of the race panicked")??,
        ))
    }

    pub(crate) fn won(&mut self, winner: Winner) {
        self.wins[usize::from(winner == Winner::Second)] += 1;
    }
}

async fn after<T>(delay: Duration, task: impl Future<Output = T>) -> T {
    if !delay.is_zero() {
        sleep(delay).await;
    }
    task.await
}
