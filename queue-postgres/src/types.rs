//! Converts values to and from PostgreSQL's binary formats.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::BytesMut;
use queue_core::backend::ScheduleVersion;
use queue_core::{ClaimId, JobId, Timestamp, WorkerId, saturating_micros};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

type Outcome<T> = Result<T, Box<dyn StdError + Sync + Send>>;

/// Microseconds from 1970, the epoch of [`Timestamp`], to 2000, the epoch of PostgreSQL.
const EPOCH: i64 = 946_684_800_000_000;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An id as a `uuid` of the same 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) [u8; 16]);

impl From<JobId> for Id {
    fn from(id: JobId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<ClaimId> for Id {
    fn from(id: ClaimId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<WorkerId> for Id {
    fn from(id: WorkerId) -> Self {
        Self(id.to_bytes())
    }
}

impl From<ScheduleVersion> for Id {
    fn from(version: ScheduleVersion) -> Self {
        Self(version.to_bytes())
    }
}

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Outcome<Self> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(UUID);
}

/// A time as a `timestamptz`. Both count whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        out.extend_from_slice(&(self.0.as_micros() - EPOCH).to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Outcome<Self> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(micros.saturating_add(EPOCH))?))
    }

    accepts!(TIMESTAMPTZ);
}

/// The exclusive lower end of a range of times; `None` is `-infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct After(pub(crate) Option<Timestamp>);

impl ToSql for After {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        match self.0 {
            Some(time) => Time(time).to_sql(kind, out),
            None => {
                out.extend_from_slice(&i64::MIN.to_be_bytes());
                Ok(IsNull::No)
            }
        }
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

/// A duration as an `interval` of only microseconds, at most `i64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Duration);

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        out.extend_from_slice(&saturating_micros(self.0).to_be_bytes());
        // Zero days and months.
        out.extend_from_slice(&[0; 8]);
        Ok(IsNull::No)
    }

    accepts!(INTERVAL);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Interval {
    /// Accepts days and months, which only other programs write. Counts 30 days per month, as
    /// comparisons in PostgreSQL do.
    fn from_sql(_: &Type, raw: &'a [u8]) -> Outcome<Self> {
        let (micros, rest) = raw.split_first_chunk().ok_or("an interval is cut off")?;
        let (days, months) = rest.split_first_chunk().ok_or("an interval is cut off")?;
        let days =
            i64::from(i32::from_be_bytes(*days)) + 30 * i64::from(i32::from_be_bytes(months.try_into()?));
        let micros = i64::from_be_bytes(*micros).saturating_add(days.saturating_mul(MICROS_PER_DAY));
        let micros = u64::try_from(micros).map_err(|_| "an interval is negative")?;
        Ok(Self(Duration::from_micros(micros)))
    }

    accepts!(INTERVAL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<T: ToSql + for<'a> FromSql<'a>>(value: &T, kind: &Type) -> T {
        let mut bytes = BytesMut::new();
        value.to_sql(kind, &mut bytes).unwrap();
        T::from_sql(kind, &bytes).unwrap()
    }

    #[test]
    fn values_survive_the_round_trip() {
        for time in [Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            assert_eq!(back(&Time(time), &Type::TIMESTAMPTZ), Time(time));
        }
        for duration in [Duration::ZERO, Duration::from_micros(1), Duration::MAX] {
            let micros = u64::try_from(saturating_micros(duration)).unwrap();
            let stored = Interval(Duration::from_micros(micros));
            assert_eq!(back(&Interval(duration), &Type::INTERVAL), stored);
        }
        let id = Id::from(JobId::generate());
        assert_eq!(back(&id, &Type::UUID), id);
    }

    #[test]
    fn month_and_day_are_31_days() {
        let both = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        let expected = Duration::from_secs(31 * 24 * 60 * 60) + Duration::from_micros(1);
        assert_eq!(Interval::from_sql(&Type::INTERVAL, &both).unwrap(), Interval(expected));
    }

    #[test]
    fn unsupported_values_are_errors() {
        assert!(Time::from_sql(&Type::TIMESTAMPTZ, &i64::MAX.to_be_bytes()).is_err(), "infinity");
        assert!(Time::from_sql(&Type::TIMESTAMPTZ, &i64::MIN.to_be_bytes()).is_err(), "-infinity");
        assert!(Interval::from_sql(&Type::INTERVAL, &[0xff; 16]).is_err(), "negative");
        assert!(Interval::from_sql(&Type::INTERVAL, &[]).is_err());
    }
}
