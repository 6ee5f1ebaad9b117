//! The definition of a stored schedule: what it inserts, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::deployment::Deployment;
use super::rule::{Rule, job_of_slot};
use super::state::State;
use super::when::Schedule;
use crate::backend::{ScheduleVersion, StoredSchedule};
use crate::time::{saturating_micros, whole_micros};
use crate::{
    Attributes, Backoff, Error, ErrorKind, JobId, JobSpec, Kind, Payload, QueueName, Result, ScheduleName,
    Timestamp, Unique, UniqueKey,
};

/// What a schedule inserts, and when. It is stored as JSON, which operators can read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Definition {
    /// The schedule of the program.
    when: Schedule,
    /// The schedule that an operator has set instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) edited: Option<Schedule>,
    /// The deployment that declared it, or that removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Deployment>,
    kind: String,
    payload: Box<RawValue>,
    job: JobTexts,
}

/// The options of the jobs, all of them set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct JobTexts {
    queue: String,
    priority: i16,
    max_retries: u16,
    timeout_micros: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backoff: Option<BackoffTexts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<UniqueTexts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BackoffTexts {
    base_micros: i64,
    cap_micros: i64,
    jitter: u8,
}

/// A unique key, whose period depends on the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UniqueTexts {
    key: String,
    keep_micros: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_micros: Option<i64>,
}

fn micros(duration: i64) -> Duration {
    Duration::from_micros(duration.unsigned_abs())
}

impl Definition {
    /// A definition whose jobs are like this one.
    pub(super) fn new(when: Schedule, job: &JobSpec, unique: Option<Unique>) -> Result<Self> {
        let invalid = |fault: String| Error::invalid("create a schedule", fault);
        let payload = RawValue::from_string(job.payload.as_str().to_owned())
            .map_err(|error| invalid(format!("the payload is not JSON: {error}")))?;
        let unique = unique.map(|unique| {
            let (key, keep, per) = unique.into_parts().map_err(&invalid)?;
            let per_micros = per.map(saturating_micros);
            Ok::<_, Error>(UniqueTexts { key, keep_micros: saturating_micros(keep), per_micros })
        });
        let backoff = |backoff: Backoff| BackoffTexts {
            base_micros: saturating_micros(backoff.base()),
            cap_micros: saturating_micros(backoff.cap()),
            jitter: backoff.jitter(),
        };
        let attributes = job.attributes.as_ref().map(Attributes::decode).transpose()?;
        Ok(Self {
            when,
            edited: None,
            owner: None,
            kind: job.kind.to_string(),
            payload,
            job: JobTexts {
                queue: job.queue.to_string(),
                priority: job.priority,
                max_retries: job.max_retries,
                timeout_micros: saturating_micros(job.timeout),
                backoff: job.backoff.map(backoff),
                unique: unique.transpose()?,
                attributes,
            },
        })
    }

    pub(super) fn read(name: &str, text: &str) -> Result<Self> {
        read(name, "definition", text)
    }

    pub(super) fn write(&self) -> String {
        // A struct of texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The schedule that holds.
    pub(super) fn schedule(&self) -> &Schedule {
        self.edited.as_ref().unwrap_or(&self.when)
    }

    /// The schedule of the program, if an operator has set another.
    pub(super) fn overridden(&self) -> Option<&Schedule> {
        self.edited.as_ref().map(|_| &self.when)
    }

    /// The rule of the schedule that holds.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the schedule.
    pub(super) fn rule(&self, name: &str) -> Result<Rule> {
        self.schedule().clone().rule().map_err(|error| {
            let by = if self.edited.is_some() { " (which an operator has edited)" } else { "" };
            renamed(error, format!("read the schedule `{name}`{by}"))
        })
    }

    /// Returns when a worker must look at a schedule in this state. A stopped one needs no rule.
    pub(super) fn due_at(&self, state: &State, name: &str, now: Timestamp) -> Result<Option<Timestamp>> {
        if state.is_stopped() {
            return Ok(state.due_at_stopped(now));
        }
        Ok(state.due_at(&self.rule(name)?, name, now))
    }

    /// Checks the schedule that holds, and that the job can be built.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the schedule.
    pub(super) fn check(&self, name: &ScheduleName, now: Timestamp) -> Result<()> {
        let name = name.as_str();
        let job = self.job(name, Timestamp::UNIX_EPOCH)?;
        let checked = self.rule(name)?.check(&job, now);
        checked.map_err(|error| renamed(error, format!("put the schedule `{name}`")))
    }

    /// Returns whether the program's part is the same, whatever its revision.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let program = |owner: &Option<Deployment>| owner.as_ref().map(|owner| owner.program.clone());
        self.when == other.when
            && self.kind == other.kind
            && self.payload.get() == other.payload.get()
            && self.job == other.job
            && program(&self.owner) == program(&other.owner)
    }

