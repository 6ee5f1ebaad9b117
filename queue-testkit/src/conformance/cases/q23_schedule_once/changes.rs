//! Q23: a schedule changes only if it has the version that the change expects.

use anyhow::ensure;
use queue_core::backend::{ScheduleChange, ScheduleChanged};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;

cases! {
    Fast q23_a_change_needs_the_version_of_the_schedule [Schedules],
    Fast q23_a_deleted_schedule_does_not_come_back [Schedules],
    Fast q23_changes_of_one_request_are_independent [Schedules],
    Fast q23_a_change_replaces_every_part [Schedules],
    Fast q23_a_request_without_changes_does_nothing [Schedules],
    Fast q23_many_schedules_change_in_one_request [Schedules],
}

const DONE: ScheduleChanged = ScheduleChanged::Done(Vec::new());

/// A schedule is created, replaced and deleted, each time also with a version that it does not
/// have: that of an earlier change, and one that no change had. Only the right version may count.
async fn q23_a_change_needs_the_version_of_the_schedule(kit: &Kit) -> CaseResult {
    let first = kit.create_due("nightly").await?;
    let (second, other) = (kit.new_schedule("nightly")?, kit.new_schedule("nightly")?);
    let stale = [
        ("a second creation", ScheduleChange::create(other.clone())),
        ("a replacement with another version", ScheduleChange::replace(other.version, other.clone())),
        ("a deletion with another version", ScheduleChange::delete(other.name.clone(), other.version)),
    ];
    for (what, change) in stale.clone() {
        ensure_eq!(kit.change(change).await?, ScheduleChanged::Stale, "the result of {what}");
        ensure_eq!(kit.schedule("nightly").await?.as_ref(), Some(&first), "the schedule after {what}");
    }
    let replace = ScheduleChange::replace(first.version, second.clone());
    ensure_eq!(kit.change(replace.clone()).await?, DONE, "the result of a replacement");
    ensure_eq!(kit.schedule("nightly").await?.as_ref(), Some(&second), "the schedule after it");
    let earlier = [
        ("the same replacement again", replace),
        ("a deletion with the first version", ScheduleChange::delete(first.name.clone(), first.version)),
    ];
    for (what, change) in stale.into_iter().chain(earlier) {
        ensure_eq!(kit.change(change).await?, ScheduleChanged::Stale, "the result of {what}");
        ensure_eq!(kit.schedule("nightly").await?.as_ref(), Some(&second), "the schedule after {what}");
    }
    let delete = ScheduleChange::delete(first.name, second.version);
    ensure_eq!(kit.change(delete).await?, DONE, "the result of a deletion");
    ensure_eq!(kit.schedule("nightly").await?, None, "the schedule after it");
    Ok(())
}

/// A schedule was deleted, and is then replaced and deleted by changes that do not know it. They
/// must do nothing, even after the schedule was created anew.
async fn q23_a_deleted_schedule_does_not_come_back(kit: &Kit) -> CaseResult {
    let first = kit.create_due("nightly").await?;
    let name = first.name.clone();
    kit.change(ScheduleChange::delete(name.clone(), first.version)).await?;
    let late = [
        ("replacement", ScheduleChange::replace(first.version, kit.new_schedule("nightly")?)),
        ("deletion", ScheduleChange::delete(name, first.version)),
    ];
    for (what, change) in &late {
        ensure_eq!(kit.change(change.clone()).await?, ScheduleChanged::Stale, "the result of a late {what}");
        ensure_eq!(kit.schedule("nightly").await?, None, "the schedule after a late {what}");
    }
    ensure_eq!(kit.due(9).await?.schedules, [], "the due schedules");
    let anew = kit.create_due("nightly").await?;
    for (what, change) in late {
        ensure_eq!(kit.change(change).await?, ScheduleChanged::Stale, "the result of a later {what}");
        ensure_eq!(kit.schedule("nightly").await?.as_ref(), Some(&anew), "the schedule after a later {what}");
    }
    Ok(())
}

