//! Jobs and processes are interchangeable. The checker explores one of the states that differ only
//! in numbering.

use crate::rows::{Claim, Stage, State, WorkerId};

impl State {
    /// The least of the equivalent states.
    pub(crate) fn representative(self) -> Self {
        let jobs = self.with_jobs_swapped();
        let processes = self.with_processes_swapped();
        let both = jobs.with_processes_swapped();
        self.min(jobs).min(processes.min(both))
    }

    fn with_jobs_swapped(&self) -> Self {
        let mut other = self.clone();
        other.jobs.swap(0, 1);
        for process in &mut other.processes {
            process.held.swap(0, 1);
            match &mut process.claim {
                Claim::Picked(jobs) | Claim::Checked(jobs) => jobs.swap(0, 1),
                Claim::Unknown(taken) => taken.swap(0, 1),
                Claim::None => {}
            }
        }
        if let Some(rescue) = &mut other.rescue {
            rescue.seen.swap(0, 1);
        }
        if let Some(cancel) = &mut other.cancel {
            cancel.job = 1 - cancel.job;
        }
        other
    }

    fn with_processes_swapped(&self) -> Self {
        let mut other = self.clone();
        other.workers.swap(0, 1);
        other.processes.swap(0, 1);
        for job in &mut other.jobs {
            job.locked_by = job.locked_by.map(|process| 1 - process);
            if let Stage::Running(lease) = &mut job.stage {
                swap(&mut lease.worker);
            }
            let ends = [job.past.first_end.as_mut(), job.stage.outcome_mut()];
            ends.into_iter()
                .flatten()
                .filter_map(|end| end.token.as_mut())
                .for_each(|token| swap(&mut token.worker));
        }
        for process in &mut other.processes {
            process.identity.iter_mut().for_each(swap);
            process.held.iter_mut().flatten().for_each(|held| swap(&mut held.token.worker));
        }
        if let Some(rescue) = &mut other.rescue {
            swap(&mut rescue.worker);
        }
        other
    }
}

fn swap(worker: &mut WorkerId) {
    worker.process = 1 - worker.process;
}
