//! Q23: several workers fire, and programs change schedules, at the same time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use queue_core::backend::{ScheduleChange, ScheduleChanged, ScheduleVersion, StoredSchedule};
use queue_core::{Insertion, JobId, Submitted};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::race::race;
use crate::conformance::session::Session;
use crate::conformance::wait::in_time;

cases! {
    Race q23_of_changes_that_expect_one_version_one_happens [Schedules],
    Race q23_of_creations_of_one_name_one_happens [Schedules],
    Race q23_workers_that_fire_at_once_fire_each_slot_once [Schedules],
    Race q23_no_slot_fires_after_a_pause_returned [Schedules],
    Race q23_a_change_and_an_insert_store_one_job [Schedules],
}

type Submitting = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Submitted>>> + Send>>;

const ROUNDS: usize = 12;
const TASKS: usize = 8;
const SECOND: Duration = Duration::from_secs(1);

/// A change by `handle` with a job of its own.
async fn change(
    handle: Arc<Session>,
    expected: Option<ScheduleVersion>,
) -> anyhow::Result<(StoredSchedule, JobId, ScheduleChanged)> {
    let (new, job) = (handle.new_schedule("a")?, handle.spec("job").build()?);
    let change = match expected {
        None => ScheduleChange::create(new.clone()),
        Some(expected) => ScheduleChange::replace(expected, new.clone()),
    };
    let id = job.id;
    Ok((new, id, handle.change(change.jobs(vec![job])).await?))
}

/// Makes concurrent changes that expect the same, and checks that one of them happened, with its
/// job.
async fn one_of_all_happens(
    kit: &Kit,
    handles: &[Arc<Session>],
    expected: Option<ScheduleVersion>,
) -> CaseResult {
    let jobs = kit.stored().await?.jobs.len();
    let tasks = handles.iter().map(|handle| change(Arc::clone(handle), expected));
    let results = race(tasks.collect()).await?;
    let done: Vec<_> = results.iter().filter(|(_, _, result)| *result != ScheduleChanged::Stale).collect();
    ensure!(done.len() == 1, "{} of {TASKS} changes happened", done.len());
    let (schedule, job, result) = done[0];
    ensure_eq!(*result, ScheduleChanged::Done(vec![Submitted::new(*job, Insertion::New)]), "the result");
    ensure_eq!(kit.schedule("a").await?.as_ref(), Some(schedule), "the schedule");
    let stored = kit.stored().await?.jobs;
    ensure!(stored.len() == jobs + 1 && stored.contains(job), "the jobs are {stored:?}, without {job}");
    Ok(())
}

/// Eight tasks replace a schedule of one version, each with a job. One change must happen, and only
/// its job may be stored.
async fn q23_of_changes_that_expect_one_version_one_happens(kit: &Kit) -> CaseResult {
    let handles = kit.handles(TASKS).await?;
    let mut version = kit.create_due("a").await?.version;
    for _ in 0..ROUNDS {
        one_of_all_happens(kit, &handles, Some(version)).await?;
        version = kit.schedule("a").await?.map_or(version, |schedule| schedule.version);
    }
    Ok(())
}

/// Eight tasks create a schedule of one name, each with a job. One must succeed.
async fn q23_of_creations_of_one_name_one_happens(kit: &Kit) -> CaseResult {
    let handles = kit.handles(TASKS).await?;
    for _ in 0..ROUNDS {
        one_of_all_happens(kit, &handles, None).await?;
        if let Some(schedule) = kit.schedule("a").await? {
            kit.change(ScheduleChange::delete(schedule.name, schedule.version)).await?;
        }
    }
    Ok(())
}

