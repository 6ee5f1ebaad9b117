//! Q4: only the live token of a job settles it.

use anyhow::ensure;
use queue_core::backend::Settled;
use queue_core::{JobState, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{
    EXPIRY, GRACE, bury, cancelled, complete, complete_with, release, retry, snooze,
};

cases! {
    Fast q04_the_token_of_a_rescued_lease_is_lost,
    Fast q04_an_old_token_of_the_same_worker_is_lost,
    Fast q04_no_verdict_of_a_stale_token_changes_anything,
    Fast q04_a_token_is_the_pair_of_job_and_claim,
    Fast q04_a_stale_settlement_does_not_fail_its_neighbours,
    Fast q04_progress_under_a_stale_token_is_dropped,
    Fast q04_a_lease_settles_late_while_nobody_took_it,
    Fast q04_a_lease_beyond_the_limit_of_a_rescue_still_settles,
    Fast q04_a_settle_after_death_by_rescue_is_lost,
    Fast q04_a_released_lease_settles_nothing,
    Fast q04_a_lease_outlives_the_handle_that_claimed [Durable],
    Fast q04_a_lease_taken_by_another_process_is_lost [MultiProcess],
}

/// A worker is lost and another worker claims its job. The late settle of the first must return
/// `LeaseLost`.
async fn q04_the_token_of_a_rescued_lease_is_lost(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let slow = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let second = kit.claim_one(kit.worker().await?).await?;
    ensure!(second.token != slow.token, "two claims have the same token");

    ensure_eq!(
        kit.settle_one(slow.token, complete()).await?,
        Settled::LeaseLost,
        "the reply to the late settle"
    );
    let record = kit.record(id).await?;
    ensure_eq!(
        (record.state, record.attempt),
        (JobState::Running, 2),
        "the state and attempt after the late settle"
    );
    ensure_eq!(
        kit.settle_one(second.token, complete()).await?,
        Settled::Done,
        "the reply to the settle of the holder"
    );
    Ok(())
}

/// A worker claims the same job a second time. Its first token must be lost although worker and
/// attempt are equal.
async fn q04_an_old_token_of_the_same_worker_is_lost(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let old = kit.claim_one(worker).await?;
    kit.settle_one(old.token, snooze(0)).await?;
    let new = kit.claim_one(worker).await?;
    ensure_eq!(
        new.attempt,
        old.attempt,
        "the attempt of the second claim, which must equal the first for this case to prove anything"
    );

    ensure_eq!(
        kit.settle_one(old.token, bury("late")).await?,
        Settled::LeaseLost,
        "the reply to a settle with the old token"
    );
    ensure_eq!(kit.state(id).await?, JobState::Running, "the state of the job under its new lease");
    ensure_eq!(
        kit.settle_one(new.token, complete()).await?,
        Settled::Done,
        "the reply to a settle with the new token"
    );
    Ok(())
}

/// A stale token is used while the job waits, runs and is finished. No verdict may change the job.
async fn q04_no_verdict_of_a_stale_token_changes_anything(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let stale = kit.claim_one(worker).await?.token;
    kit.settle_one(stale, retry("first", 60)).await?;
    every_verdict_is_lost(kit, stale).await?;
    kit.advance(std::time::Duration::from_secs(60));
    let live = kit.claim_one(worker).await?;
    ensure_eq!(live.token.job, id, "the job of the second claim");
    every_verdict_is_lost(kit, stale).await?;
    kit.settle_one(live.token, complete()).await?;
    every_verdict_is_lost(kit, stale).await
}

async fn every_verdict_is_lost(kit: &Kit, stale: Token) -> CaseResult {
    let before = kit.record(stale.job).await?;
    let verdicts = [
        complete_with(b"stale"),
        retry("stale", 1),
        bury("stale"),
        snooze(1),
        snooze(0),
        cancelled("stale"),
        release(),
    ];
    for verdict in verdicts {
        let what = format!("{verdict:?} of a {} job", before.state);
        ensure_eq!(kit.settle_one(stale, verdict).await?, Settled::LeaseLost, "the reply to {what}");
        ensure_eq!(kit.record(stale.job).await?, before, "the job after {what}");
    }
    Ok(())
}

/// A token has the job of one lease and the claim of another, or an unknown part. Each settle must
/// return `LeaseLost`.
async fn q04_a_token_is_the_pair_of_job_and_claim(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert(vec![kit.spec("job"), kit.spec("job")]).await?;
    let (first, second) = (kit.claim_one(worker).await?.token, kit.claim_one(worker).await?.token);
    let tokens = [
        Token { job: first.job, claim: second.claim },
        Token { job: second.job, claim: first.claim },
        Token { job: kit.id_at(kit.now()), claim: first.claim },
        Token { job: first.job, claim: kit.new_claim_id() },
    ];
    for token in tokens {
        ensure_eq!(
            kit.settle_one(token, complete()).await?,
            Settled::LeaseLost,
            "the reply to a settle with {token:?}"
        );
    }
    for token in [first, second] {
        ensure_eq!(kit.state(token.job).await?, JobState::Running, "the state of the job");
    }
    Ok(())
}

/// A request mixes stale and live tokens. Each settlement must get its own reply, in request order.
async fn q04_a_stale_settlement_does_not_fail_its_neighbours(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let ids = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    let tokens: Vec<Token> = kit.claim(worker, 4).await?.iter().map(|job| job.token).collect();
    kit.settle_one(tokens[2], release()).await?;
    let unknown = Token { job: kit.id_at(kit.now()), claim: tokens[0].claim };
    let request = vec![
        (tokens[2], complete()),
        (tokens[3], bury("no use")),
        (unknown, complete()),
        (tokens[0], complete()),
    ];
    let expected = [Settled::LeaseLost, Settled::Done, Settled::LeaseLost, Settled::Done];
    ensure_eq!(kit.settle(request).await?, expected, "the replies");
    let expected = [JobState::Completed, JobState::Running, JobState::Ready, JobState::Dead];
    for (id, expected) in ids.into_iter().zip(expected) {
        ensure_eq!(kit.state(id).await?, expected, "the state of job {id}");
    }
    Ok(())
}

/// A worker reports progress for a lease that it has lost. The report must not change the progress
/// of the running attempt.
async fn q04_progress_under_a_stale_token_is_dropped(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let stale = kit.claim_one(worker).await?.token;
    kit.settle_one(stale, release()).await?;
    let live = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, live, 7).await?;
    kit.report_progress(worker, stale, 99).await?;
    let done = kit.record(id).await?.progress.map(|progress| progress.done);
    ensure_eq!(done, Some(7), "the progress of the running attempt");
    kit.settle_one(live, retry("again", 0)).await?;
    let next = kit.claim_one(worker).await?.token;
    kit.report_progress(worker, live, 98).await?;
    let done = kit.record(id).await?.progress.map(|progress| progress.done);
    ensure_eq!(
        done.filter(|done| *done == 98),
        None,
        "the progress after a report under the token of attempt 1"
    );
    kit.settle_one(next, complete()).await?;
    Ok(())
}

