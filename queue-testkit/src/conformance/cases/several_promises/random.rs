//! Q4, Q7, Q13: the replies to random operations are those of the model.

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::kit::Kit;
use crate::conformance::model::{Mixture, Rare, agree_on_random_operations};

cases! {
    Fast q04_random_operations_agree_with_the_model,
    Fast q07_random_losses_and_failures_agree_with_the_model,
    Fast q13_random_claims_agree_with_the_model,
}

/// Operations of all kinds run in random order, including stale tokens and repeated requests. Each
/// reply must equal the model's.
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
        Rare::LateHeartbeat,
        Rare::InsertedAgain,
        Rare::BatchRefused,
        Rare::LeasesFound,
        Rare::CancelSignalled,
        Rare::ProgressStored,
        Rare::ProgressStale,
        Rare::RetiredWithLeases,
        Rare::Promoted,
        Rare::Pruned,
    ];
    if kit.backend()?.extensions().manage.is_some() {
        expected.extend([Rare::ClaimMetPause, Rare::RetriedByHand, Rare::RetryMetUnfinished]);
    }
    agree_on_random_operations(kit, Mixture::Balanced, &expected).await
}

/// Workers are lost, leases exceed their deadlines, and jobs use all attempts. Each reply must
/// equal the model's.
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

/// Jobs become ready before jobs that were claimed last. Each claim must equal the model's.
async fn q13_random_claims_agree_with_the_model(kit: &Kit) -> CaseResult {
    let expected = [Rare::LeaseLost, Rare::CutByLastAttempts];
    agree_on_random_operations(kit, Mixture::Ordering, &expected).await
}
