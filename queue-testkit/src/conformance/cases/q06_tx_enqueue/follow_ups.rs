//! Q6: the follow-ups of a job are stored by its completion.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::Prune;
use queue_core::backend::Settled::{Done, LeaseLost};
use queue_core::{Attributes, ClaimId, ErrorKind, JobState, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, complete, complete_then, queue, retry};
use crate::conformance::wakes::announced_so_far;

cases! {
    Fast q06_a_completion_stores_the_follow_ups_of_its_job [FollowUps],
    Fast q06_a_lost_lease_stores_no_follow_up [FollowUps],
    Fast q06_a_repeated_completion_stores_its_follow_ups_once [FollowUps],
    Fast q06_a_job_whose_follow_up_is_refused_keeps_its_lease [FollowUps],
    Fast q06_a_pruned_follow_up_is_not_stored_again [FollowUps],
    Fast q06_a_follow_up_of_a_paused_queue_is_stored [FollowUps, Manage],
    Fast q06_a_follow_up_that_is_stored_is_not_stored_again [FollowUps],
    Fast q06_follow_ups_that_are_stored_in_part_are_refused [FollowUps],
    Fast q06_follow_ups_are_announced [FollowUps],
    Fast q06_a_follow_up_whose_key_is_held_is_not_stored [FollowUps, UniqueKeys],
    Fast q06_a_follow_up_may_take_the_key_of_its_job [FollowUps, UniqueKeys],
    Fast q06_a_thousand_jobs_in_one_request_have_follow_ups [FollowUps],
}

