//! What one notification says.

use std::time::Duration;

use queue_core::backend::{Hint, WakeHints};
use queue_core::{JobId, QueueName, Timestamp, saturating_micros};
use serde::{Deserialize, Serialize};

use super::LocalWaker;

/// PostgreSQL's limit is 8000 bytes.
const MOST_BYTES: usize = 7500;

/// The text of a notification, the same in every version: SQL writes it too.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Message {
    /// The handle that sends it, which has told its own process already.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Queue, priority, the least time to run in microseconds since 1970, and in how many microseconds it is due.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ready: Vec<(String, i16, i64, i64)>,
    /// Running jobs that somebody wants cancelled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cancels: Vec<JobId>,
    /// Something changed, and there is no room to say what.
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
        unknown: hints.is_unknown(),
    };
    match serde_json::to_string(&message) {
        Ok(text) if text.len() <= MOST_BYTES => text,
        _ => format!(r#"{{"from":"{from}","unknown":true}}"#),
    }
}

/// Tells this process what a notification says; one that cannot be read may say anything. Answers which cancels it names:
/// they end jobs, and anybody may send a notification, so that they are the database's to say.
pub(super) fn take_in(local: &LocalWaker, text: &str, ourselves: &str) -> Vec<JobId> {
    let Ok(message) = serde_json::from_str::<Message>(text) else {
        local.unknown();
        return Vec::new();
    };
    if message.from.as_deref() == Some(ourselves) {
        return Vec::new();
    }
    let hints: Option<WakeHints> = message.ready.iter().map(hint).collect();
    match hints {
        Some(hints) if !message.unknown => local.wake(&hints),
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
    fn another_process_is_told_what_was_folded() {
        let job = JobId::generate();
        let mut hints = WakeHints::from_iter([ready(0, 9, 0), ready(0, 5, 0), ready(3, 50, 40)]);
        hints.add_cancel(job);
        let (hub, local) = local_waker();
        let mut receiver = hub.subscribe();
        assert_eq!(take_in(&local, &text(&hints, "them"), "us"), [job]);
        let wakes = receiver.take();
        assert_eq!(wakes.ready, [ready(0, 5, 0)]);
        assert_eq!(wakes.due_in, Some(Duration::from_micros(40)));
        assert!(wakes.cancels.is_empty() && !wakes.unknown, "{wakes:?}");
        assert_eq!(take_in(&local, &text(&hints, "us"), "us"), []);
        assert!(receiver.take().is_empty(), "what this handle sent, it knows");
    }

    #[test]
    fn what_does_not_fit_or_cannot_be_read_is_unknown() {
        let hints = (0..1000).map(|priority| ready(priority, 5, 0)).collect();
        let text = text(&hints, "them");
        assert!(text.len() < MOST_BYTES);
        for text in [text.as_str(), "nonsense", r#"{"ready":[["",0,5,0]]}"#, r#"{"ready":[["a",0,-5,0]]}"#] {
            let (hub, local) = local_waker();
            let mut receiver = hub.subscribe();
            assert_eq!(take_in(&local, text, "us"), []);
            assert!(receiver.take().unknown, "{text}");
        }
    }
}
