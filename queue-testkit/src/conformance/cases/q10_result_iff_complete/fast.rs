//! Q10: a job has a result exactly if it is completed, and the result is that of the winning lease.

use anyhow::ensure;
use queue_core::JobState;
use queue_core::backend::Settled;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, cancelled, complete, complete_with, release, retry, snooze};

cases! {
    Fast q10_the_bytes_of_a_result_come_back_as_they_were,
    Fast q10_no_result_and_an_empty_one_are_told_apart,
    Fast q10_a_job_has_no_result_before_it_completes,
    Fast q10_the_result_is_that_of_the_lease_that_won,
    Fast q10_a_repeated_completion_keeps_the_first_result,
    Fast q10_results_of_one_request_go_to_their_own_jobs,
    Fast q10_a_job_that_does_not_complete_leaves_no_result,
    Fast q10_a_result_is_as_durable_as_its_job [Durable],
}

/// Results hold each byte value, invalid UTF-8, or a mebibyte. Each must be returned unchanged.
async fn q10_the_bytes_of_a_result_come_back_as_they_were(kit: &Kit) -> CaseResult {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large = every_byte.repeat(4096);
    for result in [every_byte, large, b"\0".to_vec(), b"\xff\xfe not UTF-8".to_vec()] {
        let id = kit.insert_one(kit.spec("job")).await?;
        kit.settle_one(kit.claim_one(kit.worker().await?).await?.token, complete_with(&result)).await?;
        let stored = kit.record(id).await?.result;
        ensure!(stored.as_ref() == Some(&result), "a result of {} bytes was returned changed", result.len());
    }
    Ok(())
}

/// A job completes with no result or with an empty one. The record must distinguish the two.
async fn q10_no_result_and_an_empty_one_are_told_apart(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for (verdict, expected) in [(complete(), None), (complete_with(b""), Some(Vec::new()))] {
        let id = kit.insert_one(kit.spec("job")).await?;
        kit.settle_one(kit.claim_one(worker).await?.token, verdict).await?;
        let record = kit.record(id).await?;
        ensure_eq!(
            (record.state, record.result),
            (JobState::Completed, expected),
            "the state and result of the job"
        );
    }
    Ok(())
}

/// A job passes through the unfinished states. It must have no result until it completes.
async fn q10_a_job_has_no_result_before_it_completes(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    for verdict in [release(), snooze(0), retry("failed", 0), complete_with(b"done")] {
        ensure_eq!(kit.record(id).await?.result, None, "the result of a waiting job");
        let token = kit.claim_one(worker).await?.token;
        ensure_eq!(kit.record(id).await?.result, None, "the result of a running job");
        kit.settle_one(token, verdict).await?;
    }
    ensure_eq!(kit.record(id).await?.result.as_deref(), Some(b"done".as_slice()), "the result");
    Ok(())
}

/// A stale lease completes before and after the live one. Only the result of the live lease may be
/// stored.
async fn q10_the_result_is_that_of_the_lease_that_won(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let slow = kit.claim_one(kit.worker().await?).await?.token;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let winner = kit.claim_one(kit.worker().await?).await?.token;
    ensure_eq!(
        kit.settle_one(slow, complete_with(b"slow")).await?,
        Settled::LeaseLost,
        "the reply to the stale lease before the live one completed"
    );
    ensure_eq!(kit.record(id).await?.result, None, "the result after the settle of the stale lease");
    ensure_eq!(
        kit.settle_one(winner, complete_with(b"winner")).await?,
        Settled::Done,
        "the reply to the live lease"
    );
    ensure_eq!(
        kit.settle_one(slow, complete_with(b"slow")).await?,
        Settled::LeaseLost,
        "the reply to the stale lease after the live one completed"
    );
    ensure_eq!(kit.record(id).await?.result.as_deref(), Some(b"winner".as_slice()), "the result");
    Ok(())
}

/// A completion is repeated with another result. It must return `Done`, and the first result must
/// stay.
async fn q10_a_repeated_completion_keeps_the_first_result(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    kit.settle_one(token, complete_with(b"first")).await?;
    for verdict in [complete_with(b"second"), complete()] {
        ensure_eq!(
            kit.settle_one(token, verdict).await?,
            Settled::Done,
            "the reply to the repeated completion"
        );
        ensure_eq!(kit.record(id).await?.result.as_deref(), Some(b"first".as_slice()), "the result");
    }
    Ok(())
}

/// One request settles sixty jobs in another order than claimed, some without a result. Each job
/// must get its own result.
async fn q10_results_of_one_request_go_to_their_own_jobs(kit: &Kit) -> CaseResult {
    let ids = kit.insert((0..60).map(|_| kit.spec("job")).collect()).await?;
    let jobs = kit.claim(kit.worker().await?, 60).await?;
    ensure_eq!(jobs.len(), 60, "the number of claimed jobs");
    let result_of = |index: usize| (!index.is_multiple_of(3)).then(|| format!("result {index}").into_bytes());
    let mut request = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let job = jobs.iter().find(|job| job.token.job == *id);
        let Some(job) = job else { anyhow::bail!("job {id} was not claimed") };
        request.push((
            job.token,
            queue_core::backend::Verdict::Complete(
                queue_core::backend::Completion::new().result(result_of(index)),
            ),
        ));
    }
    request.reverse();
    request.rotate_left(17);
    kit.settle(request).await?;
    for (index, id) in ids.into_iter().enumerate() {
        ensure_eq!(kit.record(id).await?.result, result_of(index), "the result of job {index}");
    }
    Ok(())
}

/// A job ends dead or cancelled, by settle or by cancel. It must have no result.
async fn q10_a_job_that_does_not_complete_leaves_no_result(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    for verdict in [bury("hopeless"), cancelled("not wanted"), retry("failed", 0)] {
        let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
        let token = kit.claim_one(worker).await?.token;
        kit.settle_one(token, verdict.clone()).await?;
        kit.settle_one(token, complete_with(b"too late")).await?;
        ensure_eq!(kit.record(id).await?.result, None, "the result after {verdict:?}");
    }
    let id = kit.insert_one(kit.spec("job")).await?;
    kit.cancel(id).await?;
    ensure_eq!(kit.record(id).await?.result, None, "the result of a job that never started");
    Ok(())
}

/// A job completes and the handle is reopened. The result must be unchanged.
async fn q10_a_result_is_as_durable_as_its_job(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(kit.worker().await?).await?.token;
    kit.reopen().await?;
    kit.settle_one(token, complete_with(b"\0kept\xff")).await?;
    let ended = kit.record(id).await?;
    kit.reopen().await?;
    ensure_eq!(kit.record(id).await?, ended, "the job after the reopen");
    ensure_eq!(ended.result.as_deref(), Some(b"\0kept\xff".as_slice()), "the result");
    Ok(())
}
