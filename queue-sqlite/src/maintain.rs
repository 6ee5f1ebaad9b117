//! Maintenance in bounded steps.

use queue_core::Timestamp;
use queue_core::backend::{MaintainReply, MaintainRequest, WakeHints};

use crate::error::Outcome;
use crate::promote::{next_due_of_any, promote_all};
use crate::worker::is_in_time;
use crate::writer::command::Request;
use crate::writer::session::{Session, time};
use crate::{prune, rescue, unique_keys};

impl Request for MaintainRequest {
    type Reply = MaintainReply;

    const OPERATION: &'static str = "maintain the queue";

    fn rows(&self) -> usize {
        let prune = self.prune.as_ref().map_or(0, |prune| prune.limit);
        usize::try_from(self.promote.max(self.rescue).max(prune)).unwrap_or(usize::MAX)
    }

    fn can_look(&self, _session: &Session) -> bool {
        true
    }

    fn look(&self, session: &mut Session) -> Outcome<Option<MaintainReply>> {
        let now = time(self.now);
        let Session { connection, sweep_position, unwritable, .. } = session;
        let due = next_due_of_any(connection, unwritable, now)?;
        let is_idle = (self.promote == 0 || due.is_none_or(|due| !due.is_zero()))
            && (self.rescue == 0 || !rescue::is_needed(connection, now)?)
            && match &self.prune {
                Some(prune) => {
                    let step = prune::find(connection, *sweep_position, now, prune)?;
                    // The transaction under the lock has to find the jobs again.
                    if step.jobs.is_empty() {
                        *sweep_position = step.next;
                    }
                    step.jobs.is_empty()
                        && !prune::has_removable_workers(connection, now)?
                        && !unique_keys::have_passed(connection, now)?
                }
                None => true,
            };
        Ok(is_idle.then(|| {
            let mut reply = MaintainReply::default();
            reply.next_due = due;
            reply
        }))
    }

    fn apply(&self, session: &mut Session, hints: &mut WakeHints) -> Outcome<MaintainReply> {
        let now = time(self.now);
        let mut reply = MaintainReply::default();
        self.promote_and_rescue(session, now, hints, &mut reply)?;
        reply.ready = hints.ready();
        if let Some(prune) = &self.prune {
            let step = prune::find(&session.connection, session.sweep_position, now, prune)?;
            reply.pruned = prune::remove(session, now, &step.jobs)?;
            unique_keys::prune(&session.connection, now)?;
            session.sweep_position = step.next;
        }
        reply.next_due = next_due_of_any(&session.connection, &session.unwritable, now)?;
        Ok(reply)
    }
}

trait Steps {
    fn promote_and_rescue(
        &self,
        session: &mut Session,
        now: Timestamp,
        hints: &mut WakeHints,
        reply: &mut MaintainReply,
    ) -> Outcome<()>;
}

impl Steps for MaintainRequest {
    fn promote_and_rescue(
        &self,
        session: &mut Session,
        now: Timestamp,
        hints: &mut WakeHints,
        reply: &mut MaintainReply,
    ) -> Outcome<()> {
        let promoted = promote_all(session, now, self.promote, hints)?;
        reply.promoted = u64::from(promoted);
        let may_rescue = match self.worker {
            Some(worker) => is_in_time(&session.connection, worker, now)?,
            None => true,
        };
        if self.rescue > 0 && may_rescue {
            let rescued = rescue::rescue(session, now, self.rescue)?;
            reply.workers_lost = rescued.workers_lost;
            reply.rescued = rescued.rescued;
            reply.died = rescued.died;
            hints.append(&rescued.hints);
        }
        Ok(())
    }
}
