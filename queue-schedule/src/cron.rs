//! The times of a cron expression.

use std::fmt;
use std::str::FromStr;

use croner::Cron as Pattern;
use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::zone::{Stretch, Zone};
use crate::{Invalid, fields};

/// The most stretches that a search passes: those of a century in which the clocks change four
/// times per year. Expressions that fire at all fire at least every 40 years.
const MOST_STRETCHES: usize = 400;

/// A cron expression: minute, hour, day of the month, month, day of the week, and optionally the
/// second before them.
///
/// A field is `*`, a value, a range `1-5`, a list `1,3`, or steps `*/5`. Months and days of the
/// week also have names (`MON-FRI`). The day of the month may be `L` (the last day) or `15W` (the
/// nearest weekday), the day of the week `5#2` (the second Friday) or `5#L` (the last). If both
/// days are set, one of them suffices; with `+` before the day of the week, both must match.
/// `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly` are allowed.
///
/// # Changes of the clocks
/// The rules are those of Vixie cron, `cron(8)`. If the second, minute or hour begins with `*`, the
/// expression follows real time. Otherwise its times are fixed: one that the clocks skip fires at
/// the end of the gap, and one that they show twice fires at the first time only. Several times in
/// one gap are one.
///
/// ```
/// use queue_schedule::Cron;
///
/// let cron = Cron::parse("15 9-17 * * MON-FRI")?;
/// assert_eq!(cron.as_str(), "15 9-17 * * MON-FRI");
/// let error = Cron::parse("15 25 * * *").unwrap_err();
/// assert_eq!(error.place(), 3..5);
/// assert!(error.to_string().starts_with("the hour `25` of the cron expression `15 25 * * *`"));
/// # Ok::<(), queue_schedule::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    pattern: Pattern,
    follows_real_time: bool,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// A field is wrong, or the expression never fires, as `0 0 30 2 *`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let pattern = fields::parse(text)?;
        let follows_real_time = fields::follows_real_time(pattern.as_str());
        let cron = Self { text: text.to_owned(), pattern, follows_real_time };
        if cron.next_local(0).is_some() {
            return Ok(cron);
        }
        let message = format!("the cron expression `{text}` never fires, because no year has such a day");
        Err(Invalid::new(message, 0..text.len()))
    }

    /// Returns the text of the expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the first time after `second`. Times are seconds since 1970. `None` if the time is
    /// after the year 4999.
    #[must_use]
    pub fn next_after(&self, zone: &Zone, second: i64) -> Option<i64> {
        let mut from = second.checked_add(1)?;
        for _ in 0..MOST_STRETCHES {
            let stretch = zone.stretch(from)?;
            let local =
                if from == stretch.begin { self.first_local(&stretch) } else { from + stretch.offset };
            let next = self.next_local(local.max(self.first_local(&stretch)))?;
            if next < stretch.end + stretch.offset {
                return Some((next - stretch.offset).max(stretch.begin));
            }
            from = stretch.end;
        }
        None
    }

    /// Returns the last time that is not after `second`. Times are seconds since 1970. `None` if
    /// there is none since the year 1.
    #[must_use]
    pub fn last_until(&self, zone: &Zone, second: i64) -> Option<i64> {
        let mut until = second;
        for _ in 0..MOST_STRETCHES {
            let stretch = zone.stretch(until)?;
            let last = self.last_local(until + stretch.offset)?;
            if last >= self.first_local(&stretch) {
                return Some((last - stretch.offset).max(stretch.begin));
            }
            until = stretch.begin.checked_sub(1)?;
        }
        None
    }

    /// Describes the expression in words: "every day at 02:30".
    #[must_use]
    pub fn describe(&self) -> String {
        let text = self.pattern.describe();
        let text = text.trim_end_matches('.');
        let is_time = text.strip_prefix("At ").is_some_and(|time| time.starts_with(char::is_numeric));
        if is_time && fields::is_daily(self.pattern.as_str()) {
            return format!("every day {}", fields::lowercase(text));
        }
        // Without the `At` of "At every 5 minutes".
        let (at, words) = text.split_at(text.find("every").filter(|start| *start == 3).unwrap_or(0));
        if at.is_empty() { fields::lowercase(words) } else { words.to_owned() }
    }

    /// Returns the first local time whose occurrence in this stretch is used.
    const fn first_local(&self, stretch: &Stretch) -> i64 {
        if self.follows_real_time { stretch.begin + stretch.offset } else { stretch.first_new() }
    }

    /// Returns the first local time that matches, from `local` on.
    fn next_local(&self, local: i64) -> Option<i64> {
        let next = self.pattern.find_next_occurrence(&civil(local)?, true).ok()?;
        Some(seconds(next))
    }

    /// Returns the last local time that matches, until `local`.
    fn last_local(&self, local: i64) -> Option<i64> {
        let last = self.pattern.find_previous_occurrence(&civil(local)?, true).ok()?;
        Some(seconds(last))
    }
}

/// Local time without a zone. It is computed as if the clocks showed UTC.
fn civil(local: i64) -> Option<DateTime> {
    Some(Timestamp::from_second(local).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

fn seconds(local: DateTime) -> i64 {
    local.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs()
}

impl FromStr for Cron {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}
