//! The slots of a checked schedule.

use std::time::Duration;

use queue_schedule::{Cron, Zone};
use sha2::{Digest, Sha256};

use super::when::CatchUp;
use super::when::{Overlap, Schedule, Times};
use crate::limits::{MAX_CATCH_UP, MAX_CATCH_UP_BYTES, MIN_SCHEDULE_INTERVAL};
use crate::time::saturating_micros;
use crate::{Error, JobId, JobSpec, Result, Timestamp};

impl Schedule {
    /// Describes the times in words.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the expression or the zone is not valid.
    pub fn describe(&self) -> Result<String> {
        Ok(self.clone().rule()?.describe())
    }

    /// Returns the first slots after a time, at most `many`.
    ///
    /// # Errors
    /// As [`describe`](Self::describe).
    pub fn slots_after(&self, time: Timestamp, many: usize) -> Result<Vec<Timestamp>> {
        let rule = self.clone().rule()?;
        Ok(rule.slots_after(time).take(many).collect())
    }

    /// Checks all parts.
    pub(super) fn rule(self) -> Result<Rule> {
        let invalid = |fault: String| Error::invalid("read a schedule", fault);
        let slots = match &self.times {
            Times::Cron(expression) => {
                let cron = Cron::parse(expression).map_err(|fault| invalid(fault.to_string()))?;
                let zone = self.zone.as_deref().map_or_else(|| Ok(Zone::utc()), Zone::find);
                Slots::Cron(Box::new(cron), zone.map_err(|fault| invalid(fault.to_string()))?)
            }
            Times::Every(_) if self.zone.is_some() => {
                return Err(invalid("an interval has no time zone".to_owned()));
            }
            Times::Every(interval) if *interval < MIN_SCHEDULE_INTERVAL => {
                return Err(invalid(format!(
                    "the interval is {interval:?}, at least {MIN_SCHEDULE_INTERVAL:?}"
                )));
            }
            Times::Every(interval) => Slots::Every(saturating_micros(*interval)),
        };
        if let CatchUp::All(most) = self.catch_up
            && !(1..=MAX_CATCH_UP).contains(&most)
        {
            return Err(invalid(format!("{most} slots to catch up with, from 1 to {MAX_CATCH_UP}")));
        }
        Ok(Rule { slots, schedule: self })
    }
}

/// A checked [`Schedule`].
#[derive(Debug)]
pub(super) struct Rule {
    slots: Slots,
    schedule: Schedule,
}

#[derive(Debug)]
enum Slots {
    Cron(Box<Cron>, Zone),
    /// In microseconds.
    Every(i64),
}

const MICROS: i64 = 1_000_000;

/// The number of next slots whose distances are compared with the jitter.
const CHECKED_SLOTS: usize = 200;

impl Rule {
    /// Checks what depends on the job, and on the slots from now on.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if slots could overtake each other, if a cancelled
    /// job could keep the unique key of the next one, or if the jobs of an outage are too large.
    pub(super) fn check(&self, job: &JobSpec, now: Timestamp) -> Result<()> {
        let invalid = |fault: String| Err(Error::invalid("read a schedule", fault));
        let slots: Vec<Timestamp> = self.slots_after(now).take(CHECKED_SLOTS).collect();
        let distance = slots.windows(2).filter_map(|pair| Some(pair.first()?.until(*pair.last()?))).min();
        let jitter = self.schedule.jitter;
        if let Some(distance) = distance.filter(|distance| *distance < jitter) {
            return invalid(format!("the jitter is {jitter:?}, but two slots are only {distance:?} apart"));
        }
        if self.schedule.overlap == Overlap::CancelPrevious && job.unique.is_some() {
            let fault = "its job has a unique key, which the job before holds until it has stopped";
            return invalid(fault.to_owned());
        }
        let bytes = job.payload.as_bytes().len();
        match self.schedule.catch_up {
            CatchUp::All(most) if bytes.saturating_mul(most as usize) > MAX_CATCH_UP_BYTES => {
                invalid(format!("{most} payloads of {bytes} bytes are more than {MAX_CATCH_UP_BYTES} bytes"))
            }
            _ => Ok(()),
        }
    }

