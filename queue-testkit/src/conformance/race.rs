//! Runs several tasks concurrently.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Barrier;
use tokio::time::sleep;

use super::pass::not_shown;

/// Number of wins of each task after which the rounds end.
const ENOUGH_WINS: u32 = 6;
/// Maximum time of the races of a case, if they do not mix. It may be short, because that is no
/// failure.
const LONGEST: Duration = Duration::from_secs(20);
/// The change of the lead after a change of the winner, about the finest resolution of timers, and
/// the greatest change.
const LEAST_STEP: i32 = 1;
const GREATEST_STEP: i32 = 256;

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

/// The rounds of a race, until they have shown enough or take too long.
pub(crate) struct Rounds {
    start: Instant,
    round: usize,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), round: 0 }
    }

    /// Returns the number of the next round: 0, 1, …; `None` if it is too late.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let round = self.round;
        self.round += 1;
        (self.start.elapsed() < LONGEST).then_some(round)
    }
}

/// The pause of a task between its steps in a round. Tasks get different pauses, and each
/// combination comes in turn, because the requests of one task may take far longer than those of
/// another. Without a pause in the first round, which is enough for most backends.
pub(crate) fn pause_of(task: u32, round: usize) -> Duration {
    const PAUSES: [u64; 4] = [0, 1, 4, 16];
    Duration::from_millis(PAUSES[round / PAUSES.len().pow(task) % PAUSES.len()])
}

/// Waits for a pause of [`pause_of`], or lets other tasks run.
pub(crate) async fn pause(pause: Duration) {
    if pause.is_zero() {
        tokio::task::yield_now().await;
    } else {
        sleep(pause).await;
    }
}

/// The task that was executed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    First,
    Second,
}

/// Two tasks that race repeatedly until each has won often, because rounds that the same task
/// always wins test only one order.
///
/// In every other round both start at once. In the others one has a lead, which grows until the
/// other one wins, and shrinks afterwards.
pub(crate) struct RepeatedRace {
    rounds: Rounds,
    wins: [u32; 2],
    has_lead: bool,
    /// The milliseconds by which the first task starts later; if negative, the second.
    lead: i32,
    step: i32,
    last: Option<Winner>,
}

impl Default for RepeatedRace {
    fn default() -> Self {
        Self { rounds: Rounds::new(), wins: [0; 2], has_lead: true, lead: 0, step: LEAST_STEP, last: None }
    }
}

impl RepeatedRace {
    /// Returns the number of the next round; `None` if both tasks have won often enough.
    ///
    /// # Errors
    /// [`NotShown`](super::pass::NotShown) if a task has won too few rounds.
    pub(crate) fn next_round(&mut self) -> anyhow::Result<Option<usize>> {
        if self.wins.iter().all(|wins| *wins >= ENOUGH_WINS) {
            return Ok(None);
        }
        self.has_lead = !self.has_lead;
        let wins = self.wins;
        let unmixed = || {
            not_shown(format!(
                "the two tasks of the race shall win {ENOUGH_WINS} rounds each, and won {wins:?}"
            ))
        };
        self.rounds.next().map(Some).ok_or_else(unmixed)
    }

    /// Starts both tasks.
    pub(crate) async fn run_round<A, B>(
        &self,
        first: impl Future<Output = anyhow::Result<A>> + Send + 'static,
        second: impl Future<Output = anyhow::Result<B>> + Send + 'static,
    ) -> anyhow::Result<(A, B)>
    where
        A: Send + 'static,
        B: Send + 'static,
    {
        let lead = if self.has_lead { self.lead } else { 0 };
        let delay = |lead: i32| Duration::from_millis(u64::try_from(lead).unwrap_or_default());
        let first = tokio::spawn(after(delay(lead), first));
        let second = tokio::spawn(after(delay(-lead), second));
        Ok((
            first.await.context("the first task of the race panicked")??,
            second.await.context("the second task of the race panicked")??,
        ))
    }

    pub(crate) fn won(&mut self, winner: Winner) {
        self.wins[usize::from(winner == Winner::Second)] += 1;
        if !self.has_lead {
            return;
        }
        let is_same = self.last == Some(winner);
        self.step = if is_same { (self.step * 2).min(GREATEST_STEP) } else { LEAST_STEP };
        self.lead += if winner == Winner::First { self.step } else { -self.step };
        self.last = Some(winner);
    }
}

async fn after<T>(delay: Duration, task: impl Future<Output = T>) -> T {
    if !delay.is_zero() {
        sleep(delay).await;
    }
    task.await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first task is executed this much earlier than it is asked to, compared with the second.
    fn rounds_until_mixed(advantage: i32) -> usize {
        let mut race = RepeatedRace::default();
        while let Some(round) = race.next_round().unwrap() {
            assert!(round < 1000, "the tasks do not mix: {:?}", race.wins);
            let lead = if race.has_lead { race.lead } else { 0 };
            race.won(if lead < advantage { Winner::First } else { Winner::Second });
        }
        race.rounds.round
    }

    #[test]
    fn lead_grows_until_both_tasks_have_won() {
        for advantage in [-2000, -100, -3, 0, 3, 100, 2000] {
            assert!(rounds_until_mixed(advantage) < 200, "{advantage} ms");
        }
    }

    #[test]
    fn pauses_of_three_tasks_meet_in_each_combination() {
        let met: std::collections::BTreeSet<_> =
            (0..64).map(|round| [0, 1, 2].map(|task| pause_of(task, round))).collect();
        assert_eq!(met.len(), 64);
        assert_eq!([0, 1, 2].map(|task| pause_of(task, 0)), [Duration::ZERO; 3]);
    }
}
