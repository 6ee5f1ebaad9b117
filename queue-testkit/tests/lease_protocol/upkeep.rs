//! The life of a worker, and the rescue of its jobs.

use crate::faults::Fault;
use crate::protocol::{Limit, Protocol, Reply, workers};
use crate::rows::{
    ATTEMPTS, Claim, Final, JOBS, Outcome, Process, Rescue, Stage, State, Verdict, WorkerId, WorkerState,
};

impl State {
    pub(crate) fn register(&mut self, process: usize) {
        let known = &mut self.processes[process];
        let worker = WorkerId { process, life: known.lives };
        known.identity = Some(worker);
        known.lives += 1;
        self.set_worker_state(worker, WorkerState::Registered);
    }

    /// The process ends; its worker's row and leases stay.
    pub(crate) fn crash(&mut self, process: usize) {
        self.roll_claim_back(process);
        let lives = self.processes[process].lives;
        self.processes[process] = Process { lives, ..Process::default() };
    }

    /// A worker that is not lost stays alive, however late its heartbeat is. The process of a lost
    /// worker keeps its leases here, because a slow process may still settle them.
    pub(crate) fn heartbeat(&mut self, process: usize) {
        let Some(worker) = self.processes[process].identity else { return };
        match self.worker_state(worker) {
            WorkerState::Registered => {
                let rescues = self.rescue.iter_mut().filter(|rescue| rescue.worker == worker);
                rescues.for_each(|rescue| rescue.has_beaten = true);
            }
            WorkerState::Unknown | WorkerState::Lost => {
                self.roll_claim_back(process);
                self.processes[process].identity = None;
            }
        }
    }

    /// Locks the worker's row. Its expiry was checked under the lock.
    pub(crate) fn begin_rescue(&mut self, worker: WorkerId) {
        self.rescue = Some(Rescue { worker, seen: self.leases_of(worker), has_beaten: false });
    }
}

impl Protocol {
    /// A worker can be rescued if it is alive, because it may have expired, or if it is lost with
    /// leases left.
    pub(crate) fn can_be_rescued(self, state: &State, worker: WorkerId) -> bool {
        match state.worker_state(worker) {
            WorkerState::Registered => true,
            WorkerState::Lost => {
                !self.has(Fault::RescueForgetsTheRest) && state.leases_of(worker).contains(&true)
            }
            WorkerState::Unknown => false,
        }
    }

    /// Marks the worker as lost, and moves its leases in the same transaction.
    pub(crate) fn commit_rescue(self, state: &mut State, limit: Limit) {
        let Some(Rescue { worker, seen, has_beaten }) = state.rescue.take() else { return };
        let held = state.leases_of(worker);
        let moved = if self.has(Fault::RescueWithoutReread) { seen } else { held };
        let limit = match limit {
            Limit::One => 1,
            Limit::All => JOBS,
        };
        for job in (0..JOBS).filter(|&job| moved[job]).take(limit) {
            state.violations.taken_from_live_worker |= has_beaten;
            self.rescue_job(state, job);
        }
        state.set_worker_state(worker, WorkerState::Lost);
    }

    /// The attempt stays charged, and the job has no winner.
    pub(crate) fn rescue_job(self, state: &mut State, job: usize) {
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

    /// The end of a run without further mishaps. All processes are dead, their workers expire, and
    /// a new process finishes the jobs.
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
        // The first process acts as the new one, with an unlimited number of registrations.
        let worker = WorkerId { process: 0, life: 0 };
        state.set_worker_state(worker, WorkerState::Registered);
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