    pub(super) fn kind(&self) -> Result<Kind> {
        Kind::new(&self.kind)
    }

    pub(super) fn payload(&self) -> Payload {
        Payload::from_stored(self.payload.get())
    }

    /// The job of a slot. Its attributes name the schedule and the slot.
    pub(super) fn job(&self, name: &str, slot: Timestamp) -> Result<JobSpec> {
        self.job_with_id(name, slot, job_of_slot(name, slot))
    }

    /// The same job under another id, for a fire by hand.
    pub(super) fn job_with_id(&self, name: &str, slot: Timestamp, id: JobId) -> Result<JobSpec> {
        let JobTexts { queue, priority, max_retries, timeout_micros, backoff, unique, attributes } =
            &self.job;
        let mut attributes = attributes.clone().unwrap_or_default();
        attributes.insert("schedule".to_owned(), name.into());
        attributes.insert("slot".to_owned(), slot.to_string().into());
        let backoff = backoff.as_ref().map(|texts| {
            Backoff::new(micros(texts.base_micros), micros(texts.cap_micros)).with_jitter(texts.jitter)
        });
        let unique = unique.as_ref().map(|unique| unique.of(slot)).transpose()?;
        Ok(JobSpec::new(id, self.kind()?, self.payload())
            .run_at(slot)
            .queue(QueueName::new(queue)?)
            .priority(*priority)
            .max_retries(*max_retries)
            .timeout(whole_micros(micros(*timeout_micros)))
            .backoff(backoff)
            .unique(unique)
            .attributes(Attributes::encode(&attributes)?))
    }
}

impl UniqueTexts {
    fn of(&self, slot: Timestamp) -> Result<UniqueKey> {
        let mut unique = Unique::key(&self.key).keep(micros(self.keep_micros));
        if let Some(per) = self.per_micros {
            unique = unique.per(micros(per));
        }
        unique.resolve(slot).map_err(|fault| Error::invalid("fire a schedule", fault))
    }
}

fn renamed(error: Error, operation: String) -> Error {
    Error::invalid(operation, error.message().to_owned()).with_source(error)
}

/// A schedule as it is stored, with a new version.
pub(super) fn row(
    name: &ScheduleName,
    definition: String,
    state: &State,
    due_at: Option<Timestamp>,
) -> Result<StoredSchedule> {
    let version = ScheduleVersion::generate()?;
    Ok(StoredSchedule::new(name.clone(), version, definition, state.write()).due_at(due_at))
}

/// The deployment in the text of a definition, also if another version wrote the rest.
pub(super) fn owner_of(text: &str) -> Option<Deployment> {
    #[derive(Deserialize)]
    struct Owned {
        owner: Option<Deployment>,
    }
    serde_json::from_str::<Owned>(text).ok()?.owner
}

/// Sets a key in the text of a definition, or removes it. What another version has written stays.
pub(super) fn with_key<T: Serialize>(text: &str, key: &'static str, value: Option<&T>) -> Result<String> {
    let failed = |error: serde_json::Error| {
        Error::new(ErrorKind::Corrupt, "change a schedule", format!("its definition is no object: {error}"))
    };
    let mut keys: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(failed)?;
    match value {
        Some(value) => keys.insert(key.to_owned(), serde_json::value::to_raw_value(value).map_err(failed)?),
        None => keys.remove(key),
    };
    serde_json::to_string(&keys).map_err(failed)
}

/// Reads a text of a stored schedule.
///
/// # Errors
/// [`Corrupt`](ErrorKind::Corrupt) names the schedule. A program of another version may have
/// written it.
pub(super) fn read<T: for<'de> Deserialize<'de>>(name: &str, what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the {what} of the schedule `{name}` cannot be read: {error}");
        Error::new(ErrorKind::Corrupt, "read a schedule", message)
    })
}
