//! Q13: a claim follows (priority descending, `run_at`, id).

use std::cmp::Reverse;
use std::time::Duration;

use queue_core::JobId;
use queue_core::backend::ClaimedJob;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, release, retry};
use crate::conformance::spec::Spec;

cases! {
    Fast q13_a_claim_follows_priority_time_and_id,
    Fast q13_many_small_claims_follow_the_order_of_one_large,
    Fast q13_ties_are_broken_by_id,
    Fast q13_the_ends_of_the_priorities_are_in_order,
    Fast q13_a_promoted_job_takes_the_place_of_its_time,
    Fast q13_a_retried_job_stands_by_its_new_time_and_a_released_one_by_its_old,
    Fast q13_kinds_that_are_not_asked_for_are_passed_over,
    Fast q13_a_claim_takes_no_more_than_its_limit,
    Fast q13_another_queue_is_another_order,
    Fast q13_the_leases_of_a_claim_are_listed_in_its_order,
    Fast q13_the_order_outlives_the_handle [Durable],
}

pub(super) fn ids(jobs: &[ClaimedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.token.job).collect()
}

/// Inserts 60 jobs over 5 priorities and 4 times in no order, and returns their ids in claim order.
pub(super) async fn scattered(kit: &Kit) -> anyhow::Result<Vec<JobId>> {
    let mut places = Vec::new();
    let mut batch = Vec::new();
    kit.advance(TICK * 10);
    for index in 0..60_u8 {
        let scattered = u32::from(index) * 37 % 60;
        let priority = i16::from(index) * 7 % 5 - 2;
        let run_at = kit.now().saturating_sub(TICK * (scattered % 4));
        let spec = kit.spec("job").priority(priority).run_at(run_at);
        places.push((Reverse(priority), run_at, spec.clone().build()?.id));
        batch.push(spec);
    }
    batch.rotate_left(23);
    kit.insert(batch).await?;
    places.sort();
    Ok(places.into_iter().map(|(_, _, id)| id).collect())
}

/// Jobs of several priorities and times are inserted in no order. The jobs in the reply must be in
/// claim order.
async fn q13_a_claim_follows_priority_time_and_id(kit: &Kit) -> CaseResult {
    let expected = scattered(kit).await?;
    ensure_eq!(ids(&kit.claim(kit.worker().await?, 100).await?), expected, "the jobs of the claim");
    Ok(())
}

/// Two workers claim in turn, seven jobs each. The replies together must be in claim order.
async fn q13_many_small_claims_follow_the_order_of_one_large(kit: &Kit) -> CaseResult {
    let expected = scattered(kit).await?;
    let workers = [kit.worker().await?, kit.worker().await?];
    let mut seen = Vec::new();
    for turn in 0..10 {
        seen.extend(ids(&kit.claim(workers[turn % 2], 7).await?));
    }
    ensure_eq!(seen, expected, "the jobs of ten claims");
    Ok(())
}

/// Jobs of one priority and time are inserted in descending id order. The claim must return them in
/// ascending id order.
async fn q13_ties_are_broken_by_id(kit: &Kit) -> CaseResult {
    let mut batch: Vec<Spec> = (0..20).map(|_| kit.spec("job")).collect();
    batch.reverse();
    let mut expected = kit.insert(batch).await?;
    expected.sort();
    ensure_eq!(
        ids(&kit.claim(kit.worker().await?, 20).await?),
        expected,
        "the claimed jobs, which have the same priority and time"
    );
    Ok(())
}

/// Priorities include `i16::MIN` and `i16::MAX`. The claim must sort them correctly. An order by
/// the negated priority would overflow, because `-i16::MIN` does not exist.
async fn q13_the_ends_of_the_priorities_are_in_order(kit: &Kit) -> CaseResult {
    let priorities = [0, i16::MIN, 1, i16::MAX, -1, i16::MIN + 1, i16::MAX - 1];
    kit.insert(priorities.map(|priority| kit.spec("job").priority(priority)).to_vec()).await?;
    let jobs = kit.claim(kit.worker().await?, 10).await?;
    let seen: Vec<i16> = jobs.iter().map(|job| job.priority).collect();
    ensure_eq!(
        seen,
        [i16::MAX, i16::MAX - 1, 1, 0, -1, i16::MIN + 1, i16::MIN],
        "the priorities of the claimed jobs"
    );
    Ok(())
}

/// Two scheduled jobs are due at 1 s and 3 s, and a ready job has `run_at` at 2 s. One claim must
/// promote the scheduled jobs and return all by time.
async fn q13_a_promoted_job_takes_the_place_of_its_time(kit: &Kit) -> CaseResult {
    let start = kit.now();
    let at = |seconds| start.saturating_add(Duration::from_secs(seconds));
    let waiting = kit.insert(vec![kit.spec("job").run_at(at(3)), kit.spec("job").run_at(at(1))]).await?;
    kit.set_clock(at(2));
    let ready = kit.insert_one(kit.spec("job")).await?;
    kit.set_clock(at(4));
    let jobs = kit.claim(kit.worker().await?, 10).await?;
    ensure_eq!(ids(&jobs), [waiting[1], ready, waiting[0]], "the jobs with run_at at 1 s, 2 s and 3 s");
    Ok(())
}

