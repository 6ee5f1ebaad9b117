//! Q23: a change is dropped.

use anyhow::ensure;
use queue_core::backend::{ChangeSchedulesRequest, DueSchedulesRequest, Hint, ScheduleChange};
use queue_core::testing::drop_after;

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::schedules;
use crate::conformance::wakes::announced;

cases! {
    Fast q23_a_dropped_change_happens_wholly_or_not_at_all [Schedules],
    Fast q23_a_dropped_read_of_schedules_changes_nothing [Schedules],
}

/// More polls than any backend needs; a change that exceeds this hangs.
const MOST_POLLS: u32 = 1000;

/// The fire of two schedules is dropped before each of its polls. Both must have moved on, and both
/// jobs must be stored, or none. A later look must see which, and a
/// subscriber must learn of the jobs that are.
async fn q23_a_dropped_change_happens_wholly_or_not_at_all(kit: &Kit) -> CaseResult {
    let backend = &*kit.backend()?;
    for polls in 0.. {
        ensure!(polls < MOST_POLLS, "a change does not return within {polls} polls");
        let (mut changes, mut expected) = (Vec::new(), Vec::new());
        let (priority, mut receiver) = (i16::try_from(polls)?, backend.subscribe());
        for name in ["a", "b"] {
            let old = kit.create_due(&format!("{name}{polls}")).await?;
            let new = kit.new_schedule(old.name.as_str())?;
            let job = kit.spec("job").priority(priority).build()?;
            expected.push((new.clone(), job.id));
            changes.push(ScheduleChange::replace(old.version, new).jobs(vec![job]));
        }
        let request = ChangeSchedulesRequest::new(changes).at(kit.now());
        let has_returned = drop_after(polls, schedules(backend)?.change(request)).await.is_some();
        let stored = kit.stored().await?.jobs;
        let mut seen = Vec::new();
        for (new, job) in &expected {
            let has_moved = kit.schedule(new.name.as_str()).await?.as_ref() == Some(new);
            seen.extend([has_moved, stored.contains(job)]);
        }
        let first = seen[0];
        ensure_eq!(
            seen,
            vec![first; 4],
            "whether the schedules have moved, each with its job, after {polls} polls"
        );
        if first {
            let is_new = |hint: &Hint| hint.priority == priority;
            announced(&mut receiver, |all| all.ready.iter().any(is_new)).await?;
        }
        if has_returned {
            ensure!(first, "the change has returned, and did not happen");
            return Ok(());
        }
    }
    Ok(())
}

/// Each read is dropped before each of its polls. The next change must work.
async fn q23_a_dropped_read_of_schedules_changes_nothing(kit: &Kit) -> CaseResult {
    let backend = &*kit.backend()?;
    let store = schedules(backend)?;
    let mut schedule = kit.create_due("a").await?;
    let names = [schedule.name.clone()];
    let due = || DueSchedulesRequest::new(9).at(kit.now());
    for polls in 0..MOST_POLLS {
        let ended = [
            drop_after(polls, store.due(due())).await.is_some(),
            drop_after(polls, store.get(&names)).await.is_some(),
            drop_after(polls, store.list(None, 9)).await.is_some(),
        ];
        let new = kit.new_schedule("a")?.due_at(kit.now());
        kit.change(ScheduleChange::replace(schedule.version, new.clone())).await?;
        ensure_eq!(kit.schedule("a").await?.as_ref(), Some(&new), "the schedule after {polls} polls");
        schedule = new;
        if ended == [true; 3] {
            return Ok(());
        }
    }
    anyhow::bail!("a read does not return within {MOST_POLLS} polls")
}