    #[cfg(feature = "runtime")]
    pub(super) const fn catch_up(&self) -> CatchUp {
        self.schedule.catch_up
    }

    #[cfg(feature = "runtime")]
    pub(super) const fn overlap(&self) -> Overlap {
        self.schedule.overlap
    }

    /// Returns the first slot after a time.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let before_start = self.schedule.start.map(|start| start.as_micros() - 1);
        let after = before_start.map_or(time.as_micros(), |before| before.max(time.as_micros()));
        let slot = match &self.slots {
            Slots::Cron(cron, zone) => {
                cron.next_after(zone, after.div_euclid(MICROS))?.checked_mul(MICROS)?
            }
            Slots::Every(interval) => {
                let anchor = self.anchor();
                let passed = (after - anchor).div_euclid(*interval) + 1;
                anchor.checked_add(passed.max(0).checked_mul(*interval)?)?
            }
        };
        Timestamp::from_micros(slot).ok().filter(|slot| self.schedule.end.is_none_or(|end| *slot <= end))
    }

    /// Returns the last slot that is not after a time.
    pub(super) fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        let until = self.schedule.end.map_or(time, |end| end.min(time)).as_micros();
        let slot = match &self.slots {
            Slots::Cron(cron, zone) => {
                cron.last_until(zone, until.div_euclid(MICROS))?.checked_mul(MICROS)?
            }
            Slots::Every(interval) => {
                let anchor = self.anchor();
                anchor + (until - anchor).div_euclid(*interval).checked_mul(*interval)?
            }
        };
        let slot = Timestamp::from_micros(slot).ok()?;
        self.schedule.start.is_none_or(|start| start <= slot).then_some(slot)
    }

    /// Returns the slots after a time.
    pub(super) fn slots_after(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(time), |slot| self.next_after(*slot))
    }

    /// Returns the slots from a time on, that time included.
    pub(super) fn slots_from(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        let first = self.last_until(time).filter(|slot| *slot == time);
        first.into_iter().chain(self.slots_after(time))
    }

    fn anchor(&self) -> i64 {
        self.schedule.start.map_or(0, Timestamp::as_micros)
    }

    /// Returns the time at which a slot fires: later than the slot by the jitter.
    pub(super) fn fires_at(&self, name: &str, slot: Timestamp) -> Timestamp {
        let longest = u64::try_from(saturating_micros(self.schedule.jitter)).unwrap_or_default();
        if longest == 0 {
            return slot;
        }
        let [high, ..] = hash("jitter", name, slot);
        slot.saturating_add(Duration::from_micros(high % longest))
    }

    pub(super) fn describe(&self) -> String {
        match &self.slots {
            Slots::Cron(cron, zone) => format!("{} {}", cron.describe(), zone.name()),
            Slots::Every(interval) => {
                let interval = Duration::from_micros(interval.unsigned_abs());
                format!("every {}", humantime::format_duration(interval))
            }
        }
    }
}

/// Returns the id of the job of a slot. It has the time of the slot, so that it is pruned with the
/// jobs of that time, and is the same in all processes, so that no slot has two jobs.
pub(super) fn job_of_slot(name: &str, slot: Timestamp) -> JobId {
    let [high, low] = hash("job", name, slot);
    let mut bytes = JobId::least_at(slot).to_bytes();
    let random = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    bytes[6..].copy_from_slice(&random[..10]);
    JobId::from_bytes(bytes)
}

