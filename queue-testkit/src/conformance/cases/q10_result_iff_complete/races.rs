//! Q10: concurrent completions of one job.

use std::sync::Arc;

use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::{complete_with, release};

cases! {
    Race q10_leases_that_race_leave_the_result_of_one,
}

/// A stale and a live lease complete a job concurrently with different results, over two handles.
/// The result of the live lease must be stored.
async fn q10_leases_that_race_leave_the_result_of_one(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..16_u8 {
        let id = kit.insert_one(kit.spec("job")).await?;
        let worker = kit.worker().await?;
        let stale = kit.claim_one(worker).await?.token;
        kit.settle_one(stale, release()).await?;
        let live = kit.claim_one(worker).await?.token;
        let settle = |(place, (token, result)): (usize, (_, &'static [u8]))| {
            let handle = Arc::clone(&handles[place / 2]);
            async move { handle.settle_one(token, complete_with(result)).await }
        };
        let tokens: [(_, &'static [u8]); 4] =
            [(stale, b"stale"), (live, b"live"), (stale, b"stale"), (live, b"live")];
        let answers = race(tokens.into_iter().enumerate().map(settle).collect()).await?;
        let expected = [Settled::LeaseLost, Settled::Done, Settled::LeaseLost, Settled::Done];
        ensure_eq!(answers, expected, "round {round}, the replies");
        ensure_eq!(
            kit.record(id).await?.result.as_deref(),
            Some(b"live".as_slice()),
            "round {round}, the result"
        );
    }
    Ok(())
}
