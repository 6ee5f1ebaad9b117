//! Settles and cancels.

use crate::faults::Fault;
use crate::protocol::{Protocol, Reply};
use crate::rows::{ATTEMPTS, Cancel, Final, Held, Job, Outcome, Seen, Stage, State, Verdict};

#[derive(PartialEq, Eq)]
enum Settled {
    Done,
    LeaseLost,
}

impl Protocol {
    /// One statement, guarded by the token. A process whose reply was lost keeps the lease, in
    /// order to repeat the settle.
    pub(crate) fn settle(
        self,
        state: &mut State,
        (process, job, held): (usize, usize, usize),
        verdict: Verdict,
        reply: Reply,
    ) {
        let lease = state.processes[process].held[job][held].clone();
        let row = &mut state.jobs[job];
        let was = row.lease().map(|lease| lease.grant);
        let settled = self.settle_row(row, &lease, verdict);
        if was != row.lease().map(|lease| lease.grant) {
            state.violations.stale_settle |= was != Some(lease.grant);
        }
        let is_repeated = row.outcome().is_some_and(|outcome| outcome.winner == Some(lease.grant));
        state.violations.refused_repeated_settle |= is_repeated && settled == Settled::LeaseLost;
        let leases = &mut state.processes[process].held[job];
        match (reply, settled) {
            (Reply::Arrives, _) => drop(leases.remove(held)),
            (Reply::Lost, Settled::Done) => leases[held].unknown = Some(verdict),
            // The result is the same as if the process had not sent the settle.
            (Reply::Lost, Settled::LeaseLost) => {}
        }
    }

    fn settle_row(self, row: &mut Job, held: &Held, verdict: Verdict) -> Settled {
        if verdict == Verdict::Complete && self.has(Fault::ResultBeforeFence) {
            row.result = Some(held.grant);
        }
        match &row.stage {
            Stage::Running(lease)
                if self.token(lease.worker, lease.grant) == held.token
                    || self.has(Fault::SettleWithoutToken) =>
            {
                self.apply(row, held, verdict);
                Settled::Done
            }
            Stage::Ended(outcome)
                if outcome.token == Some(held.token) && ended_so(verdict, outcome.state) =>
            {
                Settled::Done
            }
            _ => Settled::LeaseLost,
        }
    }

    fn apply(self, row: &mut Job, held: &Held, verdict: Verdict) {
        let token = (!self.has(Fault::OutcomeWithoutToken)).then_some(held.token);
        let outcome = |state| Outcome { state, token, winner: Some(held.grant) };
        match verdict {
            Verdict::Complete => {
                row.result = Some(held.grant);
                row.end(outcome(Final::Completed));
            }
            Verdict::Retry if row.attempt < ATTEMPTS || self.has(Fault::RetryWithoutBound) => {
                row.stage = Stage::Ready;
            }
            Verdict::Retry => row.end(outcome(Final::Dead)),
            Verdict::Cancel => row.end(outcome(Final::Cancelled)),
            Verdict::Release => {
                row.attempt -= 1;
                row.past.refunds += 1;
                row.stage = Stage::Ready;
            }
        }
    }

    /// Cancels a waiting job, and sets the flag on a running one. A finished job stays unchanged.
    pub(crate) fn commit_cancel(self, state: &mut State) {
        let Some(Cancel { job, seen }) = state.cancel.take() else { return };
        let row = &mut state.jobs[job];
        let seen = if self.has(Fault::CancelWithoutReread) { seen } else { see(row) };
        match (seen, row.outcome()) {
            (Seen::Waiting, None) => {
                state.violations.cancelled_while_running |= row.lease().is_some();
                row.end(Outcome { state: Final::Cancelled, token: None, winner: None });
                row.past.cancelled_after = Some(row.past.grants);
            }
            (Seen::Running, None) => row.cancel_wanted = true,
            (Seen::Ended, _) | (_, Some(_)) => {}
        }
    }
}

impl State {
    pub(crate) fn read_for_cancel(&mut self, job: usize) {
        self.cancel = Some(Cancel { job, seen: see(&self.jobs[job]) });
    }
}

fn see(row: &Job) -> Seen {
    match row.stage {
        Stage::Ready => Seen::Waiting,
        Stage::Running(_) => Seen::Running,
        Stage::Ended(_) => Seen::Ended,
    }
}

fn ended_so(verdict: Verdict, state: Final) -> bool {
    match verdict {
        Verdict::Complete => state == Final::Completed,
        Verdict::Retry => state == Final::Dead,
        Verdict::Cancel => state == Final::Cancelled,
        Verdict::Release => false,
    }
}
