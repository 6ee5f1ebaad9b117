//! Q23: what is due, a list of schedules, or the order of replies is wrong.

use std::time::Duration;

use async_trait::async_trait;
use queue_core::backend::{
    ChangeSchedulesRequest, DueSchedulesReply, DueSchedulesRequest, ScheduleChanged, ScheduleStore as _,
    StoredSchedule,
};
use queue_core::{Result, ScheduleName};

use crate::caught::mutants;
use crate::mutation::{Mutation, Sound};
use crate::q23_schedule_once::present;

mutants! {
    Q23 answers_changes_in_the_order_of_names => InOrderOfNames,
    Q23 finds_a_due_schedule_late => Finds(|request| request.now = request.now.map(|now| now.saturating_sub(Duration::from_micros(1))), |_| false),
    Q23 finds_a_thousand_due_schedules => Finds(|request| request.limit = request.limit.min(1000), |_| false),
    Q23 returns_due_schedules_in_the_order_of_names => Finds(|_| (), by_name),
    Q23 returns_no_next_time_while_schedules_are_due => Finds(|_| (), |reply| reply.next_due.take_if(|next| next.is_zero()).is_some()),
    Q23 returns_the_next_time_of_a_returned_schedule => Finds(|_| (), |reply| {
        !reply.schedules.is_empty() && reply.next_due.replace(Duration::ZERO) != Some(Duration::ZERO)
    }),
    Q23 rounds_the_next_time => Finds(|_| (), |reply| {
        let rounded = reply.next_due.map(|next| Duration::from_millis(next.as_millis().try_into().unwrap_or(u64::MAX)));
        std::mem::replace(&mut reply.next_due, rounded) != rounded
    }),
    Q23 looks_by_a_wrong_clock => WrongClock,
    Q23 lists_schedules_by_small_letters => Lists(|page| page.sort_by_key(|schedule| schedule.name.as_str().to_lowercase())),
    Q23 lists_the_first_schedule_of_a_page_twice => ListsTwice,
    Q23 reads_schedules_in_the_order_of_names => ReadsInOrder,
}

/// Alters a look for what is due, and its reply. The second function returns whether that made a
/// difference.
struct Finds(fn(&mut DueSchedulesRequest), fn(&mut DueSchedulesReply) -> bool);

#[async_trait]
impl Mutation for Finds {
    async fn due(&self, sound: &Sound, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        let right = sound.backend.due(request.clone()).await?;
        let mut altered = request;
        (self.0)(&mut altered);
        let mut reply = sound.backend.due(altered).await?;
        reply.now = right.now;
        if (self.1)(&mut reply) || reply.schedules != right.schedules {
            sound.reached();
        }
        Ok(reply)
    }
}

fn by_name(reply: &mut DueSchedulesReply) -> bool {
    let is_sorted = reply.schedules.is_sorted_by_key(|schedule| schedule.name.clone());
    reply.schedules.sort_by_key(|schedule| schedule.name.clone());
    !is_sorted
}

/// Returns another time than that of its clock.
struct WrongClock;

#[async_trait]
impl Mutation for WrongClock {
    async fn due(&self, sound: &Sound, request: DueSchedulesRequest) -> Result<DueSchedulesReply> {
        let mut reply = sound.backend.due(request).await?;
        sound.reached();
        reply.now = reply.now.saturating_add(Duration::from_secs(7200));
        Ok(reply)
    }
}

/// Alters the order of a page.
struct Lists(fn(&mut Vec<StoredSchedule>));

#[async_trait]
impl Mutation for Lists {
    async fn list_schedules(
        &self,
        sound: &Sound,
        after: Option<&ScheduleName>,
        limit: u32,
    ) -> Result<Vec<StoredSchedule>> {
        let right = sound.backend.list(after, limit).await?;
        let mut page = right.clone();
        (self.0)(&mut page);
        if page != right {
            sound.reached();
        }
        Ok(page)
    }
}

/// Begins a page with the last schedule of the page before.
struct ListsTwice;

#[async_trait]
impl Mutation for ListsTwice {
    async fn list_schedules(
        &self,
        sound: &Sound,
        after: Option<&ScheduleName>,
        limit: u32,
    ) -> Result<Vec<StoredSchedule>> {
        let mut page = sound.backend.list(after, limit).await?;
        if let Some(after) = after
            && let Some(last) = present(sound, after).await
            && !page.is_empty()
        {
            sound.reached();
            page.insert(0, last);
        }
        Ok(page)
    }
}

/// Returns the schedules in the order in which they are stored.
struct ReadsInOrder;

#[async_trait]
impl Mutation for ReadsInOrder {
    async fn get_schedules(
        &self,
        sound: &Sound,
        names: &[ScheduleName],
    ) -> Result<Vec<Option<StoredSchedule>>> {
        let mut sorted = names.to_vec();
        sorted.sort();
        if sorted != names {
            sound.reached();
        }
        sound.backend.get(&sorted).await
    }
}

/// Sorts the changes, and their results with them.
struct InOrderOfNames;

#[async_trait]
impl Mutation for InOrderOfNames {
    async fn change(
        &self,
        sound: &Sound,
        mut request: ChangeSchedulesRequest,
    ) -> Result<Vec<Result<ScheduleChanged>>> {
        if !request.changes.is_sorted_by_key(|change| change.name().clone()) {
            sound.reached();
            request.changes.sort_by_key(|change| change.name().clone());
        }
        sound.backend.change(request).await
    }
}
