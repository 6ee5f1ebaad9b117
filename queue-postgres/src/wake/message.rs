//! The text of a notification.

use std::time::Duration;

use queue_core::backend::{Hint, WakeHints};
use queue_core::{JobId, QueueName, Timestamp, saturating_micros};
use serde::{Deserialize, Serialize};

use super::LocalWaker;

/// Maximum size of a notification in bytes. PostgreSQL allows less than 8000.
const MAX_BYTES: usize = 7500;

/// The content of a notification. All versions share this format, because SQL writes it too.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Message {
    /// The sending handle, which has already woken its own process.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Queue, priority, least `run_at` in microseconds since 1970, and microseconds until it is
    /// due.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ready: Vec<(String, i16, i64, i64)>,
    /// Running jobs with a cancel request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancels: Vec<JobId>,
    /// Watched jobs that have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    finished: Vec<JobId>,
    /// Set if more watched jobs have ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_finished: bool,
    /// Set if the changes do not fit into the message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
}

/// The text that notifies other processes of these hints.
pub(super) fn text(hints: &WakeHints, from: &str) -> String {
    let level = |hint: Hint| {
        let Hint { queue, priority, run_at, due_in, .. } = hint;
        (queue.to_string(), priority, run_at.as_micros(), saturating_micros(due_in))
    };
    let message = Message {
        from: Some(from.to_owned()),
        ready: hints.hints().map(level).collect(),
        cancels: hints.cancels().to_vec(),
        finished: hints.finished().to_vec(),
        more_finished: hints.has_more_finished(),
        unknown: hints.is_unknown(),
    };
    match serde_json::to_string(&message) {
        Ok(text) if text.len() <= MAX_BYTES => text,
        _ => format!(r#"{{"from":"{from}","unknown":true}}"#),
    }
}

/// Wakes the workers and callers of this process by a notification. An unreadable one wakes all of
/// them. Returns the cancels that it names. The caller must look them up in the database, because
/// any role may send a notification. Callers that wait for jobs look up the ends themselves.
pub(super) fn apply(local: &LocalWaker, text: &str, own_id: &str) -> Vec<JobId> {
    let Ok(message) = serde_json::from_str::<Message>(text) else {
        local.unknown();
        return Vec::new();
    };
    if message.from.as_deref() == Some(own_id) {
        return Vec::new();
    }
    let hints: Option<WakeHints> = message.ready.iter().map(hint).collect();
    match hints {
        Some(mut hints) if !message.unknown => {
            message.finished.iter().for_each(|job| hints.add_finished(*job));
            if message.more_finished {
                hints.add_more_finished();
            }
            local.wake(&hints);
        }
        _ => local.unknown(),
    }
    message.cancels
}

fn hint((queue, priority, run_at, due_in): &(String, i16, i64, i64)) -> Option<Hint> {
    Some(
        Hint::new(QueueName::new(queue).ok()?, *priority, Timestamp::from_micros(*run_at).ok()?)
            .due_in(Duration::from_micros(u64::try_from(*due_in).ok()?)),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use queue_core::backend::WakeHub;

    use super::*;
    use crate::positions::Positions;

    fn local_waker() -> (WakeHub, LocalWaker) {
        let hub = WakeHub::new();
        let positions = Arc::new(Positions::new(Duration::ZERO, 1));
        (hub.clone(), LocalWaker::new(hub, positions))
    }

    fn ready(priority: i16, run_at: i64, due_in: u64) -> Hint {
        let run_at = Timestamp::from_micros(run_at).unwrap();
        Hint::new(QueueName::default(), priority, run_at).due_in(Duration::from_micros(due_in))
    }

    #[test]
    fn merged_hints_survive_the_message() {
        let job = JobId::generate();
        let mut hints = WakeHints::from_iter([ready(0, 9, 0), ready(0, 5, 0), ready(3, 50, 40)]);
        hints.add_cancel(job);
        hints.add_finished(job);
        hints.add_more_finished();
        let (hub, local) = local_waker();
        let mut receiver = hub.subscribe();
        assert_eq!(apply(&local, &text(&hints, "them"), "us"), [job]);
        let wakes = receiver.take();
        assert_eq!(wakes.ready, [ready(0, 5, 0)]);
        assert_eq!(wakes.due_in, Some(Duration::from_micros(40)));
        assert_eq!((wakes.finished, wakes.more_finished), (vec![job], true));
        assert!(wakes.cancels.is_empty() && !wakes.unknown);
        assert_eq!(apply(&local, &text(&hints, "us"), "us"), []);
        assert!(receiver.take().is_empty(), "a handle ignores its own notifications");
    }

    #[test]
    fn unreadable_or_too_large_is_unknown() {
        let hints = (0..1000).map(|priority| ready(priority, 5, 0)).collect();
        let text = text(&hints, "them");
        assert!(text.len() < MAX_BYTES);
        for text in [text.as_str(), "nonsense", r#"{"ready":[["",0,5,0]]}"#, r#"{"ready":[["a",0,-5,0]]}"#] {
            let (hub, local) = local_waker();
            let mut receiver = hub.subscribe();
            assert_eq!(apply(&local, text, "us"), []);
            assert!(receiver.take().unknown, "{text}");
        }
    }
}
