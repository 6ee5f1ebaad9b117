//! Q4: a settle of unknown outcome can be repeated.

use std::time::Duration;

use queue_core::backend::{Settled, Verdict};
use queue_core::{State, Token};

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

/// Complete, bury, cancel, and the retry that was the last: the same token, the same verdict.
async fn q04_a_repeated_end_is_done_again_and_changes_nothing(kit: &Kit) -> CaseResult {
    let ends = [
        (complete_with(b"result"), State::Completed),
        (bury("no use"), State::Dead),
        (cancelled("not wanted"), State::Cancelled),
        (retry("failed", 5), State::Dead),
    ];
    for (verdict, state) in ends {
        let token = claimed(kit, 0).await?;
        ensure_eq!(kit.settle_one(token, verdict.clone()).await?, Settled::Done, "{verdict:?}");
        let ended = kit.record(token.job).await?;
        ensure_eq!(ended.state, state, "the state after {verdict:?}");
        kit.advance(Duration::from_secs(3));
        ensure_eq!(kit.settle_one(token, verdict.clone()).await?, Settled::Done, "{verdict:?} again");
        ensure_eq!(kit.record(token.job).await?, ended, "the job after {verdict:?} again");
    }
    Ok(())
}

/// The token did end the job, but not so.
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
            ensure_eq!(kit.settle_one(token, other).await?, Settled::LeaseLost, "{what}");
            ensure_eq!(kit.record(token.job).await?, ended, "the job after {what}");
        }
    }
    Ok(())
}

/// A retry did not end the job: repeated, it records no second error and moves no time.
async fn q04_a_repeated_retry_is_lost_and_delays_nothing(kit: &Kit) -> CaseResult {
    let token = claimed(kit, 3).await?;
    kit.settle_one(token, retry("failed", 10)).await?;
    let waiting = kit.record(token.job).await?;
    kit.advance(Duration::from_secs(4));
    ensure_eq!(kit.settle_one(token, retry("failed", 10)).await?, Settled::LeaseLost, "the retry again");
    ensure_eq!(kit.record(token.job).await?, waiting, "the job after the retry again");
    Ok(())
}

/// A whole request whose answer was lost.
async fn q04_a_request_repeated_whole_is_answered_the_same(kit: &Kit) -> CaseResult {
    let mut request = Vec::new();
    for verdict in [complete(), bury("x"), cancelled("x"), complete_with(b"y")] {
        request.push((claimed(kit, 3).await?, verdict));
    }
    for turn in ["first", "second"] {
        ensure_eq!(kit.settle(request.clone()).await?, [Settled::Done; 4], "the {turn} answers");
    }
    Ok(())
}

/// The token of a new job.
async fn claimed(kit: &Kit, max_retries: u16) -> anyhow::Result<Token> {
    kit.insert_one(kit.spec("job").max_retries(max_retries)).await?;
    Ok(kit.claim_one(kit.worker().await?).await?.token)
}
