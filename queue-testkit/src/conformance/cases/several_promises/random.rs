//! Random sequences, for Q4, Q7 and Q13: random operations are answered as the model answers them.

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::kit::Kit;
use crate::conformance::model::{Mixture, Rare, agree_on_random_operations};

cases! {
    Fast q04_random_operations_agree_with_the_model,
    Fast q07_random_losses_and_failures_agree_with_the_model,
    Fast q13_random_claims_agree_with_the_model,
}

/// Everything that can be asked, with stale tokens and repeated requests among it.
async fn q04_random_operations_agree_with_the_model(kit: &Kit) -> CaseResult {
    let mut expected = vec![
        Rare::LeaseLost,
        Rare::SettledAgain,
        Rare::Rescued,
        Rare::DiedByRescue,
        Rare::DiedByFailure,
        Rare::CancelMetRunning,
        Rare::CancelMetFinished,
        Rare::WorkerLost,
        Rare::LateBeat,
        Rare::InsertedAgain,
        Rare::BatchRefused,
        Rare::LeasesFound,
        Rare::CancelTold,
        Rare::ProgressStored,
        Rare::ProgressStale,
        Rare::RetiredWithLeases,
        Rare::Promoted,
        Rare::Pruned,
    ];
    if kit.backend()?.extensions().manage.is_some() {
        expected.push(Rare::ClaimMetPause);
    }
    agree_on_random_operations(kit, Mixture::Balanced, &expected).await
}

/// Workers die, leases run over, and jobs use their attempts up.
async fn q07_random_losses_and_failures_agree_with_the_model(kit: &Kit) -> CaseResult {
    let expected = [
        Rare::LeaseLost,
        Rare::Rescued,
        Rare::DiedByRescue,
        Rare::DiedByFailure,
        Rare::WorkerLost,
        Rare::CutByLastAttempts,
    ];
    agree_on_random_operations(kit, Mixture::Failing, &expected).await
}

/// While jobs become ready before those that were claimed last.
async fn q13_random_claims_agree_with_the_model(kit: &Kit) -> CaseResult {
    let expected = [Rare::LeaseLost, Rare::CutByLastAttempts];
    agree_on_random_operations(kit, Mixture::Ordering, &expected).await
}