/// One request completes a job with two follow-ups and one with a scheduled follow-up, completes a
/// third job without, and retries a fourth.
async fn q06_a_completion_stores_the_follow_ups_of_its_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    let jobs = kit.claim(worker, 4).await?;
    let later = kit.now().saturating_add(Duration::from_micros(60_000_001));
    let plain = kit.spec("job");
    let chosen = kit.spec("other").queue("elsewhere").priority(-7).max_retries(0).payload("[1, 2]");
    let scheduled = kit.spec("job").run_at(later);
    let [plain, chosen, scheduled] = [plain.build()?, chosen.build()?, scheduled.build()?];
    let chosen = chosen.attributes(Attributes::json(r#"{ "trace": [1] }"#)?);
    kit.advance(Duration::from_micros(1));
    let settled = kit
        .settle(vec![
            (jobs[0].token, complete_then([plain.clone(), chosen.clone()])),
            (jobs[1].token, complete()),
            (jobs[2].token, complete_then([scheduled.clone()])),
            (jobs[3].token, retry("failed", 1000)),
        ])
        .await?;
    ensure_eq!(settled, [Done; 4], "the replies");
    ensure_eq!(kit.stored().await?.jobs.len(), 7, "the number of stored jobs");
    for (job, state) in
        [(&plain, JobState::Ready), (&chosen, JobState::Ready), (&scheduled, JobState::Scheduled)]
    {
        let record = kit.record(job.id).await?;
        ensure_eq!(record.state, state, "the state of the follow-up {record:?}");
        let mut expected = job.clone();
        expected.run_at.get_or_insert(kit.now());
        ensure_eq!(record.job, expected, "the stored follow-up");
    }
    let next = kit.claim_one(worker).await?;
    ensure_eq!(next.token.job, plain.id, "the claimed follow-up");
    kit.settle_one(next.token, complete()).await?;
    Ok(())
}

/// One request settles a lease that a rescue has ended, one that never was, and one that is held.
async fn q06_a_lost_lease_stores_no_follow_up(kit: &Kit) -> CaseResult {
    let (lost, worker) = (kit.worker().await?, kit.worker().await?);
    kit.insert_one(kit.spec("job")).await?;
    let first = kit.claim_one(lost).await?;
    kit.advance(EXPIRY);
    kit.heartbeat(worker).await?;
    kit.rescue(10).await?;
    let again = kit.claim_one(worker).await?;
    let never = Token { claim: ClaimId::from_bytes([9; 16]), ..again.token };
    let [stale, foreign, own] =
        [kit.spec("stale").build()?, kit.spec("foreign").build()?, kit.spec("own").build()?];
    for (token, job) in [(first.token, &stale), (never, &foreign)] {
        ensure_eq!(kit.settle_one(token, complete_then([job.clone()])).await?, LeaseLost, "the reply");
        ensure_eq!(kit.find(job.id).await?, None, "the follow-up of a lost lease");
    }
    kit.insert_one(kit.spec("job")).await?;
    let held = kit.claim_one(worker).await?;
    let settled = kit
        .settle(vec![
            (first.token, complete_then([stale.clone()])),
            (held.token, complete_then([own.clone()])),
        ])
        .await?;
    ensure_eq!(settled, [LeaseLost, Done], "the replies");
    ensure_eq!(kit.find(stale.id).await?, None, "the follow-up of the lost lease");
    ensure_eq!(kit.state(own.id).await?, JobState::Ready, "the follow-up of the held lease");
    ensure_eq!(kit.state(again.token.job).await?, JobState::Running, "the job of the lost lease");
    Ok(())
}

/// The reply to a settle was lost, and the worker repeats it: at once, and after the follow-up has
/// ended.
async fn q06_a_repeated_completion_stores_its_follow_ups_once(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let follow_ups = [kit.spec("job").build()?, kit.spec("job").build()?];
    for _ in 0..2 {
        let settled = kit.settle_one(job.token, complete_then(follow_ups.clone())).await?;
        ensure_eq!(settled, Done, "the reply");
        ensure_eq!(kit.stored().await?.jobs.len(), 3, "the number of stored jobs");
    }
    let claimed = kit.claim(worker, 10).await?;
    ensure_eq!(claimed.len(), 2, "the number of claimed follow-ups");
    for follow_up in claimed {
        kit.settle_one(follow_up.token, complete()).await?;
    }
    ensure_eq!(kit.settle_one(job.token, complete_then(follow_ups)).await?, Done, "the reply");
    ensure_eq!(kit.claim(worker, 10).await?.len(), 0, "the number of claimed jobs");
    Ok(())
}

/// The id of a follow-up is stored with other content. The settlement must fail for good, and the
/// neighbours of its request must succeed.
async fn q06_a_job_whose_follow_up_is_refused_keeps_its_lease(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let jobs = kit.claim(worker, 3).await?;
    let stored = kit.insert_one(kit.spec("stored").queue("elsewhere")).await?;
    let bad = [kit.spec("good").build()?, kit.spec("job").id(stored).build()?];
    let [before, after] = [kit.spec("before").build()?, kit.spec("after").build()?];
    let mut answers = kit
        .try_settle(vec![
            (jobs[0].token, complete_then([before.clone()])),
            (jobs[1].token, complete_then(bad.clone())),
            (jobs[2].token, complete_then([after.clone()])),
        ])
        .await??;
    let refused = fails_with(answers.remove(1), ErrorKind::Conflict)?;
    ensure!(refused.is_final(), "the error is not final: {refused}");
    ensure_eq!(refused.jobs(), [stored], "the jobs that the error names");
    for answer in answers {
        ensure_eq!(answer?, Done, "the reply to a neighbour");
    }
    for job in [before, after] {
        ensure_eq!(kit.state(job.id).await?, JobState::Ready, "a follow-up of a neighbour");
    }
    ensure_eq!(kit.find(bad[0].id).await?, None, "the other follow-up of the refused settlement");
    ensure_eq!(kit.state(jobs[1].token.job).await?, JobState::Running, "the job of the refused settlement");
    ensure_eq!(kit.settle_one(jobs[1].token, retry("refused", 0)).await?, Done, "the next settle");
    Ok(())
}

/// A follow-up with an id of its own was inserted before, with the same content.
async fn q06_a_follow_up_that_is_stored_is_not_stored_again(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").priority(9)).await?;
    let job = kit.claim_one(worker).await?;
    let spec = kit.spec("job");
    kit.insert_one(spec.clone().run_at(kit.now())).await?;
    let same = spec.run_at(kit.now()).build()?;
    ensure_eq!(kit.settle_one(job.token, complete_then([same])).await?, Done, "the reply");
    ensure_eq!(kit.state(job.token.job).await?, JobState::Completed, "the state of the job");
    ensure_eq!(kit.claim(worker, 10).await?.len(), 1, "the number of claimed follow-ups");
    Ok(())
}

/// Of two follow-ups one is stored already, as never happens by a repeated settle.
async fn q06_follow_ups_that_are_stored_in_part_are_refused(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").priority(9)).await?;
    let job = kit.claim_one(worker).await?;
    let spec = kit.spec("job").run_at(kit.now());
    kit.insert_one(spec.clone()).await?;
    let missing = kit.spec("job").build()?;
    let mut answers =
        kit.try_settle(vec![(job.token, complete_then([spec.build()?, missing.clone()]))]).await??;
    fails_with(answers.remove(0), ErrorKind::Conflict)?;
    ensure_eq!(kit.find(missing.id).await?, None, "the follow-up that was missing");
    ensure_eq!(kit.state(job.token.job).await?, JobState::Running, "the state of the job");
    Ok(())
}

/// A follow-up that is ready and one that waits must be announced, like those of an insert.
async fn q06_follow_ups_are_announced(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let job = kit.claim_one(worker).await?;
    let mut receiver = kit.backend()?.subscribe();
    kit.works().await?;
    receiver.take();
    let later = kit.now().saturating_add(Duration::from_secs(60));
    let follow_ups =
        [kit.spec("job").queue("next").priority(3).build()?, kit.spec("job").run_at(later).build()?];
    kit.settle_one(job.token, complete_then(follow_ups)).await?;
    let is_next = |hint: &queue_core::backend::Hint| {
        hint.queue.as_str() == "next" && hint.priority == 3 && hint.run_at <= kit.now()
    };
    let wakes = announced_so_far(kit, &mut receiver).await?;
    let is_announced = wakes.ready.iter().any(is_next) && wakes.due_in.is_some();
    ensure!(is_announced || wakes.unknown, "the follow-ups were not announced: {wakes:?}");
    Ok(())
}

/// A follow-up whose key another job holds is left out. The job is completed, and its other
/// follow-up is stored.
async fn q06_a_follow_up_whose_key_is_held_is_not_stored(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").priority(9)).await?;
    let job = kit.claim_one(worker).await?;
    kit.insert_one(kit.spec("job").unique("held")).await?;
    let [duplicate, other] = [kit.spec("job").unique("held").build()?, kit.spec("job").build()?];
    let follow_ups = [duplicate.clone(), other.clone()];
    ensure_eq!(kit.settle_one(job.token, complete_then(follow_ups)).await?, Done, "the reply");
    ensure_eq!(kit.find(duplicate.id).await?, None, "the duplicate");
    ensure_eq!(kit.state(other.id).await?, JobState::Ready, "the state of the other follow-up");
    Ok(())
}

/// A job with a unique key enqueues its own successor, which has the same key.
async fn q06_a_follow_up_may_take_the_key_of_its_job(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job").unique("chain")).await?;
    for _ in 0..3 {
        let job = kit.claim_one(worker).await?;
        let next = kit.spec("job").unique("chain").build()?;
        ensure_eq!(kit.settle_one(job.token, complete_then([next.clone()])).await?, Done, "the reply");
        ensure_eq!(kit.state(next.id).await?, JobState::Ready, "the state of the successor");
        let beside = kit.try_insert(vec![kit.spec("job").unique("chain")]).await??;
        ensure_eq!(beside[0].id, next.id, "the holder of the key");
    }
    Ok(())
}

/// The jobs of a full request have two follow-ups each, and every tenth job none.
async fn q06_a_thousand_jobs_in_one_request_have_follow_ups(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..1000).map(|_| kit.spec("job")).collect()).await?;
    let mut settlements = Vec::new();
    for (number, job) in kit.claim(worker, 1000).await?.into_iter().enumerate() {
        let verdict = match number % 10 {
            0 => complete(),
            _ => complete_then([kit.spec("job").build()?, kit.spec("job").build()?]),
        };
        settlements.push((job.token, verdict));
    }
    ensure_eq!(settlements.len(), 1000, "the number of claimed jobs");
    ensure_eq!(kit.settle(settlements).await?, [Done; 1000], "the replies");
    ensure_eq!(kit.claim(worker, 2000).await?.len(), 1800, "the number of claimed follow-ups");
    Ok(())
}

