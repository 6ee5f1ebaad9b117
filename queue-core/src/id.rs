//! The names of single things: jobs, claims, workers.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::{Generator, Overflow, Ulid};

use crate::poison::ignore_poison;
use crate::{Error, Result, Timestamp};

static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());

fn generate(many: usize) -> Vec<Ulid> {
    let mut generator = ignore_poison(GENERATOR.lock());
    (0..many).map(|_| generator.generate().unwrap_or_else(Overflow::commit_overflow_increment)).collect()
}

macro_rules! ulid_name {
    ($name:ident, $what:literal) => {
        impl $name {
            /// A new one, greater than all that this process made before.
            #[must_use]
            pub fn generate() -> Self {
                generate(1).first().map_or(Self(Ulid::nil()), |ulid| Self(*ulid))
            }

            /// The 16 bytes, most significant first: they sort like the text.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// From its 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let refusal = || Error::invalid(concat!("read a ", $what), format!("`{text}` is no ULID"));
                // 26 digits of 5 bits have room for more than 128, which would be cut off.
                if text.starts_with(|first: char| first > '7') {
                    return Err(refusal());
                }
                Ulid::from_string(text).map(Self).map_err(|error| refusal().with_source(error))
            }
        }
    };
}

/// The name of a job: a [ULID](https://github.com/ulid/spec), monotonic within a process.
///
/// ```
/// use queue_core::JobId;
///
/// let (first, second) = (JobId::generate(), JobId::generate());
/// assert!(first < second);
/// assert_eq!(first.to_string().parse::<JobId>().unwrap(), first);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Ulid);

ulid_name!(JobId, "job id");

impl JobId {
    /// `many` new ids in ascending order.
    #[must_use]
    pub fn generate_many(many: usize) -> Vec<Self> {
        generate(many).into_iter().map(Self).collect()
    }

    /// The time within the id, in whole milliseconds.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::UNIX_EPOCH.saturating_add(Duration::from_millis(self.0.timestamp_ms()))
    }

    /// The least id of a moment: every id generated before it is smaller.
    #[must_use]
    pub fn least_at(time: Timestamp) -> Self {
        let millis = u64::try_from(time.as_micros() / 1000).unwrap_or_default();
        Self(Ulid::from_parts(millis, 0))
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The name of a worker, made anew each time one registers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Ulid);

ulid_name!(WorkerId, "worker id");

/// The name of one claim: 128 random bits, made by the client.
///
/// A sequence of the database could repeat after a failover; these cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId([u8; 16]);

impl ClaimId {
    /// From 16 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// A new one from the operating system's source of randomness.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the operating system gives none.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::new(
                crate::ErrorKind::Unavailable,
                "make a claim id",
                "the operating system gives no random bytes",
            )
            .with_source(error)
        })?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The right to run and settle one attempt of one job: the pair that no other claim ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The job.
    pub job: JobId,
    /// The claim that took it.
    pub claim: ClaimId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_process_ascend() {
        let ids = JobId::generate_many(10_000);
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids[9_999] < JobId::generate());
    }

    #[test]
    fn least_id_of_a_moment_bounds_it() {
        let id = JobId::generate();
        assert!(JobId::least_at(id.timestamp()) <= id);
        assert!(JobId::least_at(id.timestamp().saturating_add(Duration::from_millis(1))) > id);
    }

    #[test]
    fn text_that_is_no_ulid_is_named() {
        let error = "nonsense".parse::<JobId>().unwrap_err();
        assert!(error.to_string().contains("`nonsense`"), "{error}");
        let last = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
        assert_eq!(last.parse::<JobId>().unwrap().to_bytes(), [255; 16]);
        assert!(last.replace('7', "8").parse::<JobId>().is_err(), "it is one bit too large");
    }
}