/// Fires what is due until nothing is. A slot is later than the one before by `step`. Its job has
/// the number of the slot in its payload.
async fn fire_all(handle: Arc<Session>, last: u64, step: Duration) -> anyhow::Result<()> {
    loop {
        let due = handle.due(5).await?;
        if due.schedules.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::new();
        for schedule in due.schedules {
            let slot: u64 = schedule.state.parse()?;
            let payload = format!(r#""{} {slot}""#, schedule.name);
            let mut next = handle.new_schedule(schedule.name.as_str())?;
            next.state = (slot + 1).to_string();
            if slot < last {
                next.due_at = schedule.due_at.map(|due_at| due_at.saturating_add(step));
            }
            let job = handle.spec("job").payload(payload).build()?;
            changes.push(ScheduleChange::replace(schedule.version, next).jobs(vec![job]));
        }
        handle.change_all(changes).await?;
        // A storage in memory never lets other tasks run.
        tokio::task::yield_now().await;
    }
}

/// Eight tasks fire the 20 slots of 7 schedules, all of which are due. Each slot must have one job.
async fn q23_workers_that_fire_at_once_fire_each_slot_once(kit: &Kit) -> CaseResult {
    const SLOTS: u64 = 20;
    let handles = kit.handles(TASKS).await?;
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let start = kit.now();
    for name in names {
        let mut schedule = kit.new_schedule(name)?.due_at(start);
        schedule.state = "1".to_owned();
        kit.change(ScheduleChange::create(schedule)).await?;
    }
    kit.advance(SECOND * u32::try_from(SLOTS)?);
    race(handles.into_iter().map(|handle| fire_all(handle, SLOTS, SECOND)).collect()).await?;
    let mut slots = Vec::new();
    for id in kit.stored().await?.jobs {
        slots.push(kit.record(id).await?.job.payload.as_str().to_owned());
    }
    let mut expected: Vec<String> =
        names.iter().flat_map(|name| (1..=SLOTS).map(move |slot| format!(r#""{name} {slot}""#))).collect();
    slots.sort();
    expected.sort();
    ensure_eq!(slots, expected, "the slots that have a job");
    Ok(())
}

/// Reads the schedule and sets that it is never due, until no fire comes between.
async fn pause(handle: &Session) -> anyhow::Result<StoredSchedule> {
    loop {
        let found = handle.schedule("a").await?.context("the schedule vanished")?;
        let mut paused = handle.new_schedule("a")?;
        paused.state = found.state;
        let change = ScheduleChange::replace(found.version, paused.clone());
        if handle.change(change).await? != ScheduleChanged::Stale {
            return Ok(paused);
        }
    }
}

/// Four tasks fire a schedule continuously while another pauses it. After the pause has returned,
/// no job may be added.
async fn q23_no_slot_fires_after_a_pause_returned(kit: &Kit) -> CaseResult {
    let handles = kit.handles(5).await?;
    for _ in 0..ROUNDS {
        let before = kit.stored().await?.jobs.len();
        let mut schedule = kit.new_schedule("a")?.due_at(kit.now());
        schedule.state = "1".to_owned();
        kit.change(ScheduleChange::create(schedule)).await?;
        // Each slot has the time of the one before, so that one is always due.
        let fire = |handle| tokio::spawn(fire_all(Arc::clone(handle), u64::MAX, Duration::ZERO));
        let fires: Vec<_> = handles[1..].iter().map(fire).collect();
        in_time("the first job", async {
            while kit.stored().await?.jobs.len() == before {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        })
        .await??;
        let paused = in_time("a pause", pause(&handles[0])).await??;
        let jobs = kit.stored().await?.jobs.len();
        for fire in fires {
            fire.await??;
        }
        ensure_eq!(kit.stored().await?.jobs.len(), jobs, "the number of jobs after the pause returned");
        ensure_eq!(kit.schedule("a").await?.as_ref(), Some(&paused), "the schedule");
        kit.change(ScheduleChange::delete(paused.name, paused.version)).await?;
    }
    Ok(())
}

/// A job is inserted and stored by a change at the same time, under one id. One of them must store
/// it, and neither may fail.
async fn q23_a_change_and_an_insert_store_one_job(kit: &Kit) -> CaseResult {
    let handles = kit.handles(2).await?;
    for round in 0..ROUNDS {
        let (spec, schedule) = (kit.spec("job"), kit.new_schedule(&format!("s{round}"))?);
        let job = spec.clone().build()?;
        let id = job.id;
        let changing = Arc::clone(&handles[0]);
        let inserting = Arc::clone(&handles[1]);
        let change = async move {
            match changing.change(ScheduleChange::create(schedule).jobs(vec![job])).await? {
                ScheduleChanged::Done(jobs) => Ok(jobs),
                other => anyhow::bail!("the creation was {other:?}"),
            }
        };
        let insert = async move { anyhow::Ok(inserting.try_insert(vec![spec]).await??) };
        let tasks: Vec<Submitting> = vec![Box::pin(change), Box::pin(insert)];
        let results = race(tasks).await?.concat();
        let new = results.iter().filter(|submitted| submitted.is_new()).count();
        ensure_eq!(new, 1, "round {round}, how often the job was new");
        ensure!(results.iter().all(|submitted| submitted.id == id), "another job than {id}: {results:?}");
        ensure_eq!(kit.stored().await?.jobs.len(), round + 1, "round {round}, the number of jobs");
    }
    Ok(())
}
