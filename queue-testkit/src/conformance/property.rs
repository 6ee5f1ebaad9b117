//! Checks a property with random values.

use std::fmt::Debug;

use anyhow::{anyhow, bail};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::case::CaseResult;
use super::kit::Kit;

/// Checks as many random values as `QUEUE_TEST_SEQUENCES` says. A failure shows a shrunk value.
pub(crate) async fn holds_of_all<S, F>(
    kit: &Kit,
    values: fn() -> S,
    check: impl Fn(S::Value) -> F + Send,
) -> CaseResult
where
    S: Strategy<Value: Clone + Debug>,
    F: Future<Output = CaseResult>,
{
    let config = Config {
        cases: kit.settings().sequences,
        max_shrink_iters: kit.settings().shrinks,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&kit.seed().to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let check = |value| {
        let outcome = Handle::current().block_on(check(value));
        outcome.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    };
    match block_in_place(|| runner.run(&values(), check)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, value)) => bail!("{reason}\n\nwith {value:?}"),
        Err(TestError::Abort(reason)) => Err(anyhow!("the run was aborted: {reason}")),
    }
}
