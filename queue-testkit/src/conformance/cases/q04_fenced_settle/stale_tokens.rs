//! Q4: only the live token of a job settles it.

use anyhow::ensure;
use queue_core::backend::Settled;
use queue_core::{State, Token};

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

/// A worker that was given up comes back with its result after another claimed the job.
async fn q04_the_token_of_a_rescued_lease_is_lost(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let slow = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    kit.rescue(10).await?;
    let second = kit.claim_one(kit.worker().await?).await?;
    ensure!(second.token != slow.token, "two claims have the same token");

    ensure_eq!(kit.settle_one(slow.token, complete()).await?, Settled::LeaseLost, "the late settle");
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (State::Running, 2), "the job after the late settle");
    ensure_eq!(kit.settle_one(second.token, complete()).await?, Settled::Done, "the holder's settle");
    Ok(())
}

/// The worker's name does not make up for the claim's: it holds the job again, by a later claim.
async fn q04_an_old_token_of_the_same_worker_is_lost(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let old = kit.claim_one(worker).await?;
    kit.settle_one(old.token, snooze(0)).await?;
    let new = kit.claim_one(worker).await?;
    ensure_eq!(new.attempt, old.attempt, "the attempt, which alone would not tell the leases apart");

    ensure_eq!(kit.settle_one(old.token, bury("late")).await?, Settled::LeaseLost, "the old token");
    ensure_eq!(kit.state(id).await?, State::Running, "the job under its new lease");
    ensure_eq!(kit.settle_one(new.token, complete()).await?, Settled::Done, "the new token");
    Ok(())
}

/// The job is waiting, running, then finished: the stale token moves it from none of these.
async fn q04_no_verdict_of_a_stale_token_changes_anything(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let stale = kit.claim_one(worker).await?.token;
    kit.settle_one(stale, retry("first", 60)).await?;
    every_verdict_is_lost(kit, stale).await?;
    kit.advance(std::time::Duration::from_secs(60));
    let live = kit.claim_one(worker).await?;
    ensure_eq!(live.token.job, id, "the job that is claimed again");
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
        ensure_eq!(kit.settle_one(stale, verdict).await?, Settled::LeaseLost, "{what}");
        ensure_eq!(kit.record(stale.job).await?, before, "the job after {what}");
    }
    Ok(())
}

/// Neither half of a token is enough, and neither an unknown job nor an unknown claim does harm.
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
        ensure_eq!(kit.settle_one(token, complete()).await?, Settled::LeaseLost, "{token:?}");
    }
    for token in [first, second] {
        ensure_eq!(kit.state(token.job).await?, State::Running, "the state of the job");
    }
    Ok(())
}

/// Each settlement of a request is answered by itself, in the order of the request.
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
    ensure_eq!(kit.settle(request).await?, expected, "the answers");
    let expected = [State::Completed, State::Running, State::Ready, State::Dead];
    for (id, expected) in ids.into_iter().zip(expected) {
        ensure_eq!(kit.state(id).await?, expected, "the state of job {id}");
    }
    Ok(())
}

/// What a worker says of a job that it lost is not told of the attempt that runs now.
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
    ensure_eq!(done.filter(|done| *done == 98), None, "the progress after a report of attempt 1");
    kit.settle_one(next, complete()).await?;
    Ok(())
}

/// The token decides, not the clock: until a rescue takes it, an overdue lease is the job's own.
async fn q04_a_lease_settles_late_while_nobody_took_it(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(kit.worker().await?).await?;
    kit.advance(job.timeout + GRACE + EXPIRY * 10);
    ensure_eq!(kit.settle_one(job.token, complete()).await?, Settled::Done, "the late settle");
    ensure_eq!(kit.rescue(10).await?.rescued, 0, "jobs rescued afterwards");
    ensure_eq!(kit.state(id).await?, State::Completed, "the state");
    Ok(())
}

