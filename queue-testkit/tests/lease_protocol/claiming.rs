//! Claims: pick, then check the worker and commit; and the question for a claim whose reply was lost.

use crate::faults::Fault;
use crate::protocol::{Protocol, Reply};
use crate::rows::{Claim, Grant, Held, JOBS, Lease, Stage, Standing, State};

impl Protocol {
    /// Selects ready jobs for update, skipping what is locked.
    pub(crate) fn pick(self, state: &mut State, process: usize, picked: [bool; JOBS]) {
        state.processes[process].claim = Claim::Picked(picked);
        if !self.has(Fault::ClaimWithoutJobLock) {
            for job in (0..JOBS).filter(|&job| picked[job]) {
                state.jobs[job].locked_by = Some(process);
            }
        }
    }

    /// Gives the leases and charges the attempts. The claim id is new, so each token is.
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
            state.wrongs.second_lease |= row.lease().is_some();
            row.past.grants += 1;
            row.attempt += 1;
            row.locked_by = None;
            row.stage = Stage::Running(Lease { grant: row.past.grants, worker });
            taken[job] = Some(row.past.grants);
        }
        state.wrongs.lease_for_the_lost |= state.standing(worker) != Standing::Registered;
        match reply {
            Reply::Arrives => self.hold(state, process, taken),
            Reply::Lost => state.processes[process].claim = Claim::Unknown(taken),
        }
    }

    /// Those leases of the claim that are still live.
    pub(crate) fn adopt(self, state: &mut State, process: usize) {
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
    /// Goes on, or learns that the worker is lost.
    pub(crate) fn check_worker(&mut self, process: usize) {
        let Claim::Picked(picked) = self.processes[process].claim else { return };
        let worker = self.processes[process].identity;
        if worker.is_some_and(|worker| self.standing(worker) == Standing::Registered) {
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
