//! Q4: a caller can repeat a settle of unknown outcome.

use std::time::Duration;

use queue_core::backend::{Settled, Verdict};
use queue_core::{JobState, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{bury, cancelled, complete, complete_with, release, retry};

cases! {
    Fast q04_a_repeated_end_is_done_again_and_changes_nothing,
    Fast q04_a_repeated_end_with_another_verdict_is_lost,
    Fast q04_a_repeated_retry_is_lost_and_delays_nothing,
    Fast q04_a_request_repeated_whole_is_answered_the_same,
}

/// A job ends by complete, bury, cancel or its last retry. The same token with the same verdict
/// must return `Done` again and change nothing.
async fn q04_a_repeated_end_is_done_again_and_changes_nothing(kit: &Kit) -> CaseResult {
    let ends = [
        (complete_with(b"result"), JobState::Completed),
        (bury("no use"), JobState::Dead),
        (cancelled("not wanted"), JobState::Cancelled),
        (retry("failed", 5), JobState::Dead),
    ];
    for (verdict, state) in ends {
        let token = claimed(kit, 0).await?;
        ensure_eq!(kit.settle_one(token, verdict.clone()).await?, Settled::Done, "the reply to {verdict:?}");
        let ended = kit.record(token.job).await?;
        ensure_eq!(ended.state, state, "the state after {verdict:?}");
        kit.advance(Duration::from_secs(3));
        ensure_eq!(
            kit.settle_one(token, verdict.clone()).await?,
            Settled::Done,
            "the second settle with {verdict:?}"
        );
        ensure_eq!(kit.record(token.job).await?, ended, "the job after the second settle with {verdict:?}");
    }
    Ok(())
}

/// A job has ended. The same token with another verdict must return `LeaseLost` and change nothing.
async fn q04_a_repeated_end_with_another_verdict_is_lost(kit: &Kit) -> CaseResult {
    let ends: [(Verdict, Vec<Verdict>); 3] = [
        (complete(), vec![bury("x"), cancelled("x"), retry("x", 0), release()]),
        (bury("no use"), vec![complete(), cancelled("x"), release()]),
        (cancelled("not wanted"), vec![complete(), bury("x"), retry("x", 0), release()]),
    ];
    for (verdict, others) in ends {
        let token = claimed(kit, 3).await?;
        kit.settle_one(token, verdict.clone()).await?;
        let ended = kit.record(token.job).await?;
        for other in others {
            let what = format!("{other:?} after {verdict:?}");
            ensure_eq!(kit.settle_one(token, other).await?, Settled::LeaseLost, "the reply to {what}");
            ensure_eq!(kit.record(token.job).await?, ended, "the job after {what}");
        }
    }
    Ok(())
}

/// A retry did not end the job. The same settle again must return `LeaseLost`, record no second
/// error and not move `run_at`.
async fn q04_a_repeated_retry_is_lost_and_delays_nothing(kit: &Kit) -> CaseResult {
    let token = claimed(kit, 3).await?;
    kit.settle_one(token, retry("failed", 10)).await?;
    let waiting = kit.record(token.job).await?;
    kit.advance(Duration::from_secs(4));
    ensure_eq!(
        kit.settle_one(token, retry("failed", 10)).await?,
        Settled::LeaseLost,
        "the reply to the repeated retry"
    );
    ensure_eq!(kit.record(token.job).await?, waiting, "the job after the repeated retry");
    Ok(())
}

/// A request settles four leases. The same request again must return the same replies.
async fn q04_a_request_repeated_whole_is_answered_the_same(kit: &Kit) -> CaseResult {
    let mut request = Vec::new();
    for verdict in [complete(), bury("x"), cancelled("x"), complete_with(b"y")] {
        request.push((claimed(kit, 3).await?, verdict));
    }
    for turn in ["first", "second"] {
        ensure_eq!(
            kit.settle(request.clone()).await?,
            [Settled::Done; 4],
            "the replies to the {turn} request"
        );
    }
    Ok(())
}

/// Inserts a job, claims it, and returns the token.
async fn claimed(kit: &Kit, max_retries: u16) -> anyhow::Result<Token> {
    kit.insert_one(kit.spec("job").max_retries(max_retries)).await?;
    Ok(kit.claim_one(kit.worker().await?).await?.token)
}
