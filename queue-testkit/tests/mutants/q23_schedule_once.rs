//! Q23: a slot of a schedule fires twice or never, or a change is lost.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ChangeSchedulesRequest, InsertRequest, ScheduleChange, ScheduleChanged, ScheduleStore as _,
    ScheduleWrite, StoredSchedule,
};
use queue_core::{Backend as _, Error, ErrorKind, Insertion, Result, ScheduleName};
use tokio::time::sleep;

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};

/// The time between the look and the change of a mutant, in which another change may happen.
const GAP: Duration = Duration::from_millis(8);

mutants! {
    Q23 changes_a_schedule_of_another_version => LooksAtNoVersion,
    Q23 changes_a_schedule_of_a_version_that_it_read_before => LooksFirst,
    Q23 creates_a_schedule_over_another => CreatesOverAnother,
    Q23 brings_a_deleted_schedule_back => BringsBack,
    Q23 stores_the_jobs_of_a_stale_change => StoresJobsOfStale,
    Q23 stores_a_schedule_and_then_its_jobs => InTwoSteps,
    Q23 refuses_a_job_that_is_known => RefusesKnown,
    Q23 stores_no_job_beside_a_known_one => StoresNothingBesideKnown,
    Q23 calls_a_known_job_new => KnownIsNew,
    Q23 forgets_jobs_of_a_deletion => Alters(|change| {
        let deletes = matches!(change.write, ScheduleWrite::Delete { .. });
        deletes && !std::mem::take(&mut change.jobs).is_empty()
    }),
    Q23 stores_only_the_first_job_of_a_change => Alters(|change| {
        let has_more = change.jobs.len() > 1;
        change.jobs.truncate(1);
        has_more
    }),
    Q23 loses_the_definition => Alters(loses_definition),
    Q23 rounds_the_time_of_a_schedule => Alters(rounds_time),
    Q23 never_clears_the_time_of_a_schedule => Alters(never_clears_time),
    Q23 stops_at_the_first_stale_change => StopsAtStale,
    Q23 makes_the_first_thousand_changes => MakesSome(1000),
}

/// Alters each change before it is made. Returns whether that made a difference.
struct Alters(fn(&mut ScheduleChange) -> bool);

#[async_trait]
impl Mutation for Alters {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        for change in &mut request.changes {
            let jobs = change.jobs.len();
            if (self.0)(change) {
                sound.reached();
            }
            if jobs != change.jobs.len() {
                return answered_as_if_stored(sound, request, jobs).await;
            }
        }
        sound.backend.change(request).await
    }
}

/// Answers for jobs that were left out.
async fn answered_as_if_stored(
    sound: &Sound,
    request: ChangeSchedulesRequest,
    jobs: usize,
) -> Result<Vec<Result<ScheduleChanged>>> {
    let mut results = sound.backend.change(request).await?;
    for result in results.iter_mut().filter_map(|result| result.as_mut().ok()) {
        if let ScheduleChanged::Done(submitted) = result {
            let last = submitted.last().copied();
            submitted.extend(last.into_iter().cycle().take(jobs - submitted.len()));
        }
    }
    Ok(results)
}

fn loses_definition(change: &mut ScheduleChange) -> bool {
    let ScheduleWrite::Replace { schedule, .. } = &mut change.write else { return false };
    schedule.definition = "{}".to_owned();
    true
}

fn rounds_time(change: &mut ScheduleChange) -> bool {
    let (ScheduleWrite::Create(schedule) | ScheduleWrite::Replace { schedule, .. }) = &mut change.write
    else {
        return false;
    };
    let Some(due_at) = schedule.due_at else { return false };
    let rounded = due_at.saturating_sub(Duration::from_micros(due_at.as_micros().unsigned_abs() % 1000));
    schedule.due_at.replace(rounded) != Some(rounded)
}

fn never_clears_time(change: &mut ScheduleChange) -> bool {
    let ScheduleWrite::Replace { schedule, .. } = &mut change.write else { return false };
    let clears = schedule.due_at.is_none();
    schedule.due_at.get_or_insert(queue_core::Timestamp::UNIX_EPOCH);
    clears
}

/// The version that a schedule has now.
pub(crate) async fn present(sound: &Sound, name: &ScheduleName) -> Option<StoredSchedule> {
    sound.backend.get(std::slice::from_ref(name)).await.ok()?.pop().flatten()
}

/// Replaces and deletes whatever is there.
struct LooksAtNoVersion;

#[async_trait]
impl Mutation for LooksAtNoVersion {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        for change in &mut request.changes {
            let Some(stored) = present(sound, change.name()).await else { continue };
            match &mut change.write {
                ScheduleWrite::Replace { expected, .. } | ScheduleWrite::Delete { expected, .. } => {
                    if std::mem::replace(expected, stored.version) != stored.version {
                        sound.reached();
                    }
                }
                ScheduleWrite::Create(_) => {}
            }
        }
        sound.backend.change(request).await
    }
}

/// Compares the versions, and changes in another transaction.
struct LooksFirst;

#[async_trait]
impl Mutation for LooksFirst {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let mut may_change = Vec::new();
        for change in &request.changes {
            let stored = present(sound, change.name()).await;
            may_change.push(stored.map(|stored| stored.version) == change.expected());
        }
        sleep(GAP).await;
        for (change, may_change) in request.changes.iter_mut().zip(may_change) {
            let stored = present(sound, change.name()).await;
            if let (true, ScheduleWrite::Replace { expected, .. }) = (may_change, &mut change.write)
                && let Some(stored) = stored
                && std::mem::replace(expected, stored.version) != stored.version
            {
                sound.reached();
            }
        }
        sound.backend.change(request).await
    }
}

