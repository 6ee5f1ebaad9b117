//! Q23: which schedules are due, and when the next one is.

use std::time::Duration;

use anyhow::ensure;
use queue_core::Timestamp;
use queue_core::backend::{DueSchedulesRequest, ScheduleChange, StoredSchedule};

use crate::conformance::case::{CaseResult, cases};
use crate::conformance::check::ensure_eq;
use crate::conformance::kit::Kit;
use crate::conformance::session::{TICK, schedules};

cases! {
    Fast q23_a_schedule_is_due_from_its_microsecond_on [Schedules],
    Fast q23_due_schedules_are_the_earliest_in_order [Schedules],
    Fast q23_a_change_moves_the_time_at_which_a_schedule_is_due [Schedules],
    Fast q23_a_limit_of_zero_returns_the_next_time_only [Schedules],
    Fast q23_a_look_without_a_time_uses_the_clock_of_the_storage [Schedules],
}

const SECOND: Duration = Duration::from_secs(1);

fn names(schedules: &[StoredSchedule]) -> Vec<&str> {
    schedules.iter().map(|schedule| schedule.name.as_str()).collect()
}

/// A schedule must not be due a microsecond before its time, and must be from then on. The next
/// time must count the same microseconds.
async fn q23_a_schedule_is_due_from_its_microsecond_on(kit: &Kit) -> CaseResult {
    let due_at = kit.now().saturating_add(SECOND);
    let schedule = kit.new_schedule("a")?.due_at(due_at);
    kit.change(ScheduleChange::create(schedule.clone())).await?;
    let reply = kit.due(9).await?;
    ensure_eq!((reply.schedules, reply.now, reply.next_due), (vec![], kit.now(), Some(SECOND)), "the reply");
    kit.advance(SECOND - TICK);
    let reply = kit.due(9).await?;
    ensure_eq!((reply.schedules, reply.next_due), (vec![], Some(TICK)), "the reply a microsecond before");
    for after in [Duration::ZERO, TICK, SECOND, SECOND * 86_400 * 365] {
        kit.set_clock(due_at.saturating_add(after));
        let reply = kit.due(9).await?;
        ensure_eq!(
            reply.schedules,
            std::slice::from_ref(&schedule),
            "the schedules that are due {after:?} after"
        );
        ensure_eq!((reply.now, reply.next_due), (kit.now(), None), "the times {after:?} after");
    }
    Ok(())
}

/// Schedules are created in no order, two of them with one time. They must be returned by time,
/// then by the bytes of the name, up to the limit. The next time must be that of the first one
/// left.
async fn q23_due_schedules_are_the_earliest_in_order(kit: &Kit) -> CaseResult {
    let start = kit.now();
    for (name, second) in [("d", 2), ("b", 1), ("B", 1), ("é", 1), ("z", 3), ("c", 0), ("f", 9)] {
        let schedule = kit.new_schedule(name)?.due_at(start.saturating_add(SECOND * second));
        kit.change(ScheduleChange::create(schedule)).await?;
    }
    kit.change(ScheduleChange::create(kit.new_schedule("never")?)).await?;
    let order = ["c", "B", "b", "é", "d", "z", "f"];
    kit.advance(SECOND * 3);
    for limit in 1..=8 {
        let reply = kit.due(limit).await?;
        let returned = usize::try_from(limit)?.min(6);
        ensure_eq!(names(&reply.schedules), order[..returned], "the due schedules with limit {limit}");
        let next = if returned < 6 { Duration::ZERO } else { SECOND * 6 };
        ensure_eq!(reply.next_due, Some(next), "the next time with limit {limit}");
    }
    kit.set_clock(start);
    let reply = kit.due(9).await?;
    ensure_eq!(names(&reply.schedules), ["c"], "the due schedules after the clock was put back");
    ensure_eq!(reply.next_due, Some(SECOND), "the next time after that");
    Ok(())
}

/// A schedule is moved later, earlier and to never, and deleted. Only its present time may count.
async fn q23_a_change_moves_the_time_at_which_a_schedule_is_due(kit: &Kit) -> CaseResult {
    let mut schedule = kit.create_due("a").await?;
    let now = kit.now();
    let later = now.saturating_add(SECOND);
    for (due_at, is_due, next) in [
        (Some(later), false, Some(SECOND)),
        (Some(now.saturating_sub(SECOND)), true, None),
        (None, false, None),
        (Some(Timestamp::MAX), false, Some(now.until(Timestamp::MAX))),
        (Some(Timestamp::UNIX_EPOCH), true, None),
    ] {
        let new = kit.new_schedule("a")?.due_at(due_at);
        kit.change(ScheduleChange::replace(schedule.version, new.clone())).await?;
        schedule = new;
        let reply = kit.due(9).await?;
        let expected = if is_due { vec![schedule.clone()] } else { Vec::new() };
        ensure_eq!(
            (reply.schedules, reply.next_due),
            (expected, next),
            "the reply after a move to {due_at:?}"
        );
    }
    kit.change(ScheduleChange::delete(schedule.name, schedule.version)).await?;
    let reply = kit.due(9).await?;
    ensure_eq!((reply.schedules, reply.next_due), (vec![], None), "the reply after the deletion");
    Ok(())
}

/// A limit of zero must return no schedule, and when the first is due.
async fn q23_a_limit_of_zero_returns_the_next_time_only(kit: &Kit) -> CaseResult {
    let reply = kit.due(0).await?;
    ensure_eq!((reply.schedules, reply.next_due), (vec![], None), "the reply without schedules");
    kit.create_due("a").await?;
    let reply = kit.due(0).await?;
    ensure_eq!((reply.schedules, reply.next_due), (vec![], Some(Duration::ZERO)), "the reply beside one");
    Ok(())
}

/// A request without a time must use the storage's clock, and say what it shows.
async fn q23_a_look_without_a_time_uses_the_clock_of_the_storage(kit: &Kit) -> CaseResult {
    const AGREED: Duration = Duration::from_secs(600);
    const HOUR: Duration = Duration::from_secs(3600);
    let now = Timestamp::now();
    for (name, due_at) in [("past", now.saturating_sub(HOUR)), ("future", now.saturating_add(HOUR))] {
        kit.change(ScheduleChange::create(kit.new_schedule(name)?.due_at(due_at))).await?;
    }
    let reply = schedules(&*kit.backend()?)?.due(DueSchedulesRequest::new(9)).await?;
    ensure_eq!(names(&reply.schedules), ["past"], "the due schedules");
    ensure!(
        reply.now.until(now) < AGREED && now.until(reply.now) < AGREED,
        "the storage looked at {}, and the clock of this machine shows {now}",
        reply.now
    );
    let next = reply.next_due.unwrap_or_default();
    ensure!(HOUR - AGREED < next && next < HOUR + AGREED, "the next schedule is due in {next:?}");
    Ok(())
}
