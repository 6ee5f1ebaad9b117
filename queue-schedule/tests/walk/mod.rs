//! Compares the times of expressions with a walk minute by minute that does what Vixie cron does:
//! <https://man7.org/linux/man-pages/man8/cron.8.html>.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use queue_schedule::{Cron, Zone};

const MINUTES: [&str; 7] = ["0", "30", "59", "0,20,40", "10-12", "*", "*/15"];
const HOURS: [&str; 9] = ["0", "1", "2", "3", "1,2,3", "0-23", "23", "*", "*/2"];
const DAYS: [&str; 5] = ["* * *", "* * 0", "25-31 * *", "* 3,10 *", "8 * 6"];

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// How long before and after a change the walk goes.
const AROUND: SignedDuration = SignedDuration::from_hours(2);

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) changes: usize,
    pub(crate) slots: usize,
    pub(crate) mismatches: Vec<String>,
}

impl Tally {
    pub(crate) fn compare<'a>(
        &mut self,
        zone: &str,
        change: Timestamp,
        expressions: impl IntoIterator<Item = &'a Expression>,
    ) {
        self.changes += 1;
        let walk = Walk::around(&TimeZone::get(zone).unwrap(), change);
        let found = Zone::find(zone).unwrap();
        for expression in expressions {
            let expected = walk.slots(expression);
            let actual = slots(&expression.cron, &found, walk.start, walk.end);
            self.slots += expected.len();
            if actual != expected || !finds_them_backwards(&expression.cron, &found, &expected) {
                self.mismatches.push(format!(
                    "{zone} {change} `{}`: {actual:?}, expected {expected:?}",
                    expression.cron
                ));
            }
        }
    }
}

fn slots(cron: &Cron, zone: &Zone, start: i64, end: i64) -> Vec<i64> {
    let next = |last: &i64| cron.next_after(zone, *last);
    std::iter::successors(next(&(start - 1)), next).take_while(|slot| *slot < end).collect()
}

fn finds_them_backwards(cron: &Cron, zone: &Zone, slots: &[i64]) -> bool {
    let is_last = |slot: i64, until: i64| cron.last_until(zone, until) == Some(slot);
    slots.iter().all(|slot| is_last(*slot, *slot))
        && slots.windows(2).all(|pair| matches!(pair, [slot, next] if is_last(*slot, next - 1)))
}

/// The changes of a zone's clocks from 2000 to 2050.
pub(crate) fn changes(zone: &str) -> Vec<Timestamp> {
    let (start, end) = ("2000-01-01T00:00:00Z".parse().unwrap(), "2051-01-01T00:00:00Z".parse().unwrap());
    let zone = TimeZone::get(zone).unwrap();
    let changes = zone.following(start).map(|change| change.timestamp());
    // A zone also lists changes of its name.
    let moves = |change: &Timestamp| zone.to_offset(*change) != zone.to_offset(*change - SECOND);
    changes.take_while(|change| *change < end).filter(moves).collect()
}

/// The minutes around a change: the time, and what the clocks show.
struct Walk {
    start: i64,
    end: i64,
    minutes: Vec<(i64, DateTime)>,
}

impl Walk {
    fn around(zone: &TimeZone, change: Timestamp) -> Self {
        let (start, end) = (change - AROUND, change + AROUND);
        // Until the clocks show again what they showed at the end.
        let end = end + SignedDuration::from_secs(repeated(zone, change));
        let minute = SignedDuration::from_mins(1);
        let times = std::iter::successors(Some(start), |time| Some(*time + minute));
        let minutes = times
            .take_while(|time| *time < end)
            .map(|time| (time.as_second(), time.to_zoned(zone.clone()).datetime()))
            .collect();
        Self { start: start.as_second(), end: end.as_second(), minutes }
    }

    /// Returns when Vixie cron runs a job. One that begins with `*` runs whenever the clocks show
    /// its time. Another also runs at the first minute after a gap that contains its time, and
    /// never at a time that the clocks have shown before.
    fn slots(&self, expression: &Expression) -> Vec<i64> {
        let minute = SignedDuration::from_mins(1);
        let mut shown: Option<DateTime> = None;
        let mut slots = Vec::new();
        for &(time, clock) in &self.minutes {
            let is_new = shown.is_none_or(|shown| clock > shown);
            let mut matches = expression.matches(clock) && (expression.follows_real_time || is_new);
            if !expression.follows_real_time
                && let Some(shown) = shown
            {
                let mut skipped = shown + minute;
                while skipped < clock && !matches {
                    matches = expression.matches(skipped);
                    skipped += minute;
                }
            }
            if matches {
                slots.push(time);
            }
            shown = shown.max(Some(clock));
        }
        slots
    }
}

/// The seconds that the clocks repeat at a change.
fn repeated(zone: &TimeZone, change: Timestamp) -> i64 {
    let before = zone.to_offset(change - SECOND).seconds();
    i64::from((before - zone.to_offset(change).seconds()).max(0))
}

pub(crate) struct Expression {
    cron: Cron,
    fields: [BTreeSet<i8>; 5],
    is_any: [bool; 5],
    follows_real_time: bool,
}

pub(crate) fn expressions() -> Vec<Expression> {
    let days = |minute, hour| DAYS.iter().map(move |days| format!("{minute} {hour} {days}"));
    let texts = MINUTES.iter().flat_map(|minute| HOURS.iter().flat_map(move |hour| days(minute, hour)));
    texts.map(|text| Expression::new(&text)).collect()
}

impl Expression {
    fn new(text: &str) -> Self {
        let fields: Vec<&str> = text.split(' ').collect();
        let ranges = [0..=59, 0..=23, 1..=31, 1..=12, 0..=6];
        Self {
            cron: Cron::parse(text).unwrap(),
            fields: std::array::from_fn(|number| values(fields[number], ranges[number].clone())),
            is_any: std::array::from_fn(|number| fields[number] == "*"),
            follows_real_time: fields[0].starts_with('*') || fields[1].starts_with('*'),
        }
    }

    fn matches(&self, clock: DateTime) -> bool {
        let weekday = clock.weekday().to_sunday_zero_offset();
        let has = |number: usize, value| self.fields[number].contains(&value);
        let (day, weekday) = (has(2, clock.day()), has(4, weekday));
        let is_day = if self.is_any[2] || self.is_any[4] { day && weekday } else { day || weekday };
        has(0, clock.minute()) && has(1, clock.hour()) && has(3, clock.month()) && is_day
    }
}

fn values(field: &str, all: std::ops::RangeInclusive<i8>) -> BTreeSet<i8> {
    if let Some(step) = field.strip_prefix("*/") {
        return all.step_by(step.parse().unwrap()).collect();
    }
    if field == "*" {
        return all.collect();
    }
    let part = |part: &str| match part.split_once('-') {
        Some((from, to)) => from.parse::<i8>().unwrap()..=to.parse().unwrap(),
        None => part.parse::<i8>().unwrap()..=part.parse().unwrap(),
    };
    field.split(',').flat_map(part).collect()
}
