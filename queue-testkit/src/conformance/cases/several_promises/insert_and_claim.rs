//! Claims within an insert follow the rules of other claims, and never fail the insert.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{ClaimReply, InsertRequest, Settled};
use queue_core::{Attributes, Backoff, ErrorKind, JobId, JobState};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::{ensure_eq, fails_with};
use crate::conformance::kit::Kit;
use crate::conformance::session::{EXPIRY, GRACE, Inserted, complete, queue};
use crate::conformance::wait::in_time;

cases! {
    Fast q01_jobs_are_stored_whatever_becomes_of_their_claim [InsertAndClaim],
    Fast q03_a_claim_with_an_insert_takes_its_jobs [InsertAndClaim],
    Fast q05_a_claim_takes_nothing_of_a_batch_that_fails [InsertAndClaim],
    Fast q07_a_claim_with_an_insert_bounds_last_attempts [InsertAndClaim],
    Fast q13_a_claim_with_an_insert_takes_the_first_of_all [InsertAndClaim],
    Fast q13_a_claim_with_an_insert_takes_its_back_dated_jobs [InsertAndClaim],
    Fast q14_a_claim_with_an_insert_takes_nothing_early [InsertAndClaim],
    Fast q14_a_claim_with_an_insert_is_made_at_the_time_of_the_insert [InsertAndClaim],
    Fast q03_the_claim_of_a_known_or_refused_batch_is_returned [InsertAndClaim],
    Fast q17_a_claim_with_an_insert_obeys_a_pause [InsertAndClaim, Manage],
    Fast q19_what_the_claim_of_an_insert_leaves_wakes_others [InsertAndClaim],
    Fast q20_a_claim_with_an_insert_returns_whole_jobs [InsertAndClaim],
}

/// The jobs of the claim, which must have been made.
fn taken(claim: Option<queue_core::Result<ClaimReply>>) -> anyhow::Result<Vec<JobId>> {
    let reply = claim.context("the claim was not made")??;
    Ok(reply.jobs.iter().map(|job| job.token.job).collect())
}

/// The claim of an insert fails because the worker is lost. The job must still be stored, and
/// another worker must claim it.
async fn q01_jobs_are_stored_whatever_becomes_of_their_claim(kit: &Kit) -> CaseResult {
    let (lost, other) = (kit.worker().await?, kit.worker().await?);
    let held = kit.insert_one(kit.spec("job")).await?;
    kit.claim_one(lost).await?;
    kit.advance(EXPIRY);
    kit.try_heartbeat(other).await??;
    kit.rescue(10).await?;
    kit.claim_one(other).await?;
    let id = match kit.claiming(lost, 5).with_insert(vec![kit.spec("job")]).await? {
        Inserted::Declined => kit.insert_one(kit.spec("job")).await?,
        Inserted::Done(jobs, claim) => {
            if let Some(claim) = claim {
                fails_with(claim, ErrorKind::WorkerLost)?;
            }
            jobs?[0]
        }
    };
    ensure_eq!(kit.claim_one(other).await?.token.job, id, "the job that another worker claims");
    ensure_eq!(kit.state(held).await?, JobState::Running, "the state of the job inserted before");
    Ok(())
}

/// An insert carries a claim. The claim must lease the new jobs in claim order, and its leases must
/// settle.
async fn q03_a_claim_with_an_insert_takes_its_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let name = kit.new_claim_id();
    let specs = vec![kit.spec("job"), kit.spec("job").priority(3), kit.spec("job")];
    let (jobs, claim) = kit.claiming(worker, 5).claim_id(name).with_insert(specs).await?.done()?;
    let (jobs, leases) = (jobs?, claim.context("the claim was not made")??.jobs);
    let order: Vec<JobId> = leases.iter().map(|job| job.token.job).collect();
    ensure_eq!(order, [jobs[1], jobs[0], jobs[2]], "the jobs in claim order");
    ensure_eq!(kit.leases(worker, name).await?, leases, "the leases by claim id");
    ensure!(kit.claim(kit.worker().await?, 5).await?.is_empty(), "a job was leased twice");
    for lease in leases {
        ensure_eq!(lease.attempt, 1, "the attempt");
        ensure_eq!(kit.settle_one(lease.token, complete()).await?, Settled::Done, "the reply to the settle");
    }
    Ok(())
}

