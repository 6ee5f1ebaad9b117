//! Runs the same operations on a backend and on the model, and compares the replies.

mod claimed;
mod run;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::super::audit::check_rows;
use super::super::case::CaseResult;
use super::super::check::{Broken, broken_promise};
use super::super::history::log::Log;
use super::super::kit::Kit;
use super::super::pass::not_shown;
use super::super::wait::bound;
use super::compare::compare;
use super::operation::{Mixture, Operation};
use super::tally::{Rare, Tally};
use run::Run;

/// How long a shrunk sequence waits for an announcement.
const SHRINKING_PATIENCE: Duration = Duration::from_millis(100);

/// Maximum number of rounds. With the default number of sequences, each expected state is reached
/// at least five times per round on average.
const MOST_ROUNDS: u32 = 64;

/// Runs as many random sequences as `QUEUE_TEST_SEQUENCES` says, each on a new storage. Runs more
/// rounds until all states in `expected` were reached, because it depends on the seed which states
/// a round reaches. If one never is, the case has not shown what it is about.
pub(crate) async fn agree_on_random_operations(kit: &Kit, mixture: Mixture, expected: &[Rare]) -> CaseResult {
    let mut tally = Tally::default();
    for round in 0..MOST_ROUNDS {
        tally.add(&one_round(kit, mixture, round).await?);
        if tally.missed(expected).is_empty() {
            return Ok(());
        }
    }
    let missed = tally.missed(expected);
    Err(not_shown(format!("{MOST_ROUNDS} rounds never reached {missed:?}; they reached {tally:?}")))
}

/// Runs one round and returns the states that it reached.
async fn one_round(kit: &Kit, mixture: Mixture, round: u32) -> anyhow::Result<Tally> {
    let tally = Mutex::new(Tally::default());
    let has_failed = AtomicBool::new(false);
    let sequence = |operations: Vec<Operation>| {
        let mut reached = Tally::default();
        // A failing sequence is shrunk, and each shrunk one may wait for what never comes.
        let patience = if has_failed.load(Ordering::Relaxed) { SHRINKING_PATIENCE } else { bound() };
        let outcome = Handle::current().block_on(one_sequence(kit, &operations, patience, &mut reached));
        has_failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
        tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&reached);
        outcome.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    };
    let failure = block_in_place(|| runner(kit, round).run(&mixture.sequences(), sequence)).err();
    match failure {
        None => Ok(tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
        Some(TestError::Fail(reason, operations)) => {
            // Repeated, so that the journal of the report shows this sequence.
            let again = one_sequence(kit, &operations, bound(), &mut Tally::default()).await;
            let again = again.err().unwrap_or_else(|| anyhow!("(the repetition passed)"));
            let operations: Vec<String> =
                operations.iter().map(|operation| format!("  {operation:?}")).collect();
            let failure =
                anyhow!("{reason}\n\nthe sequence:\n{}\n\nrepeated: {again:#}", operations.join("\n"));
            Err(match broken_promise(&again) {
                Some(promise) => failure.context(Broken(promise)),
                None => failure,
            })
        }
        Some(TestError::Abort(reason)) => bail!("the run was aborted: {reason}"),
    }
}

fn runner(kit: &Kit, round: u32) -> TestRunner {
    let config = Config {
        cases: kit.settings().sequences,
        max_shrink_iters: kit.settings().shrinks,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&kit.seed().to_le_bytes());
    seed[8..12].copy_from_slice(&round.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

async fn one_sequence(
    kit: &Kit,
    operations: &[Operation],
    patience: Duration,
    tally: &mut Tally,
) -> CaseResult {
    let kit = kit.fresh().await?;
    let mut run = Run::begin(&kit, patience).await?;
    for (index, operation) in operations.iter().enumerate() {
        let step = run.step(operation, tally).await;
        step.with_context(|| format!("operation {}, {operation:?}", index + 1))?;
    }
    compare(&kit, run.model()).await?;
    check_rows(&kit.stored().await?, &kit.history().with_log(Log::retries))
}
