//! Decides which of the slots that have come fire, and which are skipped or missed.

use super::rule::{Rule, job_of_slot};
use super::state::{Fire, FireOutcome, State};
use super::when::{CatchUp, Overlap};
use crate::limits::{CATCH_UP_GRACE, MAX_COUNTED_MISSES};
use crate::{JobId, Timestamp};

/// The next state of a schedule, and what must happen with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) state: State,
    /// When a worker must look again.
    pub(super) due_at: Option<Timestamp>,
    /// The slots whose jobs are inserted, the earliest first.
    pub(super) fires: Vec<Timestamp>,
}

/// The job of the last slot that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Previous {
    Unfinished,
    /// It is finished, or there is none.
    Finished,
}

/// Moves a schedule on to `now`.
pub(super) fn advance(rule: &Rule, name: &str, state: State, now: Timestamp, previous: Previous) -> Step {
    let mut advance = Advance { rule, name, now, step: Step { state, due_at: None, fires: Vec::new() } };
    if !advance.step.state.is_stopped() {
        advance.run(previous);
    }
    advance.step.due_at = advance.step.state.due_at(rule, name, now);
    advance.step
}

struct Advance<'a> {
    rule: &'a Rule,
    name: &'a str,
    now: Timestamp,
    step: Step,
}