/// An insert with a claim fails with `Conflict`. No job of the batch may be stored or leased.
async fn q05_a_claim_takes_nothing_of_a_batch_that_fails(kit: &Kit) -> CaseResult {
    let known = kit.insert_one(kit.spec("job").queue("elsewhere")).await?;
    let batch = vec![kit.spec("job"), kit.spec("job").id(known)];
    match kit.claiming(kit.worker().await?, 5).with_insert(batch).await? {
        Inserted::Declined => {}
        Inserted::Done(jobs, claim) => {
            fails_with(jobs, ErrorKind::Conflict)?;
            if let Some(claim) = claim {
                ensure!(claim?.jobs.is_empty(), "a job of a failed batch was leased");
            }
        }
    }
    ensure_eq!(kit.stored().await?.jobs.len(), 1, "the number of stored jobs");
    Ok(())
}

/// An insert carries a claim that may return one job on its last attempt. It must return one, and
/// the next job must stay ready.
async fn q07_a_claim_with_an_insert_bounds_last_attempts(kit: &Kit) -> CaseResult {
    let specs = (0..3).map(|_| kit.spec("job").max_retries(0)).collect();
    let claiming = kit.claiming(kit.worker().await?, 5).last_attempts(1);
    let (jobs, claim) = claiming.with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [jobs[0]], "the leased jobs on their last attempt");
    ensure_eq!(kit.state(jobs[1]).await?, JobState::Ready, "the state of the next job");
    Ok(())
}

/// An insert carries a claim, and a more urgent job is already stored. The claim must return that
/// job.
async fn q13_a_claim_with_an_insert_takes_the_first_of_all(kit: &Kit) -> CaseResult {
    let before = kit.insert_one(kit.spec("job").priority(5)).await?;
    let specs = vec![kit.spec("job"), kit.spec("job").priority(4)];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 1).with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [before], "the leased job");
    let rest = kit.claim(kit.worker().await?, 5).await?;
    let rest: Vec<JobId> = rest.iter().map(|job| job.token.job).collect();
    ensure_eq!(rest, [jobs[1], jobs[0]], "the remaining jobs");
    Ok(())
}

/// An insert with a claim holds a scheduled job. The claim must not return it.
async fn q14_a_claim_with_an_insert_takes_nothing_early(kit: &Kit) -> CaseResult {
    let soon = kit.now().saturating_add(Duration::from_micros(1));
    let specs = vec![kit.spec("job").run_at(soon).priority(9), kit.spec("job")];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 5).with_insert(specs).await?.done()?;
    let jobs = jobs?;
    ensure_eq!(taken(claim)?, [jobs[1]], "the leased jobs");
    ensure_eq!(kit.state(jobs[0]).await?, JobState::Scheduled, "the state of the scheduled job");
    Ok(())
}

/// The claim of an insert has a later time of its own. It must not take a job that is due between
/// the two, and its deadlines must count from the time of the insert.
async fn q14_a_claim_with_an_insert_is_made_at_the_time_of_the_insert(kit: &Kit) -> CaseResult {
    let (worker, minute) = (kit.worker().await?, Duration::from_secs(60));
    kit.knows_kind(&kit.spec("job").build()?.kind);
    let soon = kit.spec("job").run_at(kit.now().saturating_add(minute)).build()?;
    let present = kit.spec("job").build()?;
    let id = present.id;
    let claim = kit.claiming(worker, 5).request()?.at(kit.now().saturating_add(minute * 2));
    let request = InsertRequest::new(vec![vec![soon, present]]).at(kit.now()).claim(claim);
    let reply = kit.backend()?.insert(request).await?;
    ensure_eq!(taken(reply.claim)?, [id], "the leased jobs");
    let deadline = kit.now().saturating_add(minute + GRACE);
    for row in kit.stored().await?.live.iter().filter(|row| row.id == id) {
        ensure_eq!(row.deadline, Some(deadline), "the deadline of the lease");
    }
    Ok(())
}

/// The batch of an insert is known, or refused. The claim of the request must be returned if it was
/// made, or must take nothing. The claim may be from another queue.
async fn q03_the_claim_of_a_known_or_refused_batch_is_returned(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let stored = kit.spec("job").queue("elsewhere");
    kit.insert_one(stored.clone()).await?;
    for spec in [stored.clone(), stored.payload("[\"other\"]"), kit.spec("job").queue("third")] {
        let id = kit.insert_one(kit.spec("job")).await?;
        let (name, claiming) = (kit.new_claim_id(), kit.claiming(worker, 5));
        let returned = match claiming.claim_id(name).with_insert(vec![spec]).await? {
            Inserted::Declined | Inserted::Done(_, None) => Vec::new(),
            Inserted::Done(_, Some(claim)) => claim?.jobs,
        };
        ensure_eq!(kit.leases(worker, name).await?, returned, "the leases of the claim, and its reply");
        ensure!(returned.iter().all(|job| job.token.job == id), "the claim took {returned:?}");
        for job in returned.into_iter().chain(kit.claim(worker, 5).await?) {
            kit.settle_one(job.token, complete()).await?;
        }
    }
    Ok(())
}

