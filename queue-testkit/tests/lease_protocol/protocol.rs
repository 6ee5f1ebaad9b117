//! The actions that are possible in a state.

use stateright::{Model, Property};

use crate::faults::Fault;
use crate::promises;
use crate::rows::{
    Claim, Grant, Held, JOBS, MISHAPS, PROCESSES, REFUNDS, REGISTRATIONS, REGISTRATIONS_PER_PROCESS, Stage,
    State, Token, Verdict, WorkerId, WorkerState,
};

/// The protocol, or the protocol with a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) fault: Option<Fault>,
}

/// One step of one participant. Any other action may occur between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process registers a new worker.
    Register(usize),
    /// The process is killed. Its open transaction is rolled back, and its memory is lost.
    Crash(usize),
    Heartbeat(usize),
    PickJobs(usize, [bool; JOBS]),
    CheckWorker(usize),
    CommitClaim(usize, Reply),
    /// The process queries the leases of a claim whose reply was lost.
    FindLeases(usize),
    Settle {
        process: usize,
        job: usize,
        held: usize,
        verdict: Verdict,
        reply: Reply,
    },
    /// The worker has sent no heartbeat for too long, and a rescue has found it.
    BeginRescue(WorkerId),
    CommitRescue(Limit),
    RollRescueBack,
    /// A lease has passed its deadline, and a rescue takes it, even from a live worker.
    RescueOverdue(usize),
    Cancel(usize),
    ReadForCancel(usize),
    CommitCancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Arrives,
    Lost,
}

/// The most leases that one rescue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    One,
    All,
}