/// 128 bits that depend on the schedule and the slot.
fn hash(purpose: &str, name: &str, slot: Timestamp) -> [u64; 2] {
    let digest = Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(name)
        .chain_update([0])
        .chain_update(slot.as_micros().to_be_bytes())
        .finalize();
    let word =
        |from: usize| digest[from..from + 8].iter().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    [word(0), word(8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overlap;

    fn at(text: &str) -> Timestamp {
        humantime::parse_rfc3339(text).unwrap().into()
    }

    #[test]
    fn intervals_are_multiples_from_the_start() {
        let every = Schedule::every(Duration::from_secs(10));
        let rule = every.clone().rule().unwrap();
        assert_eq!(rule.next_after(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:10Z")));
        assert_eq!(rule.next_after(at("2026-01-01T00:00:09.999999Z")), Some(at("2026-01-01T00:00:10Z")));
        assert_eq!(rule.last_until(at("2026-01-01T00:00:10Z")), Some(at("2026-01-01T00:00:10Z")));
        assert_eq!(rule.last_until(at("2026-01-01T00:00:09.999999Z")), Some(at("2026-01-01T00:00:00Z")));
        let start = at("2026-01-01T00:00:03.5Z");
        let rule = every.starting(start).ending(at("2026-01-01T00:00:20Z")).rule().unwrap();
        let slots: Vec<_> = rule.slots_after(Timestamp::UNIX_EPOCH).collect();
        assert_eq!(slots, [start, at("2026-01-01T00:00:13.5Z")]);
        assert_eq!(rule.last_until(at("2027-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:13.5Z")));
        assert_eq!(rule.last_until(at("2026-01-01T00:00:03Z")), None);
        assert_eq!(rule.next_after(Timestamp::MAX), None);
    }

    #[test]
    fn cron_slots_are_within_start_and_end() {
        let cron = Schedule::cron("0 * * * *")
            .starting(at("2026-01-01T01:00:00Z"))
            .ending(at("2026-01-01T02:00:00Z"));
        let slots = cron.slots_after(Timestamp::UNIX_EPOCH, 9).unwrap();
        assert_eq!(slots, [at("2026-01-01T01:00:00Z"), at("2026-01-01T02:00:00Z")]);
        let rule = cron.rule().unwrap();
        assert_eq!(rule.last_until(Timestamp::MAX), Some(at("2026-01-01T02:00:00Z")));
        assert_eq!(rule.last_until(at("2026-01-01T00:30:00Z")), None);
    }

    #[test]
    fn jitter_is_less_than_its_limit_and_always_the_same() {
        let rule = Schedule::cron("@hourly").jitter(Duration::from_secs(60)).rule().unwrap();
        let delays: Vec<Duration> = rule
            .slots_after(at("2026-01-01T00:00:00Z"))
            .take(100)
            .map(|slot| slot.until(rule.fires_at("a", slot)))
            .collect();
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(60)));
        assert!(delays.iter().max() > delays.iter().min());
        let slot = at("2026-01-01T00:00:00Z");
        assert_eq!(rule.fires_at("a", slot), rule.fires_at("a", slot));
        assert_ne!(rule.fires_at("a", slot), rule.fires_at("b", slot));
    }

    #[test]
    fn job_of_a_slot_has_its_time() {
        let slot = at("2026-01-01T00:00:00.001Z");
        let id = job_of_slot("a", slot);
        assert_eq!(id.timestamp(), slot);
        assert_eq!(id, job_of_slot("a", slot));
        assert_ne!(id, job_of_slot("b", slot));
        assert_ne!(id, job_of_slot("a", at("2026-01-01T00:00:00.001001Z")));
    }

    #[test]
    fn each_fault_is_named() {
        for (schedule, fault) in [
            (Schedule::cron("* * *"), "has 3 fields"),
            (Schedule::cron("0 0 30 2 *"), "never fires"),
            (Schedule::cron("0 0 * * *").zone("Europe/Berln"), "no time zone `Europe/Berln`"),
            (Schedule::every(Duration::from_millis(999)), "at least 1s"),
            (Schedule::every(Duration::from_secs(1)).zone("UTC"), "an interval has no time zone"),
            (Schedule::cron("@daily").catch_up(CatchUp::All(0)), "0 slots"),
        ] {
            let error = schedule.describe().unwrap_err();
            assert!(error.to_string().contains(fault), "{error}");
        }
    }

    #[test]
    fn schedules_are_written_for_operators() {
        let schedule = Schedule::cron("30 2 * * *").zone("Europe/Berlin").catch_up(CatchUp::All(3));
        let text = serde_json::to_string(&schedule.jitter(Duration::from_secs(90))).unwrap();
        let expected = r#"{"cron":"30 2 * * *","zone":"Europe/Berlin","catch_up":{"all":3},"overlap":"allow","jitter":"1m 30s"}"#;
        assert_eq!(text, expected);
        let start = at("2026-01-01T00:00:00Z");
        let schedule =
            Schedule::every(Duration::from_secs(10)).starting(start).overlap(Overlap::CancelPrevious);
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}
