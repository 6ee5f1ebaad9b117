//! The life of a worker, and what rescues its jobs.

use crate::faults::Fault;
use crate::protocol::{Limit, Protocol, Reply, workers};
use crate::rows::{
    ATTEMPTS, Claim, Final, JOBS, Outcome, Process, Rescue, Stage, Standing, State, Verdict, WorkerId,
};

impl State {
    pub(crate) fn register(&mut self, process: usize) {
        let known = &mut self.processes[process];
        let worker = WorkerId { process, life: known.lives };
        known.identity = Some(worker);
        known.lives += 1;
        self.set_standing(worker, Standing::Registered);
    }

    /// The process is gone; its row and its leases stay.
    pub(crate) fn crash(&mut self, process: usize) {
        self.roll_claim_back(process);
        let lives = self.processes[process].lives;
        self.processes[process] = Process { lives, ..Process::default() };
    }

    /// A worker that was not given up lives on, however late. One that was keeps what it holds here: whatever
    /// a process drops in good time, a slow one would still settle.
    pub(crate) fn heartbeat(&mut self, process: usize) {
        let Some(worker) = self.processes[process].identity else { return };
        match self.standing(worker) {
            Standing::Registered => {
                let rescues = self.rescue.iter_mut().filter(|rescue| rescue.worker == worker);
                rescues.for_each(|rescue| rescue.has_beaten = true);
            }
            Standing::Unknown | Standing::Lost => {
                self.roll_claim_back(process);
                self.processes[process].identity = None;
            }
        }
    }

    /// Locks the row, whose expiry was checked under the lock.
    pub(crate) fn begin_rescue(&mut self, worker: WorkerId) {
        self.rescue = Some(Rescue { worker, seen: self.leases_of(worker), has_beaten: false });
    }
}

impl Protocol {
    /// Expired, as every worker can be at any time, or given up before and not yet rid of all leases.
    pub(crate) fn can_be_rescued(self, state: &State, worker: WorkerId) -> bool {
        match state.standing(worker) {
            Standing::Registered => true,
            Standing::Lost => {
                !self.has(Fault::RescueForgetsTheRest) && state.leases_of(worker).contains(&true)
            }
            Standing::Unknown => false,
        }
    }

    /// Marks the worker lost for good, and moves its leases in the same transaction.
    pub(crate) fn commit_rescue(self, state: &mut State, limit: Limit) {
        let Some(Rescue { worker, seen, has_beaten }) = state.rescue.take() else { return };
        let held = state.leases_of(worker);
        let moved = if self.has(Fault::RescueWithoutReread) { seen } else { held };
        let limit = match limit {
            Limit::One => 1,
            Limit::All => JOBS,
        };
        for job in (0..JOBS).filter(|&job| moved[job]).take(limit) {
            state.wrongs.taken_from_the_living |= has_beaten;
            self.take_back(state, job);
        }
        state.set_standing(worker, Standing::Lost);
    }

    /// The attempt stays charged, and nobody has won.
    pub(crate) fn take_back(self, state: &mut State, job: usize) {
        let row = &mut state.jobs[job];
        if self.has(Fault::RescueRefunds) {
            row.attempt = row.attempt.saturating_sub(1);
        }
        if row.attempt < ATTEMPTS {
            row.stage = Stage::Ready;
        } else {
            row.end(Outcome { state: Final::Dead, token: None, winner: None });
        }
    }

    /// From here, without any further fault: all processes are dead, their workers expire, and a new process does what
    /// is left to do. The end of it.
    pub(crate) fn after_recovery(self, state: &State) -> State {
        let mut state = state.clone();
        state.rescue = None;
        state.cancel = None;
        for process in 0..state.processes.len() {
            state.crash(process);
        }
        for worker in workers() {
            if self.can_be_rescued(&state, worker) {
                state.begin_rescue(worker);
                self.commit_rescue(&mut state, Limit::All);
            }
        }
        // The new process is the first one, as if it had lives without end.
        let worker = WorkerId { process: 0, life: 0 };
        state.set_standing(worker, Standing::Registered);
        state.processes[0].identity = Some(worker);
        for job in 0..JOBS {
            if state.jobs[job].stage == Stage::Ready {
                state.processes[0].claim = Claim::Checked(std::array::from_fn(|each| each == job));
                self.commit_claim(&mut state, 0, Reply::Arrives);
                self.settle(&mut state, (0, job, 0), Verdict::Complete, Reply::Arrives);
            }
        }
        state
    }
}
