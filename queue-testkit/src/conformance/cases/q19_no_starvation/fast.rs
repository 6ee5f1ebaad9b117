//! Q19: each ready job is claimed eventually, whatever jobs precede it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{NextReady, Settled};
use queue_core::{Error, JobId, Kind, QueueName, Token};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, bury, cancelled, complete, complete_with, release, retry, snooze};
use crate::conformance::spec::Spec;

cases! {
    Fast q19_a_wall_of_unhandled_jobs_hides_nothing,
    Fast q19_claims_meet_each_job_in_a_wall_of_unhandled_ones,
    Fast q19_finite_urgent_input_lets_the_others_through,
    Fast q19_jobs_that_keep_failing_let_the_others_through,
    Fast q19_jobs_on_their_last_attempt_do_not_block_the_queue,
    Fast q19_one_poisoned_settlement_does_not_fail_its_499_neighbours,
    Fast q19_all_that_becomes_due_at_once_is_claimed,
    Fast q19_the_leases_of_a_dead_fleet_all_come_back,
    Fast q19_the_next_ready_job_of_each_kind_is_the_one_a_claim_takes,
}

const WALL: usize = 10_000;

async fn insert_wall(kit: &Kit, spec: impl Fn(usize) -> Spec) -> CaseResult {
    kit.insert((0..WALL).map(spec).collect()).await?;
    Ok(())
}

/// Ten thousand jobs of a kind that the worker does not handle precede its jobs. A claim must
/// return its jobs at once, and a claim for the other kind must return jobs, too.
async fn q19_a_wall_of_unhandled_jobs_hides_nothing(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let first = kit.insert_one(kit.spec("mine").priority(-1)).await?;
    insert_wall(kit, |index| kit.spec("theirs").priority(i16::from(index % 2 == 0))).await?;
    let last = kit.insert_one(kit.spec("mine")).await?;
    for expected in [last, first] {
        let reply = kit.claiming(worker, 1).kinds(&["mine"]).take().await?;
        let seen: Vec<JobId> = reply.jobs.iter().map(|job| job.token.job).collect();
        ensure_eq!(seen, [expected], "the job of a claim for kind `mine`");
        kit.settle_one(reply.jobs[0].token, complete()).await?;
    }
    let theirs = kit.claiming(worker, 3).kinds(&["theirs"]).take().await?.jobs;
    ensure_eq!(theirs.len(), 3, "the number of jobs of a claim for kind `theirs`");
    Ok(())
}

/// Fifty jobs are scattered among ten thousand of another kind. The claims of one worker must
/// return all of them in order, and a job inserted later.
async fn q19_claims_meet_each_job_in_a_wall_of_unhandled_ones(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    insert_wall(kit, |index| kit.spec(if index % 200 == 199 { "mine" } else { "theirs" })).await?;
    let mut seen: Vec<JobId> = Vec::new();
    let mut more = None;
    for turn in 0..18 {
        let reply = kit.claiming(worker, 3).kinds(&["mine"]).take().await?;
        for job in &reply.jobs {
            kit.settle_one(job.token, complete()).await?;
            seen.push(job.token.job);
        }
        if turn == 10 {
            kit.advance(Duration::from_secs(1));
            more = Some(kit.insert_one(kit.spec("mine")).await?);
        }
    }
    ensure_eq!(
        (seen.len(), seen.last().copied()),
        (51, more),
        "the number of claimed jobs, and the last of them"
    );
    ensure!(seen.is_sorted(), "a later claim returned an earlier job");
    Ok(())
}

/// Urgent jobs arrive as fast as workers claim them, and then stop. The other jobs must then be
/// claimed in order.
async fn q19_finite_urgent_input_lets_the_others_through(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let patient = kit.insert((0..10).map(|_| kit.spec("job")).collect()).await?;
    let mut urgent_left = 100;
    let mut seen = Vec::new();
    for _ in 0..65 {
        if urgent_left > 0 {
            kit.insert(vec![kit.spec("job").priority(9), kit.spec("job").priority(8)]).await?;
            urgent_left -= 2;
        }
        kit.advance(Duration::from_millis(10));
        for job in kit.claim(worker, 2).await? {
            kit.settle_one(job.token, complete()).await?;
            seen.extend((job.priority == 0).then_some(job.token.job));
        }
    }
    ensure_eq!(seen, patient, "the low-priority jobs in the order of their claims");
    Ok(())
}

/// Jobs of the highest priority fail and are retried at once. After they have used their attempts,
/// the other jobs must be claimed.
async fn q19_jobs_that_keep_failing_let_the_others_through(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..5).map(|_| kit.spec("bad").priority(i16::MAX).max_retries(5)).collect()).await?;
    let good = kit.insert((0..5).map(|_| kit.spec("good")).collect()).await?;
    let mut claims = 0;
    let mut seen = Vec::new();
    while seen.len() < good.len() {
        claims += 1;
        ensure!(claims <= 5 * 6 + 5, "{claims} claims returned only {seen:?}");
        let job = kit.claim_one(worker).await?;
        if job.kind.as_str() == "bad" {
            kit.settle_one(job.token, retry("always", 0)).await?;
        } else {
            kit.settle_one(job.token, complete()).await?;
            seen.push(job.token.job);
        }
    }
    ensure_eq!(seen, good, "the jobs behind the failing ones");
    Ok(())
}

/// A hundred jobs are on their last attempt, and a claim may return one of them. Each claim must
/// return one, until the other jobs are reached.
async fn q19_jobs_on_their_last_attempt_do_not_block_the_queue(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    kit.insert((0..100).map(|_| kit.spec("job").max_retries(0)).collect()).await?;
    kit.insert((0..10).map(|_| kit.spec("job")).collect()).await?;
    let mut claims = 0;
    let mut seen = 0;
    while seen < 110 {
        claims += 1;
        ensure!(claims <= 101, "{claims} claims returned only {seen} jobs");
        for job in kit.claiming(worker, 20).last_attempts(1).take().await?.jobs {
            kit.settle_one(job.token, complete()).await?;
            seen += 1;
        }
    }
    Ok(())
}