impl Advance<'_> {
    fn run(&mut self, previous: Previous) {
        let is_free = previous == Previous::Finished;
        if is_free && let Some(slot) = self.step.state.waiting.take() {
            self.fire(slot);
        }
        let is_free = is_free && self.step.fires.is_empty();
        for slot in self.due_slots() {
            match self.rule.overlap() {
                Overlap::Allow => self.fire(slot),
                Overlap::Skip if is_free => self.fire(slot),
                Overlap::Wait if is_free && self.step.state.waiting.is_none() => self.fire(slot),
                Overlap::Wait if self.step.state.waiting.is_none() => self.step.state.waiting = Some(slot),
                Overlap::Skip | Overlap::Wait => self.note(slot, FireOutcome::Skipped, None),
                Overlap::CancelPrevious => {
                    self.step.state.cancelling = self.step.state.last_job.filter(|_| !is_free);
                    self.fire(slot);
                }
            }
        }
    }

    /// Takes the slots that have come, and notes those that are missed.
    fn due_slots(&mut self) -> Vec<Timestamp> {
        let Some(first) = self.step.state.next else { return Vec::new() };
        if self.rule.fires_at(self.name, first) > self.now {
            return Vec::new();
        }
        let last = self.last_due(first);
        self.step.state.next = self.rule.next_after(last);
        let chosen = self.chosen(first, last);
        let is_missed = |slot: &Timestamp| chosen.first().is_none_or(|kept| slot < kept);
        let slots = self.rule.slots_from(first).take_while(|slot| *slot <= last);
        let missed: Vec<Timestamp> = slots.take_while(is_missed).take(MAX_COUNTED_MISSES).collect();
        missed.into_iter().for_each(|slot| self.note(slot, FireOutcome::Missed, None));
        chosen
    }

    /// The last slot that has come. `first` has.
    fn last_due(&self, first: Timestamp) -> Timestamp {
        let mut last = self.rule.last_until(self.now).unwrap_or(first);
        while last > first && self.rule.fires_at(self.name, last) > self.now {
            let before = Timestamp::from_micros(last.as_micros() - 1).unwrap_or(first);
            last = self.rule.last_until(before).unwrap_or(first);
        }
        last.max(first)
    }

    /// The slots that fire, by the rule for those that were missed.
    fn chosen(&self, first: Timestamp, last: Timestamp) -> Vec<Timestamp> {
        match self.rule.catch_up() {
            CatchUp::None if self.is_missed(last) => Vec::new(),
            CatchUp::All(most) if self.rule.overlap() == Overlap::Allow => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let before = |slot: &Timestamp| {
                    let before = Timestamp::from_micros(slot.as_micros() - 1).ok()?;
                    self.rule.last_until(before).filter(|slot| first <= *slot)
                };
                let mut slots: Vec<Timestamp> =
                    std::iter::successors(Some(last), before).take(most).collect();
                slots.reverse();
                slots
            }
            CatchUp::None | CatchUp::Latest | CatchUp::All(_) => vec![last],
        }
    }

    fn is_missed(&self, slot: Timestamp) -> bool {
        self.rule.fires_at(self.name, slot).saturating_add(CATCH_UP_GRACE) < self.now
    }

    fn fire(&mut self, slot: Timestamp) {
        self.step.fires.push(slot);
        self.note(slot, FireOutcome::Fired, Some(job_of_slot(self.name, slot)));
    }

    fn note(&mut self, slot: Timestamp, outcome: FireOutcome, job: Option<JobId>) {
        self.step.state.add(Fire { slot, at: self.now, outcome, job });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Schedule;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The time at this hour and minute.
    fn at(hour: u64, minute: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH
            .saturating_add(HOUR * 24 * 20_000 + Duration::from_secs(hour * 3600 + minute * 60))
    }

    fn hourly() -> Schedule {
        Schedule::cron("0 * * * *")
    }

    /// Steps a schedule whose next slot was at this hour.
    fn step(schedule: Schedule, next: u64, now: Timestamp, previous: Previous) -> Step {
        let last_job = Some(JobId::from_bytes([1; 16]));
        let state = State { next: Some(at(next, 0)), last_job, ..State::default() };
        advance(&schedule.rule().unwrap(), "a", state, now, previous)
    }

    #[test]
    fn slot_fires_from_its_time_on() {
        let early = Timestamp::from_micros(at(5, 0).as_micros() - 1).unwrap();
        let before = step(hourly(), 5, early, Previous::Finished);
        assert_eq!((before.fires, before.due_at), (vec![], Some(at(5, 0))));
        for now in [at(5, 0), at(5, 59)] {
            let fired = step(hourly(), 5, now, Previous::Unfinished);
            assert_eq!((fired.fires, fired.due_at), (vec![at(5, 0)], Some(at(6, 0))), "{now}");
            assert_eq!(fired.state.next, Some(at(6, 0)));
            assert_eq!(fired.state.last_job, Some(job_of_slot("a", at(5, 0))));
            assert_eq!(fired.state.fired, 1);
        }
    }

    #[test]
    fn outage_fires_what_the_schedule_catches_up_with() {
        let hours = |hours: std::ops::RangeInclusive<u64>| hours.map(|hour| at(hour, 0)).collect::<Vec<_>>();
        for (catch_up, fires, missed) in [
            (CatchUp::Latest, hours(9..=9), 4),
            (CatchUp::None, vec![], 5),
            (CatchUp::All(100), hours(5..=9), 0),
            (CatchUp::All(2), hours(8..=9), 3),
        ] {
            let step = step(hourly().catch_up(catch_up), 5, at(9, 30), Previous::Finished);
            assert_eq!((step.fires, step.state.missed), (fires, missed), "{catch_up:?}");
            assert_eq!((step.state.next, step.due_at), (Some(at(10, 0)), Some(at(10, 0))), "{catch_up:?}");
        }
    }

    #[test]
    fn slot_that_is_little_late_is_not_missed() {
        let step = step(hourly().catch_up(CatchUp::None), 5, at(9, 1), Previous::Finished);
        assert_eq!((step.fires, step.state.missed), (vec![at(9, 0)], 4));
    }

    #[test]
    fn overlap_decides_while_the_job_before_runs() {
        let job = Some(JobId::from_bytes([1; 16]));
        for (overlap, fires, cancel, waiting, skipped) in [
            (Overlap::Allow, vec![at(5, 0)], None, None, 0),
            (Overlap::Skip, vec![], None, None, 1),
            (Overlap::Wait, vec![], None, Some(at(5, 0)), 0),
            (Overlap::CancelPrevious, vec![at(5, 0)], job, None, 0),
        ] {
            let step = step(hourly().overlap(overlap), 5, at(5, 0), Previous::Unfinished);
            let seen = (step.fires, step.state.cancelling, step.state.waiting, step.state.skipped);
            assert_eq!(seen, (fires, cancel, waiting, skipped), "{overlap:?}");
            assert_eq!(step.state.next, Some(at(6, 0)), "{overlap:?}");
        }
        for overlap in [Overlap::Skip, Overlap::Wait, Overlap::CancelPrevious] {
            let step = step(hourly().overlap(overlap), 5, at(5, 0), Previous::Finished);
            assert_eq!((step.fires, step.state.cancelling), (vec![at(5, 0)], None), "{overlap:?}");
        }
    }

    #[test]
    fn waiting_slot_fires_when_the_job_before_is_finished() {
        let rule = hourly().overlap(Overlap::Wait).rule().unwrap();
        let waiting = step(hourly().overlap(Overlap::Wait), 5, at(5, 0), Previous::Unfinished);
        assert_eq!(waiting.due_at, Some(at(5, 0).saturating_add(crate::limits::OVERLAP_POLL_INTERVAL)));
        let still = advance(&rule, "a", waiting.state.clone(), at(6, 30), Previous::Unfinished);
        assert_eq!(
            (still.state.waiting, still.state.skipped),
            (Some(at(5, 0)), 1),
            "the slot of 6:00 is skipped"
        );
        let free = advance(&rule, "a", still.state, at(6, 31), Previous::Finished);
        assert_eq!((free.fires, free.state.waiting), (vec![at(5, 0)], None));
        assert_eq!(free.due_at, Some(at(7, 0)));
        let both = advance(&rule, "a", waiting.state, at(6, 0), Previous::Finished);
        assert_eq!((both.fires, both.state.waiting), (vec![at(5, 0)], Some(at(6, 0))));
    }

    #[test]
    fn paused_or_ended_schedule_is_never_due() {
        let rule = hourly().rule().unwrap();
        let paused = State { next: Some(at(5, 0)), paused: true, ..State::default() };
        let step = advance(&rule, "a", paused.clone(), at(9, 0), Previous::Finished);
        assert_eq!((step.fires, step.due_at, &step.state), (vec![], None, &paused));
        let last = hourly().ending(at(5, 30));
        let step = self::step(last, 5, at(9, 0), Previous::Finished);
        assert_eq!((step.fires, step.due_at, step.state.next), (vec![at(5, 0)], None, None));
    }

    #[test]
    fn jitter_delays_the_fire_and_not_the_slot() {
        let schedule = hourly().jitter(Duration::from_secs(1800));
        let fires_at = schedule.clone().rule().unwrap().fires_at("a", at(5, 0));
        assert!(at(5, 0) < fires_at && fires_at < at(5, 30), "{fires_at}");
        let early = Timestamp::from_micros(fires_at.as_micros() - 1).unwrap();
        assert_eq!(step(schedule.clone(), 5, early, Previous::Finished).fires, []);
        let fired = step(schedule, 5, fires_at, Previous::Finished);
        assert_eq!((fired.fires, fired.state.next), (vec![at(5, 0)], Some(at(6, 0))));
    }

    #[test]
    fn jitter_makes_no_slot_late() {
        let schedule = hourly().jitter(Duration::from_secs(3000)).catch_up(CatchUp::None);
        let fires_at = schedule.clone().rule().unwrap().fires_at("a", at(5, 0));
        let step = step(schedule, 5, fires_at, Previous::Finished);
        assert_eq!((step.fires, step.state.missed), (vec![at(5, 0)], 0));
    }

    #[test]
    fn cancel_of_the_job_before_is_due_at_once() {
        let schedule = hourly().overlap(Overlap::CancelPrevious);
        let rule = schedule.clone().rule().unwrap();
        let fired = step(schedule, 5, at(5, 0), Previous::Unfinished);
        assert_eq!(fired.due_at, Some(at(5, 0)));
        let paused = State { paused: true, ..fired.state };
        assert_eq!(paused.due_at(&rule, "a", at(5, 1)), Some(at(5, 1)), "a pause does not forget it");
    }

    #[test]
    fn misses_of_one_outage_are_counted_up_to_a_limit() {
        let step = step(Schedule::every(Duration::from_secs(1)), 0, at(23, 0), Previous::Finished);
        let recent = step.state.recent.len();
        assert_eq!((step.fires, step.state.missed, recent), (vec![at(23, 0)], 1000, 10));
    }
}