/// An insert carries a claim from a paused queue. The job must be stored, and must not be leased
/// before the resume.
async fn q17_a_claim_with_an_insert_obeys_a_pause(kit: &Kit) -> CaseResult {
    let backend = kit.backend()?;
    let manage = backend.extensions().manage.context("the backend offers no `manage`")?;
    manage.pause(&queue("default")?).await?;
    let claiming = kit.claiming(kit.worker().await?, 5);
    let (jobs, claim) = claiming.with_insert(vec![kit.spec("job")]).await?.done()?;
    let id = jobs?[0];
    if let Some(claim) = claim {
        ensure!(claim?.jobs.is_empty(), "a claim from a paused queue returned a job");
    }
    ensure_eq!(kit.state(id).await?, JobState::Ready, "the state of the job");
    manage.resume(&queue("default")?).await?;
    ensure_eq!(kit.claim_one(kit.worker().await?).await?.token.job, id, "the job claimed after the resume");
    Ok(())
}

/// An insert stores more jobs than its claim may return, and a scheduled one. Subscribers must be
/// woken for the rest.
async fn q19_what_the_claim_of_an_insert_leaves_wakes_others(kit: &Kit) -> CaseResult {
    let mut wakes = kit.backend()?.subscribe();
    let soon = kit.now().saturating_add(Duration::from_secs(7));
    let specs = vec![kit.spec("job"), kit.spec("job").priority(2), kit.spec("job").run_at(soon)];
    let (jobs, claim) = kit.claiming(kit.worker().await?, 1).with_insert(specs).await?.done()?;
    ensure_eq!(taken(claim)?, [jobs?[1]], "the leased job");
    let (mut is_announced, mut due) = (false, false);
    in_time("the wake-ups", async {
        while !(is_announced && due) {
            let woken = wakes.recv().await;
            is_announced |= woken.unknown || woken.ready.iter().any(|hint| hint.priority == 0);
            due |= woken.unknown || woken.due_in.is_some();
        }
    })
    .await
}

/// A worker has claimed jobs of two priorities. Jobs whose times are earlier than those of all that
/// it has claimed are inserted with its next claim, which must take them.
async fn q13_a_claim_with_an_insert_takes_its_back_dated_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let earlier = kit.now();
    kit.advance(EXPIRY / 2);
    kit.insert(vec![kit.spec("job").priority(1), kit.spec("job"), kit.spec("job")]).await?;
    ensure_eq!(kit.claim(worker, 9).await?.len(), 3, "the number of jobs of the first claim");
    for priority in [0, 1, 0] {
        let spec = kit.spec("job").priority(priority).run_at(earlier);
        let (jobs, claim) = match kit.claiming(worker, 5).with_insert(vec![spec]).await? {
            Inserted::Declined => return Ok(()),
            Inserted::Done(jobs, claim) => (jobs?, claim),
        };
        ensure_eq!(taken(claim)?, jobs, "the jobs of the claim with priority {priority}");
    }
    Ok(())
}

/// The claim of an insert takes a job with a backoff and attributes. It must return both, as the
/// list of its leases does.
async fn q20_a_claim_with_an_insert_returns_whole_jobs(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let backoff = Backoff::new(Duration::from_secs(7), Duration::from_secs(70)).with_jitter(13);
    let attributes = Attributes::json(r#"{ "tags": ["a"] }"#)?;
    let spec = kit.spec("job").build()?.backoff(backoff).attributes(attributes.clone());
    kit.knows_kind(&spec.kind);
    let claim = kit.claiming(worker, 1).request()?;
    let reply =
        kit.backend()?.insert(InsertRequest::new(vec![vec![spec]]).at(kit.now()).claim(claim)).await?;
    if reply.batches.is_empty() {
        return Ok(());
    }
    let jobs = reply.claim.context("the claim was not made")??.jobs;
    let job = jobs.first().context("the claim took no job")?;
    let seen = (job.backoff, job.attributes.clone());
    ensure_eq!(seen, (Some(backoff), Some(attributes)), "the backoff and attributes");
    ensure_eq!(kit.leases(worker, job.token.claim).await?, jobs, "the list of the leases");
    Ok(())
}
