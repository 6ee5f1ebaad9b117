//! Time zones, as stretches of time with one offset.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Invalid;

/// A time zone of the IANA database, e.g. `Europe/Berlin`.
///
/// ```
/// use queue_schedule::Zone;
///
/// assert_eq!(Zone::find("europe/berlin")?.name(), "Europe/Berlin");
/// assert_eq!(Zone::utc().name(), "UTC");
/// let error = Zone::find("Europe/Berln").unwrap_err();
/// assert!(error.to_string().starts_with("there is no time zone `Europe/Berln`"));
/// # Ok::<(), queue_schedule::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
}

impl Zone {
    /// Returns the zone without changes of the clocks, `UTC`.
    #[must_use]
    pub const fn utc() -> Self {
        Self { zone: TimeZone::UTC }
    }

    /// Finds a zone in the database of the system, or in the one that the feature `bundled-zones`
    /// contains. Upper and lower case are the same.
    ///
    /// # Errors
    /// The database has no zone of that name, or there is no database.
    pub fn find(name: &str) -> Result<Self, Invalid> {
        let refusal = |cause: String| Invalid::new(cause, 0..name.len());
        let zone = TimeZone::get(name).map_err(|_| {
            let database = if Self::any_exists() {
                "names are those of the IANA database, such as `Europe/Berlin` or `UTC`"
            } else {
                "this machine has no time zone database; the feature `bundled-zones` contains one"
            };
            refusal(format!("there is no time zone `{name}`: {database}"))
        })?;
        if zone.iana_name().is_none() {
            return Err(refusal(format!("`{name}` is not a time zone of the IANA database")));
        }
        Ok(Self { zone })
    }

    /// Returns whether there is a database, so that [`find`](Self::find) can find a zone.
    #[must_use]
    pub fn any_exists() -> bool {
        jiff::tz::db().available().next().is_some()
    }

    /// Returns the name, as the database writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// Returns the stretch that contains this second; `None` outside of the years -9999 to 9999.
    pub(crate) fn stretch(&self, second: i64) -> Option<Stretch> {
        let time = Timestamp::from_second(second).ok()?;
        let after = Timestamp::from_second(second.checked_add(1)?).ok()?;
        let begin = self.zone.preceding(after).next().map(|change| change.timestamp());
        let end = self.zone.following(time).next().map(|change| change.timestamp());
        let offset = self.offset(time);
        let before = match begin {
            Some(begin) => self.offset(Timestamp::from_second(begin.as_second().checked_sub(1)?).ok()?),
            None => offset,
        };
        Some(Stretch {
            begin: begin.map_or(Timestamp::MIN, |begin| begin).as_second(),
            end: end.map_or(Timestamp::MAX, |end| end).as_second(),
            offset,
            before,
        })
    }

    fn offset(&self, time: Timestamp) -> i64 {
        i64::from(self.zone.to_offset(time).seconds())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

/// A stretch of time in which the clocks of a zone do not change. Times are seconds since 1970;
/// local times are the seconds that the clocks show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) begin: i64,
    /// Not part of the stretch.
    pub(crate) end: i64,
    /// What the clocks are ahead of UTC.
    pub(crate) offset: i64,
    /// What they were ahead before the stretch.
    before: i64,
}

impl Stretch {
    /// Returns the first local time of the stretch that no earlier stretch has. If the clocks were
    /// put forward, it is in the gap. If they were put back, it is after the hour that they repeat.
    pub(crate) const fn first_new(&self) -> i64 {
        self.begin + self.before
    }
}