/// A follow-up ends and is pruned, and the completion of its job is repeated. The follow-up must
/// not be stored again.
async fn q06_a_pruned_follow_up_is_not_stored_again(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert_one(kit.spec("job")).await?;
    let token = kit.claim_one(worker).await?.token;
    let follow_up = kit.spec("job").build()?;
    let completion = complete_then([follow_up.clone()]);
    ensure_eq!(kit.settle_one(token, completion.clone()).await?, Done, "the reply");
    kit.cancel(follow_up.id).await?;
    kit.advance(EXPIRY);
    let zero = Duration::ZERO;
    let kept = Prune::default().cancelled(zero).idempotency_window(zero);
    ensure_eq!(kit.prune(kept).await?.pruned, 1, "the number of jobs pruned");
    ensure_eq!(kit.settle_one(token, completion).await?, Done, "the reply to the repeated settle");
    ensure_eq!(kit.find(follow_up.id).await?, None, "the pruned follow-up");
    Ok(())
}

/// The queue of a follow-up is paused. It must be stored, and claimed after the resume.
async fn q06_a_follow_up_of_a_paused_queue_is_stored(kit: &Kit) -> CaseResult {
    let (worker, backend, paused) = (kit.worker().await?, kit.backend()?, queue("paused")?);
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&paused).await?;
    kit.insert_one(kit.spec("job")).await?;
    let follow_up = kit.spec("job").queue("paused").build()?;
    let completion = complete_then([follow_up.clone()]);
    ensure_eq!(kit.settle_one(kit.claim_one(worker).await?.token, completion).await?, Done, "the reply");
    ensure_eq!(kit.state(follow_up.id).await?, JobState::Ready, "the state of the follow-up");
    manage.resume(&paused).await?;
    let jobs = kit.claiming(worker, 9).queue("paused").take().await?.jobs;
    ensure_eq!(jobs.len(), 1, "the number of jobs claimed after the resume");
    Ok(())
}