impl Protocol {
    pub(crate) fn has(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The token of a worker's lease.
    pub(crate) fn token(self, worker: WorkerId, grant: Grant) -> Token {
        Token { worker, grant: if self.has(Fault::TokenReused) { 0 } else { grant } }
    }

    fn process_actions(self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let known = &state.processes[process];
        match known.identity {
            None if known.lives < REGISTRATIONS_PER_PROCESS && state.registrations() < REGISTRATIONS => {
                actions.push(Action::Register(process));
            }
            None => {}
            Some(worker) => self.worker_actions(state, worker, actions),
        }
        for job in 0..JOBS {
            if state.jobs[job].locked_by.is_some() {
                continue;
            }
            for (held, lease) in known.held[job].iter().enumerate() {
                for verdict in verdicts(state, job, lease) {
                    for reply in [Reply::Arrives, Reply::Lost] {
                        actions.push(Action::Settle { process, job, held, verdict, reply });
                    }
                }
            }
        }
    }

    fn worker_actions(self, state: &State, worker: WorkerId, actions: &mut Vec<Action>) {
        let process = worker.process;
        actions.push(Action::Crash(process));
        // A heartbeat and the check of a claim wait for the lock on the worker's row.
        let is_free = !state.is_being_rescued(worker) || self.has(Fault::RescueWithoutWorkerLock);
        let has_effect = state.worker_state(worker) == WorkerState::Lost || state.is_being_rescued(worker);
        if is_free && has_effect {
            actions.push(Action::Heartbeat(process));
        }
        match &state.processes[process].claim {
            Claim::None => self.picks(state, process, actions),
            Claim::Picked(_) if !is_free => {}
            // The work of a transaction under its locks is one step. Without the lock it is two.
            Claim::Picked(_) if self.has(Fault::ClaimWithoutWorkerLock) => {
                actions.push(Action::CheckWorker(process));
            }
            Claim::Picked(_) | Claim::Checked(_) => {
                actions
                    .extend([Reply::Arrives, Reply::Lost].map(|reply| Action::CommitClaim(process, reply)));
            }
            Claim::Unknown(_) => actions.push(Action::FindLeases(process)),
        }
    }

    /// Any ready jobs whose rows are not locked, because the model does not cover the claim order.
    fn picks(self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let can_pick = |job: usize| {
            let row = &state.jobs[job];
            row.stage == Stage::Ready && (row.locked_by.is_none() || self.has(Fault::ClaimWithoutJobLock))
        };
        for picked in [[true, false], [false, true], [true, true]] {
            if (0..JOBS).all(|job| !picked[job] || can_pick(job)) {
                actions.push(Action::PickJobs(process, picked));
            }
        }
    }

    fn rescue_actions(self, state: &State, actions: &mut Vec<Action>) {
        if state.rescue.is_some() {
            let commits = [Limit::One, Limit::All].map(Action::CommitRescue);
            actions.extend(commits);
            actions.push(Action::RollRescueBack);
            return;
        }
        for worker in workers() {
            if self.can_be_rescued(state, worker) {
                actions.push(Action::BeginRescue(worker));
            }
        }
    }
}

impl Protocol {
    /// A cancel reads, waits for the lock, and reads again. The two reads are one step, because the
    /// first has no effect. With the fault the second read is missing, and there are two steps.
    fn cancel_actions(self, state: &State, actions: &mut Vec<Action>) {
        let is_free = |job: usize| state.jobs[job].locked_by.is_none();
        match &state.cancel {
            Some(cancel) if is_free(cancel.job) => actions.push(Action::CommitCancel),
            Some(_) => {}
            None => {
                let may_end =
                    |job: &usize| state.jobs[*job].outcome().is_none() && !state.jobs[*job].cancel_wanted;
                for job in (0..JOBS).filter(may_end) {
                    if self.has(Fault::CancelWithoutReread) {
                        actions.push(Action::ReadForCancel(job));
                    } else if is_free(job) {
                        actions.push(Action::Cancel(job));
                    }
                }
            }
        }
    }
}

/// The verdicts that a process may send for a lease. After a first settle only the same verdict is
/// possible.
fn verdicts(state: &State, job: usize, held: &Held) -> Vec<Verdict> {
    if let Some(verdict) = held.unknown {
        return vec![verdict];
    }
    let mut verdicts = vec![Verdict::Complete, Verdict::Retry];
    if state.jobs[job].cancel_wanted {
        verdicts.push(Verdict::Cancel);
    }
    if state.refunds() < REFUNDS {
        verdicts.push(Verdict::Release);
    }
    verdicts
}

pub(crate) fn workers() -> impl Iterator<Item = WorkerId> {
    (0..PROCESSES)
        .flat_map(|process| (0..REGISTRATIONS_PER_PROCESS).map(move |life| WorkerId { process, life }))
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.all_actions(state, actions);
        if state.mishaps == MISHAPS {
            actions.retain(|action| !is_mishap(state, *action));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action);
        if state == *last {
            return None;
        }
        state.mishaps += u8::from(is_mishap(last, action));
        // A fault's sequence of actions is easier to read without renumbering.
        Some(if self.fault.is_none() { state.representative() } else { state })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}

fn is_mishap(state: &State, action: Action) -> bool {
    match action {
        Action::Crash(_)
        | Action::CommitClaim(_, Reply::Lost)
        | Action::Settle { reply: Reply::Lost, .. }
        | Action::Settle { verdict: Verdict::Release, .. }
        | Action::RescueOverdue(_)
        | Action::Cancel(_)
        | Action::ReadForCancel(_) => true,
        Action::BeginRescue(worker) => state.worker_state(worker) == WorkerState::Registered,
        Action::Register(_)
        | Action::Heartbeat(_)
        | Action::PickJobs(..)
        | Action::CheckWorker(_)
        | Action::CommitClaim(_, Reply::Arrives)
        | Action::FindLeases(_)
        | Action::Settle { .. }
        | Action::CommitRescue(_)
        | Action::RollRescueBack
        | Action::CommitCancel => false,
    }
}

impl Protocol {
    fn all_actions(self, state: &State, actions: &mut Vec<Action>) {
        for process in 0..PROCESSES {
            self.process_actions(state, process, actions);
        }
        self.rescue_actions(state, actions);
        for (job, row) in state.jobs.iter().enumerate() {
            if row.lease().is_some() {
                actions.push(Action::RescueOverdue(job));
            }
        }
        self.cancel_actions(state, actions);
    }

    fn act(self, state: &mut State, action: Action) {
        match action {
            Action::Register(process) => state.register(process),
            Action::Crash(process) => state.crash(process),
            Action::Heartbeat(process) => state.heartbeat(process),
            Action::PickJobs(process, picked) => self.pick(state, process, picked),
            Action::CheckWorker(process) => state.check_worker(process),
            Action::CommitClaim(process, reply) => {
                state.check_worker(process);
                self.commit_claim(state, process, reply);
            }
            Action::FindLeases(process) => self.find_leases(state, process),
            Action::Settle { process, job, held, verdict, reply } => {
                self.settle(state, (process, job, held), verdict, reply);
            }
            Action::BeginRescue(worker) => state.begin_rescue(worker),
            Action::CommitRescue(limit) => self.commit_rescue(state, limit),
            Action::RollRescueBack => state.rescue = None,
            Action::RescueOverdue(job) => self.rescue_job(state, job),
            Action::Cancel(job) => {
                state.read_for_cancel(job);
                self.commit_cancel(state);
            }
            Action::ReadForCancel(job) => state.read_for_cancel(job),
            Action::CommitCancel => self.commit_cancel(state),
        }
    }
}
