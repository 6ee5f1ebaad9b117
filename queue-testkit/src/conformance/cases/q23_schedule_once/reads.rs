//! Q23: schedules are read as they were written.

use anyhow::ensure;
use queue_core::backend::{ScheduleChange, StoredSchedule};
use queue_core::{ScheduleName, Timestamp};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::schedules;

cases! {
    Fast q23_texts_and_times_are_read_as_written [Schedules],
    Fast q23_schedules_are_listed_by_the_bytes_of_their_names [Schedules],
    Fast q23_schedules_are_read_in_the_order_of_the_names [Schedules],
    Fast q23_schedules_outlive_the_handle [Schedules, Durable],
    Fast q23_another_handle_sees_each_change [Schedules, MultiProcess],
}

/// Texts with odd white space, order, numbers and characters, and times at their ends.
async fn q23_texts_and_times_are_read_as_written(kit: &Kit) -> CaseResult {
    let large = format!("[\"{}\"]", "x".repeat(1 << 20));
    let texts = [r#"{ "b" : 1,  "a":1.0e400 , "a": [ ] }"#, r#""\u0000 \ud800 é 🦀""#, "null", "0", &large];
    let times = [None, Some(Timestamp::UNIX_EPOCH), Some(Timestamp::MAX), Some(Timestamp::from_micros(1)?)];
    let names = ["a", "\"'%_\\", "é🦀", &"x".repeat(128)];
    for (number, text) in texts.into_iter().enumerate() {
        let name = names[number % names.len()];
        let old = kit.schedule(name).await?;
        let mut schedule = kit.new_schedule(name)?.due_at(times[number % times.len()]);
        schedule.definition = text.to_owned();
        schedule.state = texts[(number + 1) % texts.len()].to_owned();
        kit.change(match &old {
            None => ScheduleChange::create(schedule.clone()),
            Some(old) => ScheduleChange::replace(old.version, schedule.clone()),
        })
        .await?;
        ensure_eq!(kit.schedule(name).await?, Some(schedule), "the schedule {number}");
    }
    Ok(())
}

/// Names whose order depends on the rules of a language are listed in pages of each length, from
/// names that exist and that do not.
async fn q23_schedules_are_listed_by_the_bytes_of_their_names(kit: &Kit) -> CaseResult {
    let mut all = Vec::new();
    for name in ["b", "Z", "a", "é", "aa", "_", "A", "ab", "🦀", "a-b", "a.b", "10", "9"] {
        all.push(kit.create_due(name).await?);
    }
    all.sort_by(|one, other| one.name.as_str().as_bytes().cmp(other.name.as_str().as_bytes()));
    let backend = &*kit.backend()?;
    let schedules = schedules(backend)?;
    for limit in [1, 2, 5, 13, 100, u32::MAX] {
        let mut listed: Vec<StoredSchedule> = Vec::new();
        loop {
            let page = schedules.list(listed.last().map(|last| &last.name), limit).await?;
            if page.is_empty() {
                break;
            }
            // Otherwise the pages would never end.
            ensure!(
                page.last().map(|last| &last.name) > listed.last().map(|last| &last.name),
                "a page repeats"
            );
            listed.extend(page);
        }
        ensure_eq!(listed, all, "the schedules in pages of {limit}");
    }
    ensure_eq!(schedules.list(None, 0).await?, [], "the list with limit zero");
    let after = ScheduleName::new("aZ")?;
    let expected = all.iter().find(|schedule| schedule.name > after).cloned();
    ensure_eq!(
        schedules.list(Some(&after), 1).await?.pop(),
        expected,
        "the schedule after a name that does not exist"
    );
    Ok(())
}

/// Names are read in another order than that of their creation, one of them twice, and some that
/// do not exist.
async fn q23_schedules_are_read_in_the_order_of_the_names(kit: &Kit) -> CaseResult {
    let (a, b) = (kit.create_due("a").await?, kit.create_due("b").await?);
    let backend = &*kit.backend()?;
    let names = ["b", "none", "a", "b", "A"].map(|name| ScheduleName::new(name).map_err(anyhow::Error::from));
    let names = names.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let found = schedules(backend)?.get(&names).await?;
    ensure_eq!(found, [Some(b.clone()), None, Some(a), Some(b), None], "the schedules");
    ensure_eq!(schedules(backend)?.get(&[]).await?, [], "the schedules of no names");
    Ok(())
}

/// The storage is closed and opened again. The schedules, their times, and a deletion must be
/// there.
async fn q23_schedules_outlive_the_handle(kit: &Kit) -> CaseResult {
    let (kept, deleted) = (kit.create_due("kept").await?, kit.create_due("deleted").await?);
    kit.change(ScheduleChange::delete(deleted.name, deleted.version)).await?;
    kit.reopen().await?;
    ensure_eq!(kit.schedule("kept").await?.as_ref(), Some(&kept), "the schedule");
    ensure_eq!(kit.schedule("deleted").await?, None, "the deleted schedule");
    ensure_eq!(kit.due(9).await?.schedules, [kept], "the due schedules");
    Ok(())
}

/// A handle reads a schedule before and after another handle changes it.
async fn q23_another_handle_sees_each_change(kit: &Kit) -> CaseResult {
    let other = kit.open_second().await?;
    ensure_eq!(other.schedule("a").await?, None, "the schedule before");
    let first = kit.create_due("a").await?;
    ensure_eq!(other.schedule("a").await?.as_ref(), Some(&first), "the schedule after its creation");
    ensure_eq!(other.due(9).await?.schedules, std::slice::from_ref(&first), "the due schedules");
    let second = kit.new_schedule("a")?;
    other.change(ScheduleChange::replace(first.version, second.clone())).await?;
    ensure_eq!(kit.schedule("a").await?.as_ref(), Some(&second), "the schedule after the other's change");
    ensure_eq!(kit.due(9).await?.schedules, [], "the due schedules after it");
    kit.change(ScheduleChange::delete(second.name, second.version)).await?;
    ensure_eq!(other.schedule("a").await?, None, "the schedule after its deletion");
    Ok(())
}
