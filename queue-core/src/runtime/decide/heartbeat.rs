//! What a worker does after each heartbeat.

use std::time::{Duration, Instant};

use crate::backend::{Beat, HeartbeatReply};
use crate::runtime::decide::deadline::later;
use crate::{ErrorKind, Result};

/// A worker that holds no lease registers again after this many replies in a row that count leases:
/// nothing in it would ever settle them, so they have to expire.
const FORGOTTEN_BEATS: u32 = 2;

/// What to do after a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeartbeatStep {
    /// Send the next heartbeat after this long.
    BeatIn(Duration),
    /// Register again: the worker is lost, or has leases that it does not know.
    RegisterAgain,
}

/// The heartbeats of one registration.
#[derive(Debug)]
pub(crate) struct HeartbeatSchedule {
    interval: Duration,
    expiry: Duration,
    forgotten_beats: u32,
    no_rescue_before: Option<Instant>,
}

impl HeartbeatSchedule {
    pub(crate) const fn new(interval: Duration, expiry: Duration) -> Self {
        Self { interval, expiry, forgotten_beats: 0, no_rescue_before: None }
    }

    /// Decides from the reply to a heartbeat, and from whether the worker holds any lease.
    pub(crate) fn after(
        &mut self,
        reply: &Result<HeartbeatReply>,
        holds_lease: bool,
        now: Instant,
    ) -> HeartbeatStep {
        match reply {
            Ok(reply) => {
                if reply.beat == Beat::Late {
                    self.no_rescue_before = Some(later(now, self.expiry));
                }
                let has_forgotten = reply.leases > 0 && !holds_lease;
                self.forgotten_beats = if has_forgotten { self.forgotten_beats + 1 } else { 0 };
                if self.forgotten_beats >= FORGOTTEN_BEATS {
                    HeartbeatStep::RegisterAgain
                } else {
                    HeartbeatStep::BeatIn(self.interval)
                }
            }
            Err(error) if error.kind() == ErrorKind::WorkerLost => HeartbeatStep::RegisterAgain,
            // So that several tries fit into an expiry.
            Err(_) => HeartbeatStep::BeatIn(self.interval / 5),
        }
    }

    /// Whether this worker may judge other workers by their heartbeats. A worker that is late
    /// itself must not, because then all of them may have been late for the same cause.
    pub(crate) fn may_rescue(&self, now: Instant) -> bool {
        self.no_rescue_before.is_none_or(|before| before <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::HeartbeatStep::{BeatIn, RegisterAgain};
    use super::*;
    use crate::Error;

    const INTERVAL: Duration = Duration::from_secs(5);
    const EXPIRY: Duration = Duration::from_secs(15);

    fn schedule() -> HeartbeatSchedule {
        HeartbeatSchedule::new(INTERVAL, EXPIRY)
    }

    fn reply(beat: Beat, leases: u64) -> Result<HeartbeatReply> {
        Ok(HeartbeatReply::new(beat, Vec::new(), leases, None))
    }

    #[test]
    fn failed_heartbeat_is_retried_soon() {
        let (mut schedule, now) = (schedule(), Instant::now());
        assert_eq!(schedule.after(&reply(Beat::InTime, 3), true, now), BeatIn(INTERVAL));
        let unavailable = Err(Error::new(ErrorKind::Unavailable, "send a heartbeat", "no server"));
        assert_eq!(schedule.after(&unavailable, true, now), BeatIn(Duration::from_secs(1)));
    }

    #[test]
    fn lost_worker_registers_again() {
        let lost = Err(Error::new(ErrorKind::WorkerLost, "send a heartbeat", "lost"));
        assert_eq!(schedule().after(&lost, true, Instant::now()), RegisterAgain);
    }

    #[test]
    fn late_heartbeat_forbids_rescue_for_one_expiry() {
        let (mut schedule, now) = (schedule(), Instant::now());
        assert!(schedule.may_rescue(now));
        schedule.after(&reply(Beat::Late, 0), false, now);
        schedule.after(&reply(Beat::InTime, 0), false, now + INTERVAL);
        assert!(!schedule.may_rescue(now + EXPIRY - Duration::from_millis(1)));
        assert!(schedule.may_rescue(now + EXPIRY));
    }

    #[test]
    fn worker_with_forgotten_leases_registers_again() {
        let (mut schedule, now) = (schedule(), Instant::now());
        let mut after_one_lease = |holds_lease| schedule.after(&reply(Beat::InTime, 1), holds_lease, now);
        assert_eq!(after_one_lease(false), BeatIn(INTERVAL));
        assert_eq!(after_one_lease(true), BeatIn(INTERVAL));
        assert_eq!(after_one_lease(false), BeatIn(INTERVAL));
        assert_eq!(after_one_lease(false), RegisterAgain);
    }
}