/// One request creates, replaces and deletes, in no order of the names, and between these has
/// changes that are stale. Each must have its own result, at its place.
async fn q23_changes_of_one_request_are_independent(kit: &Kit) -> CaseResult {
    let (replaced, deleted, kept) =
        (kit.create_due("m").await?, kit.create_due("b").await?, kit.create_due("x").await?);
    let (created, new) = (kit.new_schedule("z")?, kit.new_schedule("m")?);
    let unknown = kit.new_schedule("a")?;
    let results = kit
        .change_all(vec![
            ScheduleChange::create(created.clone()),
            ScheduleChange::replace(unknown.version, kit.new_schedule("x")?),
            ScheduleChange::replace(replaced.version, new.clone()),
            ScheduleChange::delete(unknown.name.clone(), unknown.version),
            ScheduleChange::delete(deleted.name, deleted.version),
        ])
        .await?;
    let stale = ScheduleChanged::Stale;
    ensure_eq!(results, [DONE, stale.clone(), DONE, stale, DONE], "the results");
    for (name, expected) in
        [("a", None), ("b", None), ("m", Some(new)), ("x", Some(kept)), ("z", Some(created))]
    {
        ensure_eq!(kit.schedule(name).await?, expected, "the schedule `{name}`");
    }
    Ok(())
}

/// Each part of a schedule is changed alone, and back. The other parts must stay.
async fn q23_a_change_replaces_every_part(kit: &Kit) -> CaseResult {
    let mut schedule = kit.create_due("nightly").await?;
    let other = kit.new_schedule("nightly")?;
    for round in 0..6 {
        let mut new = schedule.clone();
        new.version = kit.new_schedule("nightly")?.version;
        match round {
            0 => new.due_at = None,
            1 => new.definition.clone_from(&other.definition),
            2 => new.state.clone_from(&other.state),
            3 => new.due_at = Some(kit.now()),
            4 => new.definition = "{}".to_owned(),
            _ => new.state = "{}".to_owned(),
        }
        kit.change(ScheduleChange::replace(schedule.version, new.clone())).await?;
        ensure_eq!(kit.schedule("nightly").await?.as_ref(), Some(&new), "the schedule of round {round}");
        schedule = new;
    }
    Ok(())
}

/// Empty requests must have empty replies.
async fn q23_a_request_without_changes_does_nothing(kit: &Kit) -> CaseResult {
    ensure_eq!(kit.change_all(Vec::new()).await?, [], "the reply to no changes");
    let schedule = kit.create_due("nightly").await?;
    ensure_eq!(kit.change_all(Vec::new()).await?, [], "the reply to no changes beside a schedule");
    ensure_eq!(kit.schedule("nightly").await?, Some(schedule), "the schedule");
    Ok(())
}

/// 2,500 schedules are created with a job each, moved on, and deleted, each time in one request.
async fn q23_many_schedules_change_in_one_request(kit: &Kit) -> CaseResult {
    const MANY: u32 = 2500;
    let names: Vec<String> = (0..MANY).map(|number| format!("s{number:05}")).collect();
    let mut versions = Vec::new();
    let mut creations = Vec::new();
    for name in &names {
        let schedule = kit.new_schedule(name)?.due_at(kit.now());
        versions.push(schedule.version);
        creations.push(ScheduleChange::create(schedule).jobs(vec![kit.spec("job").build()?]));
    }
    let results = kit.change_all(creations).await?;
    ensure!(
        results.iter().all(|result| matches!(result, ScheduleChanged::Done(jobs) if jobs.len() == 1)),
        "not all creations were done"
    );
    ensure_eq!(kit.stored().await?.jobs.len(), names.len(), "the number of jobs");
    ensure_eq!(kit.due(MANY + 1).await?.schedules.len(), names.len(), "the number of due schedules");
    let mut moves = Vec::new();
    for (name, version) in names.iter().zip(&mut versions) {
        let schedule = kit.new_schedule(name)?;
        moves.push(ScheduleChange::replace(std::mem::replace(version, schedule.version), schedule));
    }
    ensure_eq!(kit.change_all(moves).await?, vec![DONE; names.len()], "the results of the moves");
    ensure_eq!(kit.due(MANY).await?.schedules, [], "the schedules that are due after them");
    let mut deletions = Vec::new();
    for (name, version) in names.iter().zip(versions) {
        deletions.push(ScheduleChange::delete(kit.new_schedule(name)?.name, version));
    }
    ensure_eq!(kit.change_all(deletions).await?, vec![DONE; names.len()], "the results of the deletions");
    for name in [&names[0], &names[names.len() - 1]] {
        ensure_eq!(kit.schedule(name).await?, None, "the schedule `{name}`");
    }
    Ok(())
}