/// One of 500 settlements has an unknown job, extreme bytes or an extreme delay. The others must be
/// done.
async fn q19_one_poisoned_settlement_does_not_fail_its_499_neighbours(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let forever = Duration::MAX.as_secs();
    let poisons = [
        complete_with(&[0, 0xff, 0xc0, b'\'']),
        retry("'; drop table jobs; --", forever),
        snooze(forever),
        bury(&"\u{10ffff}".repeat(2000)),
        cancelled(""),
        release(),
    ];
    for (round, poison) in poisons.into_iter().enumerate() {
        kit.insert((0..499).map(|_| kit.spec("job")).collect()).await?;
        let held = kit.claim(worker, 500).await?;
        let mut settlements: Vec<_> = held.iter().map(|job| (job.token, complete())).collect();
        let unknown = Token { job: kit.id_at(kit.now()), claim: held[0].token.claim };
        settlements.insert(77 * round, (unknown, poison.clone()));
        settlements[498 - 77 * round].1 = poison;
        let answers = kit.settle(settlements).await?;
        let done = answers.iter().filter(|answer| **answer == Settled::Done).count();
        ensure_eq!(
            (done, answers[77 * round]),
            (held.len(), Settled::LeaseLost),
            "round {round}, the number of settlements done, and the reply to the bad one"
        );
        let ended = kit.stored().await?.outcomes.len();
        ensure!(ended >= 498 * (round + 1), "round {round}: only {ended} jobs have an outcome");
    }
    Ok(())
}

/// Thousands of jobs become due at once, more than one promotion takes. Repeated claims must return
/// all in claim order.
async fn q19_all_that_becomes_due_at_once_is_claimed(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let soon = kit.now().saturating_add(Duration::from_secs(60));
    let mut jobs = kit.insert((0..5000).map(|_| kit.spec("job").run_at(soon)).collect()).await?;
    jobs.extend(kit.insert((0..10).map(|_| kit.spec("job").run_at(soon).priority(-1)).collect()).await?);
    kit.set_clock(soon);
    let mut seen: Vec<JobId> = Vec::new();
    for _ in 0..12 {
        for job in kit.claim(worker, 500).await? {
            seen.push(job.token.job);
        }
    }
    ensure_eq!(seen.len(), jobs.len(), "the number of claimed jobs");
    ensure!(seen == jobs, "the jobs were not claimed in claim order");
    Ok(())
}

/// Fifty workers with twenty jobs each are lost. Rescues with limit 30 must take all leases.
async fn q19_the_leases_of_a_dead_fleet_all_come_back(kit: &Kit) -> CaseResult {
    kit.insert((0..1000).map(|_| kit.spec("job")).collect()).await?;
    for _ in 0..50 {
        kit.claim(kit.worker().await?, 20).await?;
    }
    kit.advance(EXPIRY);
    let mut rescued = 0;
    for call in 0..40 {
        let reply = kit.rescue(30).await?;
        ensure!(
            reply.rescued <= 30,
            "rescue {call} took {} leases, more than its limit of 30",
            reply.rescued
        );
        rescued += reply.rescued;
    }
    ensure_eq!(rescued, 1000, "the number of leases rescued");
    ensure_eq!(
        kit.claim(kit.worker().await?, 2000).await?.len(),
        1000,
        "the number of jobs that can be claimed again"
    );
    Ok(())
}

/// Jobs of several kinds are ready, scheduled and running, in several queues, one of which is
/// paused. `next_ready` must return the job that the next claim of each kind takes, and nothing of
/// other queues.
async fn q19_the_next_ready_job_of_each_kind_is_the_one_a_claim_takes(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let later = kit.now().saturating_add(Duration::from_secs(60));
    kit.insert_one(kit.spec("taken").priority(9)).await?;
    kit.claim_one(worker).await?;
    let jobs = kit.insert(vec![
        kit.spec("mail"),
        kit.spec("mail").priority(3),
        kit.spec("mail").priority(3),
        kit.spec("resize").priority(-5),
        kit.spec("later").run_at(later),
        kit.spec("mail").queue("other"),
        kit.spec("mail").queue("paused"),
        kit.spec("mail").queue("elsewhere"),
    ]);
    let jobs = jobs.await?;
    let backend = kit.backend()?;
    let extensions = backend.extensions();
    let names = ["default", "other", "paused", "empty"];
    let queues = names.into_iter().map(QueueName::new).collect::<Result<Vec<_>, _>>()?;
    let manage = extensions.manage.context("the backend offers no `manage`")?;
    manage.pause(&queues[2]).await?;
    let inspect = extensions.inspect.context("the backend offers no `inspect`")?;
    let mut next = inspect.next_ready(&queues).await?;
    next.sort_by_key(|next| (next.queue.clone(), next.kind.clone()));
    let of = |queue: &QueueName, kind: &str, job| {
        Ok::<_, Error>(NextReady::new(queue.clone(), Kind::new(kind)?, job))
    };
    let expected = [
        of(&queues[0], "mail", jobs[1])?,
        of(&queues[0], "resize", jobs[3])?,
        of(&queues[1], "mail", jobs[5])?,
    ];
    ensure_eq!(next, expected, "the first ready job of each kind");
    let reply = kit.claiming(worker, 1).kinds(&["mail"]).take().await?;
    ensure_eq!(reply.jobs[0].token.job, jobs[1], "the job of a claim for kind `mail`");
    Ok(())
}
