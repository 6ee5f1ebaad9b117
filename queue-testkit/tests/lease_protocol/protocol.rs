//! What can happen next.

use stateright::{Model, Property};

use crate::faults::Fault;
use crate::promises;
use crate::rows::{
    Claim, Grant, Held, JOBS, LIVES, MISHAPS, PROCESSES, REFUNDS, REGISTRATIONS, Stage, Standing, State,
    Token, Verdict, WorkerId,
};

/// The protocol, or what a fault makes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) fault: Option<Fault>,
}

/// One step of one participant. Between two of them anything else may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process enters as a new worker.
    Register(usize),
    /// The process is killed. What it had not committed is rolled back, what it knew is gone.
    Crash(usize),
    Heartbeat(usize),
    PickJobs(usize, [bool; JOBS]),
    CheckWorker(usize),
    CommitClaim(usize, Reply),
    /// The process asks for the leases of its claim whose reply was lost.
    Adopt(usize),
    Settle {
        process: usize,
        job: usize,
        held: usize,
        verdict: Verdict,
        reply: Reply,
    },
    /// No heartbeat came for long enough, and a rescue has found it.
    BeginRescue(WorkerId),
    CommitRescue(Limit),
    RollRescueBack,
    /// A lease has passed its deadline, and a rescue takes it, whatever its worker does.
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

/// How many leases a rescue takes at most.
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
            None if known.lives < LIVES && state.registrations() < REGISTRATIONS => {
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
        // A heartbeat and the check of a claim wait for the lock of the worker's row.
        let is_free = !state.is_being_rescued(worker) || self.has(Fault::RescueWithoutWorkerLock);
        let is_news = state.standing(worker) == Standing::Lost || state.is_being_rescued(worker);
        if is_free && is_news {
            actions.push(Action::Heartbeat(process));
        }
        match &state.processes[process].claim {
            Claim::None => self.picks(state, process, actions),
            Claim::Picked(_) if !is_free => {}
            // What a transaction does under its locks is one step; without the lock it is two.
            Claim::Picked(_) if self.has(Fault::ClaimWithoutWorkerLock) => {
                actions.push(Action::CheckWorker(process));
            }
            Claim::Picked(_) | Claim::Checked(_) => {
                actions
                    .extend([Reply::Arrives, Reply::Lost].map(|reply| Action::CommitClaim(process, reply)));
            }
            Claim::Unknown(_) => actions.push(Action::Adopt(process)),
        }
    }

    /// Any ready jobs whose rows are not locked: which come first is not this model's concern.
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
    /// A cancel reads, waits for the lock, and looks again. What it read first counts for nothing then, so the two
    /// are one step, unless it does not look again.
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

/// What a process may answer for a lease: if it answered already, the same again.
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
    (0..PROCESSES).flat_map(|process| (0..LIVES).map(move |life| WorkerId { process, life }))
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
        // The way to a fault is easier to read with the numbers unchanged.
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
        Action::BeginRescue(worker) => state.standing(worker) == Standing::Registered,
        Action::Register(_)
        | Action::Heartbeat(_)
        | Action::PickJobs(..)
        | Action::CheckWorker(_)
        | Action::CommitClaim(_, Reply::Arrives)
        | Action::Adopt(_)
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
            Action::Adopt(process) => self.adopt(state, process),
            Action::Settle { process, job, held, verdict, reply } => {
                self.settle(state, (process, job, held), verdict, reply);
            }
            Action::BeginRescue(worker) => state.begin_rescue(worker),
            Action::CommitRescue(limit) => self.commit_rescue(state, limit),
            Action::RollRescueBack => state.rescue = None,
            Action::RescueOverdue(job) => self.take_back(state, job),
            Action::Cancel(job) => {
                state.read_for_cancel(job);
                self.commit_cancel(state);
            }
            Action::ReadForCancel(job) => state.read_for_cancel(job),
            Action::CommitCancel => self.commit_cancel(state),
        }
    }
}
