//! Unique keys: at most one job of a kind and key at a time.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::limits::MAX_UNIQUE_KEY_BYTES;
use crate::time::whole_micros;
use crate::{Error, Result, Timestamp};

/// JSON texts up to this length are the key itself, so that an operator can read it. A longer one
/// is replaced by its hash.
const MAX_READABLE_BYTES: usize = 128;

/// What makes a job unique: while a job holds a key, no other job of its kind with the same key is
/// inserted. An enqueue then returns the job that is there, and
/// [`is_new`](crate::JobHandle::is_new) is `false`.
///
/// A job holds its key from the insert until it is finished, however often it is retried, snoozed
/// or rescued. A dead or cancelled job releases the key at once. A completed job holds it longer if
/// [`keep`](Self::keep) or [`per`](Self::per) says so.
///
/// ```
/// use std::time::Duration;
/// use queue_core::{JobQueue, Result, Task, Unique};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct ChargeOrder { order: i64, customer: i64 }
///
/// impl Task for ChargeOrder { // or `#[derive(Task)]` with `unique(order, keep = "90d")`
///     const KIND: &'static str = "charge-order";
///     type Output = ();
///
///     fn unique(&self) -> Option<Unique> {
///         Some(Unique::by(&self.order).keep(Duration::from_secs(90 * 24 * 60 * 60)))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let jobs = JobQueue::new(std::sync::Arc::new(queue_core::MemoryBackend::new()));
/// let first = jobs.enqueue(ChargeOrder { order: 7, customer: 3 }).await?;
/// let second = jobs.enqueue(ChargeOrder { order: 7, customer: 3 }).await?;
/// assert!(first.is_new() && !second.is_new());
/// assert_eq!(first.id(), second.id());
/// # Ok::<(), queue_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Unique {
    text: std::result::Result<String, String>,
    keep: Duration,
    window: Option<Duration>,
}

impl Unique {
    /// One job per value: a field of the payload, a tuple of fields, or the whole payload. Values
    /// are equal if their JSON is; the order of the keys of objects does not matter.
    pub fn by<T: Serialize + ?Sized>(value: &T) -> Self {
        let written = serde_json::to_value(value).map(|mut value| {
            // They are sorted already, unless a crate of the program enables `preserve_order`.
            value.sort_all_objects();
            value.to_string()
        });
        Self::new(written.map(readable).map_err(|error| format!("it cannot be written as JSON: {error}")))
    }

    /// One job per text, of 1 to [`MAX_UNIQUE_KEY_BYTES`] bytes without control characters.
    /// Programs that enqueue by SQL use the same text.
    pub fn key(text: impl Into<String>) -> Self {
        Self::new(Ok(text.into()))
    }

    const fn new(text: std::result::Result<String, String>) -> Self {
        Self { text, keep: Duration::ZERO, window: None }
    }

    /// Lets a completed job hold the key for this long after it was completed (default: zero), even
    /// if the job itself is pruned earlier. Until then an enqueue returns its id.
    pub const fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// One job per key and period. Periods are aligned to multiples of their length since 1970: a
    /// period of a day begins at midnight UTC. The job's `run_at` selects the period, else the time
    /// of the id that the caller gave, else the clock of this machine. A completed job holds its
    /// key at least to the end of its period.
    pub const fn per(mut self, period: Duration) -> Self {
        self.window = Some(period);
        self
    }

    /// Returns the text, the time that a completed job keeps the key, and the period.
    #[cfg(feature = "schedules")]
    pub(crate) fn into_parts(self) -> Result<(String, Duration, Option<Duration>), String> {
        Ok((self.text?, self.keep, self.window))
    }

    /// Returns the key of a job that may run at this time.
    pub(crate) fn resolve(self, run_at: Timestamp) -> Result<UniqueKey, String> {
        let text = self.text?;
        let Some(window) = self.window else { return UniqueKey::checked(text, self.keep) };
        let micros = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let start = run_at.as_micros().checked_div(micros).ok_or("its period is zero")? * micros;
        let start = Timestamp::from_micros(start).map_err(|error| error.to_string())?;
        UniqueKey::checked(format!("{text} {start}"), self.keep.max(window))
    }
}