/// Creates a schedule even if there is one.
struct CreatesOverAnother;

#[async_trait]
impl Mutation for CreatesOverAnother {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        for change in &mut request.changes {
            if let ScheduleWrite::Create(schedule) = &change.write
                && let Some(stored) = present(sound, &schedule.name).await
            {
                sound.reached();
                change.write =
                    ScheduleWrite::Replace { expected: stored.version, schedule: schedule.clone() };
            }
        }
        sound.backend.change(request).await
    }
}

/// A replacement of a schedule that does not exist creates it.
struct BringsBack;

#[async_trait]
impl Mutation for BringsBack {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        for change in &mut request.changes {
            if let ScheduleWrite::Replace { schedule, .. } = &change.write
                && present(sound, &schedule.name).await.is_none()
            {
                sound.reached();
                change.write = ScheduleWrite::Create(schedule.clone());
            }
        }
        sound.backend.change(request).await
    }
}

/// Stores the jobs before it compares the version.
struct StoresJobsOfStale;

#[async_trait]
impl Mutation for StoresJobsOfStale {
    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let results = sound.backend.change(request.clone()).await?;
        for (change, result) in request.changes.into_iter().zip(&results) {
            if matches!(result, Ok(ScheduleChanged::Stale)) && !change.jobs.is_empty() {
                sound.reached();
                let mut insert = InsertRequest::new(vec![change.jobs]);
                insert.now = request.now;
                sound.backend.insert(insert).await?;
            }
        }
        Ok(results)
    }
}

/// Stores the schedule in one transaction, and the jobs in the next.
struct InTwoSteps;

#[async_trait]
impl Mutation for InTwoSteps {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let jobs: Vec<_> =
            request.changes.iter_mut().map(|change| std::mem::take(&mut change.jobs)).collect();
        let now = request.now;
        let mut results = sound.backend.change(request).await?;
        for (result, jobs) in results.iter_mut().zip(jobs) {
            if !jobs.is_empty() && matches!(result, Ok(ScheduleChanged::Done(_))) {
                sound.reached();
                tokio::task::yield_now().await;
                let mut insert = InsertRequest::new(vec![jobs]);
                insert.now = now;
                *result = sound.backend.insert(insert).await?.batches.remove(0).map(ScheduleChanged::Done);
            }
        }
        Ok(results)
    }
}

async fn known(sound: &Sound, change: &ScheduleChange) -> bool {
    let stored = sound.stored().await.jobs;
    change.jobs.iter().any(|job| stored.contains(&job.id))
}

/// Compares known jobs as an insert does.
struct RefusesKnown;

#[async_trait]
impl Mutation for RefusesKnown {
    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        for change in &request.changes {
            if known(sound, change).await {
                sound.reached();
                return Ok(request
                    .changes
                    .iter()
                    .map(|_| {
                        Err(Error::new(ErrorKind::Conflict, "change schedules", "a job is stored already"))
                    })
                    .collect());
            }
        }
        sound.backend.change(request).await
    }
}

/// If one of the jobs is known, takes all of them as known.
struct StoresNothingBesideKnown;

#[async_trait]
impl Mutation for StoresNothingBesideKnown {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let mut left_out = Vec::new();
        for change in &mut request.changes {
            let jobs = if known(sound, change).await { std::mem::take(&mut change.jobs) } else { Vec::new() };
            left_out.push(jobs);
        }
        let mut results = sound.backend.change(request).await?;
        for (result, jobs) in results.iter_mut().zip(left_out) {
            if let Ok(ScheduleChanged::Done(submitted)) = result
                && !jobs.is_empty()
            {
                sound.reached();
                submitted.extend(jobs.iter().map(|job| queue_core::Submitted::new(job.id, Insertion::Known)));
            }
        }
        Ok(results)
    }
}

/// Answers that a known job is new.
struct KnownIsNew;

#[async_trait]
impl Mutation for KnownIsNew {
    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let mut results = sound.backend.change(request).await?;
        for result in results.iter_mut().filter_map(|result| result.as_mut().ok()) {
            if let ScheduleChanged::Done(submitted) = result {
                for job in submitted.iter_mut().filter(|job| job.insertion == Insertion::Known) {
                    sound.reached();
                    job.insertion = Insertion::New;
                }
            }
        }
        Ok(results)
    }
}

/// A stale change makes the later ones stale.
struct StopsAtStale;

#[async_trait]
impl Mutation for StopsAtStale {
    async fn change(
        &self,
        sound: &Sound,
        request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let mut results: Vec<Result<ScheduleChanged>> = Vec::new();
        for change in request.changes {
            if matches!(results.last(), Some(Ok(ScheduleChanged::Stale))) {
                sound.reached();
                results.push(Ok(ScheduleChanged::Stale));
                continue;
            }
            let mut one = ChangeSchedulesRequest::new(vec![change]);
            one.now = request.now;
            results.extend(sound.backend.change(one).await?);
        }
        Ok(results)
    }
}

/// Makes only the first changes of a request, and answers for all.
struct MakesSome(usize);

#[async_trait]
impl Mutation for MakesSome {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        let left_out = request.changes.split_off(self.0.min(request.changes.len()));
        let mut results = sound.backend.change(request).await?;
        for change in left_out {
            sound.reached();
            let new = change.jobs.iter().map(|job| queue_core::Submitted::new(job.id, Insertion::New));
            results.push(Ok(ScheduleChanged::Done(new.collect())));
        }
        Ok(results)
    }
}