/// Of three jobs of the same time, one is retried and another released. The claim must sort the
/// retried job by its new time and the released job by its old time.
async fn q13_a_retried_job_stands_by_its_new_time_and_a_released_one_by_its_old(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..3).map(|_| kit.spec("job")).collect()).await?;
    let claimed = kit.claim(worker, 2).await?;
    kit.advance(TICK);
    kit.settle_one(claimed[0].token, retry("failed", 0)).await?;
    kit.settle_one(claimed[1].token, release()).await?;
    ensure_eq!(
        ids(&kit.claim(worker, 3).await?),
        [jobs[1], jobs[2], jobs[0]],
        "the released, the ready and the retried job"
    );
    Ok(())
}

/// A claim names some of the kinds. It must skip jobs of other kinds, leave them in place, and
/// return the rest in order.
async fn q13_kinds_that_are_not_asked_for_are_passed_over(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let kinds = ["a", "b", "c", "a", "c", "b", "a"];
    let jobs = kit.insert(kinds.map(|kind| kit.spec(kind)).to_vec()).await?;
    let reply = kit.claiming(worker, 3).kinds(&["c", "a"]).take().await?;
    ensure_eq!(ids(&reply.jobs), [jobs[0], jobs[2], jobs[3]], "the first three jobs of the kinds a and c");
    let reply = kit.claiming(worker, 10).kinds(&["unheard-of"]).take().await?;
    ensure_eq!(ids(&reply.jobs), [], "a claim of a kind without jobs");
    let reply = kit.claiming(worker, 10).kinds(&[]).take().await?;
    ensure_eq!(ids(&reply.jobs), [], "a claim of no kind");
    ensure_eq!(
        ids(&kit.claim(worker, 10).await?),
        [jobs[1], jobs[4], jobs[5], jobs[6]],
        "the remaining jobs"
    );
    Ok(())
}

/// The limit is zero, one, as many as there are jobs, or more. The claim must return at most that
/// number.
async fn q13_a_claim_takes_no_more_than_its_limit(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let jobs = kit.insert((0..4).map(|_| kit.spec("job")).collect()).await?;
    for (limit, expected) in [(0, &jobs[..0]), (1, &jobs[..1]), (3, &jobs[1..]), (u32::MAX, &jobs[..0])] {
        ensure_eq!(ids(&kit.claim(worker, limit).await?), expected, "a claim with limit {limit}");
    }
    Ok(())
}

/// Another queue holds a job of higher priority. A claim must return the jobs of its own queue
/// only.
async fn q13_another_queue_is_another_order(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let here = kit.insert_one(kit.spec("job").queue("here").priority(-5)).await?;
    let there = kit.insert_one(kit.spec("job").queue("there").priority(5)).await?;
    for (queue, expected) in [("here", vec![here]), ("nowhere", vec![]), ("there", vec![there])] {
        let reply = kit.claiming(worker, 10).queue(queue).take().await?;
        ensure_eq!(ids(&reply.jobs), expected, "the jobs of a claim from queue `{queue}`");
    }
    Ok(())
}

/// A worker holds three claims. `leases` must list the live leases of the named claim, in claim
/// order, and none of another claim.
async fn q13_the_leases_of_a_claim_are_listed_in_its_order(kit: &Kit) -> CaseResult {
    scattered(kit).await?;
    let worker = kit.worker().await?;
    kit.claim(worker, 5).await?;
    let claim = kit.new_claim_id();
    let mut expected = kit.claiming(worker, 9).claim_id(claim).take().await?.jobs;
    kit.claim(worker, 5).await?;
    ensure_eq!(kit.leases(worker, claim).await?, expected, "the leases of the claim");
    kit.settle_one(expected.remove(4).token, release()).await?;
    ensure_eq!(kit.leases(worker, claim).await?, expected, "the leases after one was released");
    Ok(())
}

/// Half of the jobs are claimed before the handle is reopened, half afterwards. Both claims
/// together must be in claim order.
async fn q13_the_order_outlives_the_handle(kit: &Kit) -> CaseResult {
    let expected = scattered(kit).await?;
    let worker = kit.worker().await?;
    let mut seen = ids(&kit.claim(worker, 30).await?);
    kit.reopen().await?;
    seen.extend(ids(&kit.claim(worker, 60).await?));
    ensure_eq!(seen, expected, "the jobs of both claims");
    Ok(())
}