/// A short JSON text as it is, and the hash of a long one.
fn readable(json: String) -> String {
    if json.len() <= MAX_READABLE_BYTES {
        return json;
    }
    let digest = Sha256::digest(json.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The unique key of a stored job. It is unique among the jobs of its kind.
#[derive(Clone, PartialEq, Eq)]
pub struct UniqueKey(
    /// Apart, because jobs are moved often and few have a key.
    Box<TextAndKeep>,
);

#[derive(Clone, PartialEq, Eq)]
struct TextAndKeep {
    text: String,
    keep: Duration,
}

impl UniqueKey {
    /// Creates a key that a completed job holds for `keep` longer.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the text is empty, longer than
    /// [`MAX_UNIQUE_KEY_BYTES`], or has a control character.
    pub fn new(text: impl Into<String>, keep: Duration) -> Result<Self> {
        Self::checked(text.into(), keep).map_err(|fault| Error::invalid("create a unique key", fault))
    }

    fn checked(text: String, keep: Duration) -> Result<Self, String> {
        let bytes = text.len();
        if bytes == 0 {
            return Err("the unique key is empty".to_owned());
        }
        if bytes > MAX_UNIQUE_KEY_BYTES {
            return Err(format!(
                "the unique key `{text}` is {bytes} bytes, the limit is {MAX_UNIQUE_KEY_BYTES}"
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("the unique key {text:?} holds a control character"));
        }
        Ok(Self::from_stored(text, whole_micros(keep)))
    }

    /// Reads a key that a backend stored earlier. It is not checked again.
    #[must_use]
    pub fn from_stored(text: impl Into<String>, keep: Duration) -> Self {
        Self(Box::new(TextAndKeep { text: text.into(), keep }))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns how long a completed job holds the key, in whole microseconds.
    #[must_use]
    pub const fn keep(&self) -> Duration {
        self.0.keep
    }
}

impl fmt::Debug for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UniqueKey").field("text", &self.0.text).field("keep", &self.0.keep).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn text(unique: Unique, run_at: i64) -> Result<String, String> {
        let run_at = Timestamp::from_micros(run_at * 1_000_000).unwrap();
        unique.resolve(run_at).map(|key| key.as_str().to_owned())
    }

    #[test]
    fn value_is_its_json_or_the_hash_of_it() {
        assert_eq!(text(Unique::by(&7), 0).unwrap(), "7");
        assert_eq!(text(Unique::by(&(7, "eu")), 0).unwrap(), r#"[7,"eu"]"#);
        let long = text(Unique::by(&"x".repeat(200)), 0).unwrap();
        assert_eq!((long.len(), &long[..11]), (71, "sha256:9d96"));
        let not_json = Unique::by(&BTreeMap::from([((1, 2), 3)]));
        assert!(text(not_json, 0).unwrap_err().starts_with("it cannot be written as JSON"));
    }

    #[test]
    fn period_is_part_of_the_key_and_of_its_time() {
        let hourly = || Unique::key("report").per(Duration::from_secs(3600));
        assert_eq!(text(hourly(), 3599).unwrap(), "report 1970-01-01T00:00:00.000000Z");
        assert_eq!(text(hourly(), 3600).unwrap(), "report 1970-01-01T01:00:00.000000Z");
        assert_eq!(hourly().resolve(Timestamp::UNIX_EPOCH).unwrap().keep(), Duration::from_secs(3600));
        assert_eq!(text(Unique::key("a").per(Duration::ZERO), 0).unwrap_err(), "its period is zero");
    }

    #[test]
    fn bad_text_is_refused_by_name() {
        let long = "x".repeat(MAX_UNIQUE_KEY_BYTES + 1);
        assert!(UniqueKey::new(&long[1..], Duration::ZERO).is_ok());
        for (text, fault) in [("", "is empty"), ("a\0", "holds a control character"), (&long, "the limit is")]
        {
            let error = UniqueKey::new(text, Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains(text.trim_end_matches('\0')), "{error}");
        }
    }
}
