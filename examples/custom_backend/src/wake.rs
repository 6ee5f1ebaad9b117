//! What a transaction makes ready, told to the workers once it is committed.

use std::collections::BTreeMap;

use queue_core::backend::{Hint, WakeHub};
use queue_core::{JobId, QueueName, State, Timestamp};

use crate::rows::Live;

/// The news of one request: a hint a queue and priority, however many jobs there are.
#[derive(Debug, Default)]
pub(crate) struct News {
    ready: BTreeMap<(QueueName, i16), Timestamp>,
    waiting: Option<Hint>,
    cancels: Vec<JobId>,
    is_resumed: bool,
}

impl News {
    /// A job came to stand so.
    pub(crate) fn of_job(&mut self, live: &Live, now: Timestamp) {
        let due_in = now.until(live.run_at);
        if live.state == State::Ready || due_in.is_zero() {
            let level = (live.queue.clone(), live.priority);
            let least = self.ready.entry(level).or_insert(live.run_at);
            *least = live.run_at.min(*least);
        } else if self.waiting.as_ref().is_none_or(|hint| due_in < hint.due_in) {
            let Live { run_at, priority, .. } = *live;
            self.waiting = Some(Hint::new(live.queue.clone(), priority, run_at).due_in(due_in));
        }
    }

    /// Somebody wants a running job cancelled.
    pub(crate) fn of_cancel(&mut self, job: JobId) {
        self.cancels.push(job);
    }

    /// A queue gives jobs again, whichever it has.
    pub(crate) fn of_resumed_queue(&mut self) {
        self.is_resumed = true;
    }

    /// What became ready.
    pub(crate) fn ready(&self) -> Vec<Hint> {
        let hint = |(level, run_at): (&(QueueName, i16), &Timestamp)| {
            Hint::new(level.0.clone(), level.1, *run_at).due_in(std::time::Duration::ZERO)
        };
        self.ready.iter().map(hint).collect()
    }

    /// Tells it. To be called after the commit, or a worker looks too early and finds nothing.
    pub(crate) fn announce(&self, hub: &WakeHub) {
        hub.announce(&self.ready());
        hub.announce(self.waiting.as_slice());
        hub.announce_cancels(&self.cancels);
        if self.is_resumed {
            hub.announce_unknown();
        }
    }
}