/// A lease is overdue and its worker expired, but no rescue has taken it. Its token must still
/// settle the job.
async fn q04_a_lease_settles_late_while_nobody_took_it(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.advance(job.timeout + GRACE + EXPIRY * 10);
    ensure_eq!(kit.settle_one(job.token, complete()).await?, Settled::Done, "the reply to the late settle");
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "the number of jobs rescued afterwards");
    ensure_eq!(kit.state(id).await?, JobState::Completed, "the state");
    Ok(())
}

/// A rescue with limit 1 meets a lost worker with three leases. The two other leases must settle
/// until a later rescue takes them.
async fn q04_a_lease_beyond_the_limit_of_a_rescue_still_settles(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let tokens: Vec<Token> = kit.claim(worker, 3).await?.iter().map(|job| job.token).collect();
    kit.advance(EXPIRY);
    let reply = kit.rescue(1).await?;
    ensure_eq!(
        (reply.workers_lost, reply.rescued),
        (1, 1),
        "the numbers of workers lost and of leases rescued"
    );
    ensure!(kit.is_lost(worker).await?, "a lost worker is alive again");
    let mut left = Vec::new();
    for token in tokens {
        match kit.state(token.job).await? {
            JobState::Running => left.push(token),
            state => ensure_eq!(state, JobState::Ready, "the state of the rescued job"),
        }
    }
    ensure_eq!(left.len(), 2, "the number of leases beyond the limit");
    ensure_eq!(
        kit.settle_one(left[0], complete()).await?,
        Settled::Done,
        "the reply to a settle of a lease that was not rescued"
    );
    let reply = kit.rescue(10).await?;
    ensure_eq!(
        (reply.workers_lost, reply.rescued),
        (0, 1),
        "the numbers of workers lost and of leases rescued by the next rescue"
    );
    ensure_eq!(
        kit.settle_one(left[1], complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle of the last lease after its rescue"
    );
    Ok(())
}

/// A rescue ends the job because no retry is left. Each verdict of the lost worker must return
/// `LeaseLost`, even one that would also end the job as dead.
async fn q04_a_settle_after_death_by_rescue_is_lost(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    let lost = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.died, 1, "the number of jobs that died by the rescue");
    let dead = kit.record(id).await?;
    for verdict in [retry("late", 0), bury("late"), complete_with(b"late")] {
        let what = format!("{verdict:?}");
        ensure_eq!(kit.settle_one(lost.token, verdict).await?, Settled::LeaseLost, "the reply to {what}");
    }
    ensure_eq!(kit.record(id).await?, dead, "the dead job after the late settles");
    Ok(())
}

