//! Q23: the jobs of a change are stored with it, once.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{ChangeSchedulesRequest, ScheduleChange, ScheduleChanged};
use queue_core::{Attributes, Backoff, Insertion, JobId, JobSpec, JobState, Submitted, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{bury, complete, schedules};
use crate::conformance::wakes::{announced, announced_so_far};

cases! {
    Fast q23_the_jobs_of_a_change_are_as_inserted_ones [Schedules],
    Fast q23_a_stale_change_stores_no_job [Schedules],
    Fast q23_a_stored_job_is_not_stored_again [Schedules],
    Fast q23_a_job_whose_key_is_held_is_a_duplicate [Schedules, UniqueKeys],
    Fast q23_new_jobs_of_a_change_are_announced [Schedules],
    Fast q23_a_deletion_may_store_jobs [Schedules],
    Fast q23_the_jobs_of_a_deletion_are_announced [Schedules],
    Fast q23_a_change_without_a_time_is_made_now [Schedules],
    Fast q23_a_change_whose_job_is_stored_already_is_made [Schedules],
}

const HOUR: Duration = Duration::from_secs(3600);

fn new(id: JobId) -> Submitted {
    Submitted::new(id, Insertion::New)
}

/// Jobs with each option are stored with a change. They must be read as if they had been inserted,
/// and must be claimable in the order of all jobs.
async fn q23_the_jobs_of_a_change_are_as_inserted_ones(kit: &Kit) -> CaseResult {
    let plain = kit.spec("job").build()?;
    let full = kit
        .spec("job")
        .queue("other")
        .payload(r#"{"b": 1, "a":1}"#)
        .priority(-3)
        .max_retries(7)
        .run_at(kit.now().saturating_add(HOUR))
        .timeout(Duration::from_micros(1_500_001))
        .build()?
        .backoff(Backoff::new(Duration::from_secs(1), HOUR).with_jitter(7))
        .attributes(Attributes::json(r#"{"tag":"x"}"#)?);
    let urgent = kit.spec("job").priority(5).build()?;
    let jobs = vec![plain.clone(), full.clone(), urgent.clone()];
    let schedule = kit.new_schedule("a")?;
    let changed = kit.change(ScheduleChange::create(schedule).jobs(jobs.clone())).await?;
    let expected = jobs.iter().map(|job| new(job.id)).collect();
    ensure_eq!(changed, ScheduleChanged::Done(expected), "the result");
    for job in &jobs {
        let record = kit.record(job.id).await?;
        let run_at = job.run_at.unwrap_or(kit.now());
        ensure_eq!(record.job, job.clone().run_at(run_at), "the stored job");
        let state = if job.id == full.id { JobState::Scheduled } else { JobState::Ready };
        let seen = (record.state, record.run_at, record.attempt, record.created_at);
        ensure_eq!(seen, (state, run_at, 0, kit.now()), "the state, time, attempt and creation");
    }
    let claimed = kit.claim(kit.worker().await?, 9).await?;
    let claimed: Vec<JobId> = claimed.iter().map(|job| job.token.job).collect();
    ensure_eq!(claimed, [urgent.id, plain.id], "the claimed jobs");
    Ok(())
}

/// Stale changes with jobs are sent, alone and beside one that happens. Only the jobs of that one
/// may be stored and announced.
async fn q23_a_stale_change_stores_no_job(kit: &Kit) -> CaseResult {
    let mut receiver = kit.backend()?.subscribe();
    let schedule = kit.create_due("a").await?;
    let stale = || -> anyhow::Result<ScheduleChange> {
        let new = kit.new_schedule("a")?;
        Ok(ScheduleChange::replace(new.version, new).jobs(vec![kit.spec("job").queue("stale").build()?]))
    };
    ensure_eq!(kit.change(stale()?).await?, ScheduleChanged::Stale, "the result");
    let create = ScheduleChange::create(kit.new_schedule("a")?).jobs(vec![kit.spec("job").build()?]);
    ensure_eq!(kit.change(create).await?, ScheduleChanged::Stale, "the result of a second creation");
    ensure_eq!(kit.stored().await?.jobs, [], "the jobs");
    let job = kit.spec("job").build()?;
    let good = ScheduleChange::create(kit.new_schedule("b")?).jobs(vec![job.clone()]);
    let results = kit.change_all(vec![stale()?, good]).await?;
    ensure_eq!(results, [ScheduleChanged::Stale, ScheduleChanged::Done(vec![new(job.id)])], "the results");
    ensure_eq!(kit.stored().await?.jobs, [job.id], "the jobs after the second request");
    ensure_eq!(kit.schedule("a").await?, Some(schedule), "the schedule");
    let wakes = announced_so_far(kit, &mut receiver).await?;
    ensure!(
        wakes.unknown || wakes.ready.iter().all(|hint| hint.queue.as_str() != "stale"),
        "jobs that were not stored were announced: {wakes:?}"
    );
    Ok(())
}

/// A change has jobs of which some are stored already: ready, running, completed and dead, with
/// other content. These must stay as they are, and the others must be stored.
async fn q23_a_stored_job_is_not_stored_again(kit: &Kit) -> CaseResult {
    let worker = kit.worker().await?;
    let mut known = Vec::new();
    for verdict in [None, Some(complete()), Some(bury("hopeless"))] {
        let id = kit.insert_one(kit.spec("job").payload("1")).await?;
        let job = kit.claim_one(worker).await?;
        if let Some(verdict) = verdict {
            kit.settle_one(job.token, verdict).await?;
        }
        known.push(id);
    }
    known.push(kit.insert_one(kit.spec("job").payload("1")).await?);
    let before = kit.stored().await?;
    let fresh = kit.spec("job").build()?;
    let mut jobs: Vec<JobSpec> = Vec::new();
    for id in &known {
        jobs.push(kit.spec("other").id(*id).payload("2").priority(9).build()?);
    }
    jobs.insert(2, fresh.clone());
    let expected: Vec<Submitted> = jobs
        .iter()
        .map(|job| Submitted::new(job.id, if job.id == fresh.id { Insertion::New } else { Insertion::Known }))
        .collect();
    let schedule = kit.new_schedule("a")?;
    let changed = kit.change(ScheduleChange::create(schedule.clone()).jobs(jobs)).await?;
    ensure_eq!(changed, ScheduleChanged::Done(expected), "the result");
    ensure_eq!(kit.schedule("a").await?, Some(schedule), "the schedule");
    let after = kit.stored().await?;
    let live = |row: &&queue_core::backend::LiveRow| row.id != fresh.id;
    ensure_eq!(
        after.live.iter().filter(live).collect::<Vec<_>>(),
        before.live.iter().collect::<Vec<_>>(),
        "the live rows"
    );
    ensure_eq!(after.outcomes, before.outcomes, "the finished jobs");
    for id in known {
        ensure_eq!(kit.record(id).await?.job.payload.as_str(), "1", "the payload of a known job");
    }
    Ok(())
}

/// A key is held by a stored job, and another by an earlier job of the same request. The later jobs
/// must be duplicates of their holders, and the schedule must change nevertheless.
async fn q23_a_job_whose_key_is_held_is_a_duplicate(kit: &Kit) -> CaseResult {
    let holder = kit.insert_one(kit.spec("job").unique("held")).await?;
    let duplicate = kit.spec("job").unique("held").build()?;
    let (first, second) = (kit.spec("job").unique("new").build()?, kit.spec("job").unique("new").build()?);
    let plain = kit.spec("job").build()?;
    let (one, two) = (kit.new_schedule("one")?, kit.new_schedule("two")?);
    let results = kit
        .change_all(vec![
            ScheduleChange::create(one.clone()).jobs(vec![duplicate, first.clone()]),
            ScheduleChange::create(two.clone()).jobs(vec![second, plain.clone()]),
        ])
        .await?;
    let of = |id| Submitted::new(id, Insertion::Duplicate);
    let expected = [
        ScheduleChanged::Done(vec![of(holder), new(first.id)]),
        ScheduleChanged::Done(vec![of(first.id), new(plain.id)]),
    ];
    ensure_eq!(results, expected, "the results");
    ensure_eq!(kit.stored().await?.jobs, [holder, first.id, plain.id], "the jobs");
    for schedule in [one, two] {
        ensure_eq!(kit.schedule(schedule.name.as_str()).await?, Some(schedule), "the schedule");
    }
    Ok(())
}

/// A change stores a ready job, one of the future, and one that is known. The first two must be
/// announced, with their queues.
async fn q23_new_jobs_of_a_change_are_announced(kit: &Kit) -> CaseResult {
    let known = kit.insert_one(kit.spec("job").queue("known")).await?;
    let mut receiver = kit.backend()?.subscribe();
    let jobs = vec![
        kit.spec("job").queue("at-once").build()?,
        kit.spec("job").queue("later").run_at(kit.now().saturating_add(HOUR)).build()?,
        kit.spec("job").queue("known").id(known).build()?,
    ];
    kit.change(ScheduleChange::create(kit.new_schedule("a")?).jobs(jobs)).await?;
    let wakes = announced_so_far(kit, &mut receiver).await?;
    if wakes.unknown {
        return Ok(());
    }
    let announced = |name: &str| wakes.ready.iter().any(|hint| hint.queue.as_str() == name);
    ensure!(announced("at-once"), "the ready job was not announced: {wakes:?}");
    ensure!(
        wakes.due_in.is_some_and(|due_in| due_in <= HOUR),
        "the time of the next job is missing: {wakes:?}"
    );
    ensure!(!announced("known"), "the known job was announced: {wakes:?}");
    Ok(())
}

/// The last fire of a schedule deletes it. Its job must be stored.
async fn q23_a_deletion_may_store_jobs(kit: &Kit) -> CaseResult {
    let schedule = kit.create_due("once").await?;
    let job = kit.spec("job").build()?;
    let last = ScheduleChange::delete(schedule.name, schedule.version).jobs(vec![job.clone()]);
    ensure_eq!(kit.change(last.clone()).await?, ScheduleChanged::Done(vec![new(job.id)]), "the result");
    ensure_eq!(kit.change(last).await?, ScheduleChanged::Stale, "the result of the same again");
    let claimed = kit.claim_one(kit.worker().await?).await.context("the job of the last fire")?;
    ensure_eq!(claimed.token.job, job.id, "the claimed job");
    Ok(())
}

/// A schedule is deleted together with the insert of a job. A subscriber must learn of the job.
async fn q23_the_jobs_of_a_deletion_are_announced(kit: &Kit) -> CaseResult {
    let schedule = kit.create_due("a").await?;
    let job = kit.spec("job").priority(7).build()?;
    let mut receiver = kit.backend()?.subscribe();
    kit.change(ScheduleChange::delete(schedule.name, schedule.version).jobs(vec![job])).await?;
    announced(&mut receiver, |all| all.ready.iter().any(|hint| hint.priority == 7)).await?;
    Ok(())
}

/// A change has no time, and its job has none. The schedule is due tomorrow. Both times of the job
/// must be that of the change.
async fn q23_a_change_without_a_time_is_made_now(kit: &Kit) -> CaseResult {
    let now = Timestamp::now();
    let schedule = kit.new_schedule("a")?.due_at(now.saturating_add(HOUR * 24));
    let job = kit.spec("job").build()?;
    let id = job.id;
    let request = ChangeSchedulesRequest::new(vec![ScheduleChange::create(schedule).jobs(vec![job])]);
    for result in schedules(&*kit.backend()?)?.change(request).await? {
        result?;
    }
    let record = kit.record(id).await?;
    let is_now = |time: Timestamp| now.saturating_sub(HOUR) < time && time < now.saturating_add(HOUR);
    ensure!(is_now(record.created_at), "created_at is {}, long before or after {now}", record.created_at);
    ensure_eq!(record.run_at, record.created_at, "run_at");
    Ok(())
}

/// The only job of a new schedule is stored already. The schedule must be created, and the job must
/// be known.
async fn q23_a_change_whose_job_is_stored_already_is_made(kit: &Kit) -> CaseResult {
    let job = kit.spec("job").build()?;
    kit.try_insert_exact(job.clone()).await??;
    let (schedule, id) = (kit.new_schedule("a")?, job.id);
    let changed = kit.change(ScheduleChange::create(schedule.clone()).jobs(vec![job])).await?;
    let known = Submitted::new(id, Insertion::Known);
    ensure_eq!(changed, ScheduleChanged::Done(vec![known]), "the reply");
    ensure_eq!(kit.schedule("a").await?, Some(schedule), "the schedule");
    Ok(())
}