/// The worker is lost for good, but of its three leases one piece of upkeep takes only one back.
async fn q04_a_lease_beyond_the_limit_of_a_rescue_still_settles(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let tokens: Vec<Token> = kit.claim(worker, 3).await?.iter().map(|job| job.token).collect();
    kit.advance(EXPIRY);
    let reply = kit.rescue(1).await?;
    ensure_eq!((reply.workers_lost, reply.rescued), (1, 1), "workers lost and leases taken back");
    ensure!(kit.is_lost(worker).await?, "a worker that was given up is alive again");
    let mut left = Vec::new();
    for token in tokens {
        match kit.state(token.job).await? {
            State::Running => left.push(token),
            state => ensure_eq!(state, State::Ready, "the state of the job that was taken back"),
        }
    }
    ensure_eq!(left.len(), 2, "leases beyond the limit");
    ensure_eq!(kit.settle_one(left[0], complete()).await?, Settled::Done, "the settle of one of them");
    let reply = kit.rescue(10).await?;
    ensure_eq!((reply.workers_lost, reply.rescued), (0, 1), "what is left for the next rescue");
    ensure_eq!(kit.settle_one(left[1], complete()).await?, Settled::LeaseLost, "the settle of the other");
    Ok(())
}

/// The rescue ended the job, not the lease: no verdict of the lost worker may be taken for its own,
/// not even one that would also have made it dead.
async fn q04_a_settle_after_death_by_rescue_is_lost(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job").max_retries(0)).await?;
    let lost = kit.claim_one(kit.worker().await?).await?;
    kit.advance(EXPIRY);
    ensure_eq!(kit.rescue(10).await?.died, 1, "jobs that died by the rescue");
    let dead = kit.record(id).await?;
    for verdict in [retry("late", 0), bury("late"), complete_with(b"late")] {
        let what = format!("{verdict:?}");
        ensure_eq!(kit.settle_one(lost.token, verdict).await?, Settled::LeaseLost, "{what}");
    }
    ensure_eq!(kit.record(id).await?, dead, "the dead job");
    Ok(())
}

/// A lease that its worker gave back is gone, though nobody else has the job.
async fn q04_a_released_lease_settles_nothing(kit: &Kit) -> CaseResult {
    let id = kit.insert_one(kit.spec("job")).await?;
    let given_back = kit.claim_one(kit.worker().await?).await?.token;
    ensure_eq!(kit.settle_one(given_back, release()).await?, Settled::Done, "the release");
    ensure_eq!(kit.settle_one(given_back, complete()).await?, Settled::LeaseLost, "the completion");
    ensure_eq!(kit.settle_one(given_back, release()).await?, Settled::LeaseLost, "the second release");
    let record = kit.record(id).await?;
    ensure_eq!((record.state, record.attempt), (State::Ready, 0), "the job");
    Ok(())
}

/// The token is all that a restarted worker needs, and the old one is as stale as before.
async fn q04_a_lease_outlives_the_handle_that_claimed(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let stale = kit.claim_one(worker).await?.token;
    kit.settle_one(stale, release()).await?;
    let live = kit.claim_one(worker).await?.token;
    kit.reopen().await?;
    ensure_eq!(kit.settle_one(stale, complete()).await?, Settled::LeaseLost, "the stale token");
    ensure_eq!(kit.settle_one(live, complete()).await?, Settled::Done, "the live token");
    kit.reopen().await?;
    ensure_eq!(kit.settle_one(live, complete()).await?, Settled::Done, "the live token again");
    Ok(())
}

/// Rescue and second claim come by another handle.
async fn q04_a_lease_taken_by_another_process_is_lost(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    let id = kit.insert_one(kit.spec("job")).await?;
    let first = kit.claim_one(kit.worker().await?).await?.token;
    kit.advance(EXPIRY);
    ensure_eq!(other.rescue(10).await?.rescued, 1, "leases that the other took back");
    let second = other.claim_one(other.worker().await?).await?.token;
    ensure_eq!(kit.settle_one(first, complete()).await?, Settled::LeaseLost, "the first lease");
    ensure_eq!(kit.settle_one(second, bury("x")).await?, Settled::Done, "the second, by either handle");
    ensure_eq!(other.state(id).await?, State::Dead, "the state as the other sees it");
    Ok(())
}