/// A worker has released its lease. Its token must settle nothing, although no other worker holds
/// the job.
async fn q04_a_released_lease_settles_nothing(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let given_back = kit.claim_one(kit.worker().await?).await?.token;
    ensure_eq!(kit.settle_one(given_back, release()).await?, Settled::Done, "the reply to the release");
    ensure_eq!(
        kit.settle_one(given_back, complete()).await?,
        Settled::LeaseLost,
        "the reply to the completion after the release"
    );
    ensure_eq!(
        kit.settle_one(given_back, release()).await?,
        Settled::LeaseLost,
        "the reply to the second release"
    );
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (JobState::Ready, 0), "the state and attempt of the job");
    Ok(())
}

/// The handle is closed and reopened. The live token must still settle the job, and the stale token
/// must not.
async fn q04_a_lease_outlives_the_handle_that_claimed(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let stale = kit.claim_one(worker).await?.token;
    kit.settle_one(stale, release()).await?;
    let live = kit.claim_one(worker).await?.token;
    kit.reopen().await?;
    ensure_eq!(kit.settle_one(stale, complete()).await?, Settled::LeaseLost, "the reply to the stale token");
    ensure_eq!(kit.settle_one(live, complete()).await?, Settled::Done, "the reply to the live token");
    kit.reopen().await?;
    ensure_eq!(
        kit.settle_one(live, complete()).await?,
        Settled::Done,
        "the reply to the live token the second time"
    );
    Ok(())
}

/// A second handle rescues the job and claims it. The first token must be lost, and either handle
/// must accept the second.
async fn q04_a_lease_taken_by_another_process_is_lost(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let first = kit.claim_one(kit.worker().await?).await?.token;
    kit.advance(EXPIRY);
    ensure_eq!(other.rescue(10).await?.rescued, 1, "the number of leases that the second handle rescued");
    let second = other.claim_one(other.worker().await?).await?.token;
    ensure_eq!(
        kit.settle_one(first, complete()).await?,
        Settled::LeaseLost,
        "the reply to a settle with the first token"
    );
    ensure_eq!(
        kit.settle_one(second, bury("x")).await?,
        Settled::Done,
        "the reply to a settle with the second token on the first handle"
    );
    ensure_eq!(other.state(id).await?, JobState::Dead, "the state that the second handle reads");
    Ok(())
}
