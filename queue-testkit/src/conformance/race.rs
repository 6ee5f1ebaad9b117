//! Several tasks at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::Barrier;
use tokio::time::sleep;

/// How often each of two may win before their duels have shown enough.
const ENOUGH_WINS: u32 = 6;
/// How many duels that may take.
const MOST_ROUNDS: u32 = 400;
/// The longest lead, longer than a request takes in general, is this times its step, which is the least that timers keep.
const LEADS: u32 = 16;
const LEAD: Duration = Duration::from_millis(1);

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

/// Which of two came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    First,
    Second,
}

/// Two that race again and again, until each has won often: a race that one of them always wins has shown little.
#[derive(Debug, Default)]
pub(crate) struct Duels {
    round: u32,
    wins: [u32; 2],
}

impl Duels {
    /// The number of the next duel, as long as one is needed.
    ///
    /// # Errors
    /// If one of them hardly ever won.
    pub(crate) fn next_round(&mut self) -> anyhow::Result<Option<u32>> {
        if self.wins.iter().all(|wins| *wins >= ENOUGH_WINS) {
            return Ok(None);
        }
        if self.round == MOST_ROUNDS {
            bail!("of {MOST_ROUNDS} duels the two have won {:?}", self.wins);
        }
        self.round += 1;
        Ok(Some(self.round))
    }

    /// Lets them start, one of them with a lead that is another in each round, none among them.
    pub(crate) async fn fight<A, B>(
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
        Ok((first.await.context("the first panicked")??, second.await.context("the second panicked")??))
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
