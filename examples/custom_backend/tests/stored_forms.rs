//! Checks the table in `docs/types-of-the-contract.md`: each type survives its stored form, and
//! damaged data is refused where the table says so.

use std::time::Duration;

use queue_core::backend::{ScheduleVersion, StoredSchedule};
use queue_core::{
    Attributes, Backoff, ClaimId, ErrorKind, JobId, JobState, Kind, Payload, Progress, QueueName, Result,
    ScheduleName, Timestamp, UniqueKey, WorkerId, saturating_micros,
};

/// A backend must turn this error into `Corrupt`.
fn is_refused<T>(damaged: Result<T>) {
    assert_eq!(damaged.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
}

#[test]
fn ids_survive_as_bytes_and_as_text() {
    let (job, worker) = (JobId::generate(), WorkerId::generate());
    assert_eq!(JobId::from_bytes(job.to_bytes()), job);
    assert_eq!(WorkerId::from_bytes(worker.to_bytes()), worker);
    let claim = ClaimId::generate().unwrap();
    assert_eq!(ClaimId::from_bytes(claim.to_bytes()), claim);
    assert_eq!(job.to_string().parse::<JobId>().unwrap(), job);
    assert_eq!(worker.to_string().parse::<WorkerId>().unwrap(), worker);
    is_refused("?".parse::<JobId>());
}

#[test]
fn names_survive_as_text() {
    let (queue, kind) = (QueueName::new("Größe").unwrap(), Kind::new("größe").unwrap());
    assert_eq!(QueueName::new(queue.as_str()).unwrap(), queue);
    assert_eq!(Kind::new(kind.as_str()).unwrap(), kind);
    is_refused(QueueName::new(""));
    is_refused(Kind::new("two words"));
}

#[test]
fn json_survives_byte_for_byte() {
    let payload = Payload::json(r#" {"b": 1e400, "a": "\u0000"} "#).unwrap();
    assert_eq!(Payload::from_stored(payload.as_str()), payload);
    let attributes = Attributes::json(r#"{"b": 1.0, "a": [ ]}"#).unwrap();
    assert_eq!(Attributes::from_stored(attributes.as_str()), attributes);
    // Not checked, because a check of each claimed payload would cost time.
    assert_eq!(Payload::from_stored("{").as_str(), "{");
}

#[test]
fn times_survive_as_microseconds() {
    for time in [Timestamp::UNIX_EPOCH, Timestamp::now(), Timestamp::MAX] {
        assert_eq!(Timestamp::from_micros(time.as_micros()).unwrap(), time);
    }
    is_refused(Timestamp::from_micros(-1));
    let timeout = Duration::from_micros(1_000_001);
    let stored = u64::try_from(saturating_micros(timeout)).unwrap();
    assert_eq!(Duration::from_micros(stored), timeout);
    let now = Timestamp::now();
    assert_eq!(now.saturating_add(Duration::MAX), Timestamp::MAX, "a delay that no time can hold");
}

#[test]
fn backoff_survives_in_three_parts() {
    let backoff = Backoff::new(Duration::from_nanos(1), Duration::MAX).with_jitter(7);
    let parts = (backoff.base(), backoff.cap(), backoff.jitter());
    assert_eq!(Backoff::from_stored(parts.0, parts.1, parts.2).unwrap(), backoff);
    is_refused(Backoff::from_stored(parts.1, parts.0, parts.2));
}

#[test]
fn state_survives_as_its_name() {
    for &state in JobState::ALL {
        assert_eq!(state.as_str().parse::<JobState>().unwrap(), state);
    }
    is_refused("resting".parse::<JobState>());
}

#[test]
fn numbers_survive_at_their_ends() {
    let Progress { done, total } = Progress { done: u64::MAX, total: u64::MAX };
    let signed = (done.cast_signed(), total.cast_signed());
    assert_eq!((signed.0.cast_unsigned(), signed.1.cast_unsigned()), (done, total));
    let mut priorities = [0, i16::MIN, i16::MAX];
    priorities.sort_by_key(|priority: &i16| !priority);
    assert_eq!(priorities, [i16::MAX, 0, i16::MIN], "the complement sorts the most urgent first");
}

#[test]
fn unique_key_survives_as_text_and_duration() {
    let key = UniqueKey::new("order 7", Duration::from_secs(60)).unwrap();
    assert_eq!(UniqueKey::from_stored(key.as_str(), key.keep()), key);
}

#[test]
fn schedule_survives_in_its_parts() {
    let version = ScheduleVersion::generate().unwrap();
    assert_eq!(ScheduleVersion::from_bytes(version.to_bytes()), version);
    let (name, texts) = (ScheduleName::new("nightly").unwrap(), (r#"{ "a" : 1 }"#, "{}"));
    let schedule = StoredSchedule::new(name, version, texts.0.to_owned(), texts.1.to_owned());
    assert_eq!((&*schedule.definition, &*schedule.state), texts);
    assert_eq!(schedule.due_at, None, "it is never due unless that is set");
}
