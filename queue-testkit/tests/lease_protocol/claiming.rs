//! Claims: pick jobs, check the worker, commit. `find_leases` is the query for a claim whose reply
//! was lost.

use crate::faults::Fault;
use crate::protocol::{Protocol, Reply};
use crate::rows::{Claim, Grant, Held, JOBS, Lease, Stage, State, WorkerState};

impl Protocol {
    /// Selects ready jobs for update, skipping locked ones.
    pub(crate) fn pick(self, state: &mut State, process: usize, picked: [bool; JOBS]) {
        state.processes[process].claim = Claim::Picked(picked);
        if !self.has(Fault::ClaimWithoutJobLock) {
            for job in (0..JOBS).filter(|&job| picked[job]) {
                state.jobs[job].locked_by = Some(process);
            }
        }
    }

    /// Creates the leases and charges the attempts. The claim id is new, and so is each token.
    pub(crate) fn commit_claim(self, state: &mut State, process: usize, reply: Reply) {
        let known = &mut state.processes[process];
        let Claim::Checked(picked) = std::mem::take(&mut known.claim) else { return };
        let Some(worker) = known.identity else { return };
        let mut taken = [None; JOBS];
        for job in (0..JOBS).filter(|&job| picked[job]) {
            let row = &mut state.jobs[job];
            if row.outcome().is_some() {
                continue;
            }
            state.violations.second_lease |= row.lease().is_some();
            row.past.grants += 1;
            row.attempt += 1;
            row.locked_by = None;
            row.stage = Stage::Running(Lease { grant: row.past.grants, worker });
            taken[job] = Some(row.past.grants);
        }
        state.violations.lease_for_lost_worker |= state.worker_state(worker) != WorkerState::Registered;
        match reply {
            Reply::Arrives => self.hold(state, process, taken),
            Reply::Lost => state.processes[process].claim = Claim::Unknown(taken),
        }
    }

    /// Returns the leases of the claim that are still live.
    pub(crate) fn find_leases(self, state: &mut State, process: usize) {
        let Claim::Unknown(taken) = std::mem::take(&mut state.processes[process].claim) else { return };
        let is_live = |job: usize, grant: Grant| state.jobs[job].lease().is_some_and(|l| l.grant == grant);
        let live = std::array::from_fn(|job| taken[job].filter(|&grant| is_live(job, grant)));
        self.hold(state, process, live);
    }

    fn hold(self, state: &mut State, process: usize, taken: [Option<Grant>; JOBS]) {
        let known = &mut state.processes[process];
        let Some(worker) = known.identity else { return };
        for (held, grant) in known.held.iter_mut().zip(taken) {
            let lease = |grant| Held { token: self.token(worker, grant), grant, unknown: None };
            held.extend(grant.map(lease));
        }
    }
}

impl State {
    /// Continues the claim, or rolls it back because the worker is lost.
    pub(crate) fn check_worker(&mut self, process: usize) {
        let Claim::Picked(picked) = self.processes[process].claim else { return };
        let worker = self.processes[process].identity;
        if worker.is_some_and(|worker| self.worker_state(worker) == WorkerState::Registered) {
            self.processes[process].claim = Claim::Checked(picked);
        } else {
            self.roll_claim_back(process);
            self.processes[process].identity = None;
        }
    }

    pub(crate) fn roll_claim_back(&mut self, process: usize) {
        self.processes[process].claim = Claim::None;
        for job in self.jobs.iter_mut().filter(|job| job.locked_by == Some(process)) {
            job.locked_by = None;
        }
    }
}
