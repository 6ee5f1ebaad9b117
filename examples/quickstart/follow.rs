//! Reading a run's finished jobs, each once, while it goes on.
//!
//! The database is the one truth: it does not matter which process ran a job, or when. Pages are read
//! in the order of ids; only the jobs that others have overtaken are remembered by name, so that
//! memory does not grow with the run.

use std::collections::VecDeque;

use queue::JobId;
use queue::backend::{Inspect, JobRecord, ListRequest};
use queue_examples::Result;

use crate::run::Tasks;
use crate::tally::Tally;
use crate::tasks::Run;

/// Jobs that are read at once.
const PAGE: u32 = 500;

/// How far a run has been read, and what that adds up to.
pub(crate) struct Follower<'a> {
    jobs: &'a dyn Inspect,
    tasks: &'a Tasks,
    run: Run,
    after: JobId,
    /// Unfinished when they were passed: they run, or are to be tried again.
    overtaken: VecDeque<JobId>,
    pub(crate) tally: Tally,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(jobs: &'a dyn Inspect, tasks: &'a Tasks, run: Run) -> Self {
        // The run's own id is that of its urgent job, which the pages begin behind.
        let overtaken = VecDeque::from([run.id]);
        Self { jobs, tasks, run, after: run.id, overtaken, tally: Tally::default() }
    }

    pub(crate) fn is_at_the_end(&self) -> bool {
        self.tally.jobs >= self.run.jobs()
    }

    /// Takes in the jobs that have finished since the last call. It may be dropped at any time.
    pub(crate) async fn catch_up(&mut self) -> Result {
        self.ask_overtaken().await?;
        loop {
            let mut request = ListRequest::new(PAGE);
            request.queue = Some(self.tasks.lane.clone());
            request.after = Some(self.after);
            let page = self.jobs.list(request).await?;
            let is_last = page.len() < PAGE as usize;
            // Jobs start in this order, so whatever comes before one that has started was passed.
            let passed = page.iter().rposition(has_started).map_or(0, |last| last + 1);
            for record in page.into_iter().take(passed) {
                self.after = record.job.id;
                self.take_in(record)?;
            }
            if is_last || passed == 0 {
                return Ok(());
            }
        }
    }

    /// Asks in turn, and no further than a page in which nothing has finished.
    async fn ask_overtaken(&mut self) -> Result {
        for _ in 0..self.overtaken.len().div_ceil(PAGE as usize) {
            let ids: Vec<JobId> = self.overtaken.iter().take(PAGE as usize).copied().collect();
            let records = self.jobs.jobs(&ids).await?;
            let before = self.tally.jobs;
            for record in records {
                self.overtaken.pop_front();
                self.take_in(record.ok_or("failed to read the run: one of its jobs is gone")?)?;
            }
            if self.tally.jobs == before {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_in(&mut self, record: JobRecord) -> Result {
        if record.state.is_finished() {
            return self.tally.add(self.tasks, record);
        }
        self.overtaken.push_back(record.job.id);
        Ok(())
    }
}

fn has_started(record: &JobRecord) -> bool {
    record.attempt > 0 || record.state.is_finished()
}
