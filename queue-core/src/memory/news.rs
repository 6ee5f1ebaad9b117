//! What a transaction has to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backend::{Hint, WakeHub};
use crate::{JobId, JobSpec, QueueName, Timestamp};

/// Folded by queue and priority, so that it stays small however many jobs a transaction concerns.
#[derive(Default)]
pub(super) struct News {
    ready: BTreeMap<(QueueName, i16), Timestamp>,
    later: BTreeMap<(QueueName, i16), (Timestamp, Duration)>,
    pub(super) cancels: Vec<JobId>,
}

impl News {
    pub(super) fn hint(&mut self, job: &JobSpec, run_at: Timestamp, now: Timestamp) {
        let level = (job.queue.clone(), job.priority);
        let due_in = now.until(run_at);
        if due_in.is_zero() {
            let least = self.ready.entry(level).or_insert(run_at);
            *least = run_at.min(*least);
        } else {
            let least = self.later.entry(level).or_insert((run_at, due_in));
            *least = (run_at, due_in).min(*least);
        }
    }

    /// One hint for each queue and priority with ready jobs.
    pub(super) fn ready_hints(&self) -> Vec<Hint> {
        let hint = |((queue, priority), run_at): (&(QueueName, i16), &Timestamp)| Hint {
            queue: queue.clone(),
            priority: *priority,
            run_at: *run_at,
            due_in: Duration::ZERO,
        };
        self.ready.iter().map(hint).collect()
    }

    pub(super) fn announce(self, hub: &WakeHub) {
        let mut hints = self.ready_hints();
        let later = |((queue, priority), (run_at, due_in))| Hint { queue, priority, run_at, due_in };
        hints.extend(self.later.into_iter().map(later));
        hub.announce(&hints);
        hub.announce_cancels(&self.cancels);
    }
}
